"""Describes the operations that send rows and files."""

from collections.abc import Iterator

from chalicelib.api import check_routes, load_routes
from chalicelib.api.http import requests
from chalicelib.api.openapi import upload_examples
from chalicelib.api.openapi.json_schema import Json, ref
from chalicelib.api.openapi.operation import Body, Operation
from chalicelib.api.openapi.upload_schemas import row_name
from chalicelib.api.row_routes import MAX_ROWS, NO_ROW_ACCEPTED, too_many
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS


def upload(dataset: Dataset) -> Operation:
    return Operation(
        "POST",
        f"/{dataset.route}/upload",
        f"upload_{dataset.route}",
        "uploads",
        f"Insert or update one row of {dataset.name}",
        about=(
            "If a row with this `id` exists, the row is updated. If the existing row has the same values, nothing"
            f" changes. A row that is sent without `id` gets a new `id`.{_left_out(dataset)}"
        ),
        body=Body(ref(row_name(dataset)), _examples(dataset)),
        responses={201: ("inserted", ref("Inserted")), 200: ("updated or unchanged", ref("Kept"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedRow")},
        examples={422: upload_examples.refused_row(dataset)},
        leads_to_load=True,
    )


def _left_out(dataset: Dataset) -> str:
    names = ", ".join(f"`{column.name}`" for column in dataset.columns if column.may_be_absent)
    return f" A row may leave out {names}: what it leaves out stays as it is stored." if names else ""


def _examples(dataset: Dataset) -> dict[str, Json]:
    short = {"short": upload_examples.short_row(dataset)} if dataset.fewest < len(dataset.columns) else {}
    return {
        "with_id": upload_examples.row(dataset),
        "without_id": upload_examples.row(dataset, without_id=True),
        **short,
    }


def upload_batch(dataset: Dataset) -> Operation:
    return Operation(
        "POST",
        f"/{dataset.route}/upload/batch",
        f"upload_{dataset.route}_batch",
        "uploads",
        f"Insert or update 1 to {MAX_ROWS} rows of {dataset.name}",
        about=(
            "All rows that keep the rules are stored in one transaction. The response lists the other rows with the"
            " reasons. If several valid rows have the same `id`, the last of these rows is stored. Nothing is stored if"
            f" the batch has more than {MAX_ROWS} rows (413) or no valid row (422)."
        ),
        body=Body(
            ref(f"{row_name(dataset)}Batch"),
            {"two_rows": {"data": [upload_examples.row(dataset), upload_examples.row(dataset, without_id=True)]}},
        ),
        responses={200: ("the counts, and the rejected rows", ref("BatchResult"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedBatch")},
        examples={
            200: upload_examples.batch_result(dataset, accepted=2),
            413: {"detail": too_many(MAX_ROWS + 1)},
            422: {"detail": NO_ROW_ACCEPTED, **upload_examples.batch_result(dataset, accepted=0)},
        },
        leads_to_load=True,
    )


def templates(dataset: Dataset) -> Iterator[Operation]:
    names = "; ".join(f"`{c.name}`: {', '.join(f'`{alias}`' for alias in c.aliases)}" for c in dataset.columns)
    for ending, media, shown in (("csv", check_routes.CSV, _template(dataset)), ("xlsx", check_routes.XLSX, "PK…")):
        yield Operation(
            "GET",
            f"/{dataset.route}/template.{ending}",
            f"template_{dataset.route}_{ending}",
            "uploads",
            f"Get a template of {dataset.name} as {ending.upper()}: a header and an example row",
            about=f"A load accepts the template unchanged. A header may also use other names of a column: {names}.",
            responses={200: ("the file", {"type": "string", "examples": [shown]})},
            media=(media,),
            headers=("Content-Disposition", "X-Content-Type-Options"),
            is_static=True,
        )


def _template(dataset: Dataset) -> str:
    from chalicelib.api.template_files import csv_template

    return csv_template(dataset)


def upload_file() -> Operation:
    return Operation(
        "POST",
        "/uploads",
        "upload_file",
        "uploads",
        "Request a form for sending a file",
        about=(
            "Send the form directly to S3, as multipart/form-data: first the `fields`, then the file as the field"
            " `file`. The load at `status_url` waits for the file, and fails if no file arrives. The key of the file in"
            " the bucket is `uploads/<load id>/<name>`. If the name of the file does not begin with the name of the"
            " dataset, `<name>` is the dataset, a hyphen and the name. The form contains the declarations about the"
            " file. S3 refuses a form in which they were changed. Declarations take precedence over what Hireflow"
            " finds in the file."
        ),
        body=Body(
            ref("UploadOrder"),
            {
                "file": {"dataset": "jobs", "filename": "new.csv", "size": 65536},
                "declared": {"dataset": "jobs", "filename": "new.txt", "size": 65536, "encoding": "windows-1252"},
            },
        ),
        responses={201: ("a form, and the id of a load that waits for the file", ref("UploadOrdered"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedUpload")},
        examples={422: upload_examples.REFUSED_FILE},
        leads_to_load=True,
    )


def cancel_upload() -> Operation:
    return Operation(
        "DELETE",
        "/uploads/{load_id}",
        "cancel_upload",
        "uploads",
        "Cancel the load of a file that was not sent",
        about=(
            "The load gets the status `skipped`. Cancelling the load again changes nothing. If the file is sent later,"
            " before the form expires, another load loads the file. If the file has arrived, the load cannot be"
            " cancelled (409)."
        ),
        parameters=(load_routes.LOAD_ID,),
        responses={204: ("the load is cancelled", None)},
        refusals=(404, 409),
        examples={404: {"detail": "there is no upload 7"}},
    )


def check() -> Operation:
    return Operation(
        "POST",
        "/uploads/check",
        "check_file",
        "uploads",
        "Check a file: report what a load of it would do",
        about=(
            "The check applies the rules of a load, and compares the file with the current rows. It writes nothing, not"
            " even an entry in the history of loads. The body is the file: text as `text/csv`, a gzip file as"
            f" `application/gzip`, an XLSX workbook as `{check_routes.XLSX}`, an Avro file as `{check_routes.AVRO}`,"
            " and any file as `application/octet-stream`."
            f" The body has at most {requests.MAX_BODY / 1e6} MB. `status` and `error` say how the load would end."
        ),
        parameters=(check_routes.DATASET, load_routes.LIMIT, *check_routes.DECLARED),
        body=Body(
            {"type": "string", "description": "the file"},
            {dataset.name: upload_examples.csv_line(dataset) for dataset in DATASETS.values()},
            required=False,  # an empty body is a valid file
            media_type=check_routes.CSV,
            binary=tuple(check_routes.BINARY),
        ),
        responses={200: ("what a load would report", ref("Check"))},
        refusals=(400, 413, 415, 422),
        examples={
            200: upload_examples.CHECKED,
            400: {"detail": requests.REPLACED_BYTES},
            413: {"detail": requests.too_large(4_600_000) + check_routes.SMALLER},
            415: {"detail": requests.wrong_type(requests.JSON, check_routes.MEDIA_TYPES)},
        },
    )
