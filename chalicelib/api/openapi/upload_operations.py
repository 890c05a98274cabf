"""Operations that send rows and files."""

from chalicelib.api import check_routes, load_routes
from chalicelib.api.http import requests
from chalicelib.api.openapi import upload_examples
from chalicelib.api.openapi.json_schema import ref
from chalicelib.api.openapi.operation import Body, Operation
from chalicelib.api.openapi.upload_schemas import row_name
from chalicelib.api.row_routes import MAX_ROWS, NO_ROW_ACCEPTED, too_many
from chalicelib.core.datasets import DATASETS, Dataset


def upload(dataset: Dataset) -> Operation:
    return Operation(
        "POST",
        f"/{dataset.route}/upload",
        f"upload_{dataset.route}",
        "uploads",
        f"Insert or update one row of {dataset.name}",
        about="A row whose `id` is known updates it, an identical one is left alone. One without `id` is given one.",
        body=Body(
            ref(row_name(dataset)),
            {"with_id": upload_examples.row(dataset), "without_id": upload_examples.row(dataset, without_id=True)},
        ),
        responses={201: ("inserted", ref("Inserted")), 200: ("updated, or found unchanged", ref("Kept"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedRow")},
        examples={422: upload_examples.refused_row(dataset)},
        leads_to_load=True,
    )


def upload_batch(dataset: Dataset) -> Operation:
    return Operation(
        "POST",
        f"/{dataset.route}/upload/batch",
        f"upload_{dataset.route}_batch",
        "uploads",
        f"Insert or update 1 to {MAX_ROWS} rows of {dataset.name}",
        about=(
            "The rows that pass the rules are stored together, the others come back with their reasons. The last valid"
            f" row of an `id` wins. With more than {MAX_ROWS} rows nothing is stored (413), without a valid one neither"
            " (422)."
        ),
        body=Body(
            ref(f"{row_name(dataset)}Batch"),
            {"two_rows": {"data": [upload_examples.row(dataset), upload_examples.row(dataset, without_id=True)]}},
        ),
        responses={200: ("what became of the rows", ref("BatchResult"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedBatch")},
        examples={
            200: upload_examples.batch_result(dataset, accepted=2),
            413: {"detail": too_many(MAX_ROWS + 1)},
            422: {"detail": NO_ROW_ACCEPTED, **upload_examples.batch_result(dataset, accepted=0)},
        },
        leads_to_load=True,
    )


def upload_file() -> Operation:
    return Operation(
        "POST",
        "/uploads",
        "upload_file",
        "uploads",
        "Ask for a form to send a CSV file with",
        about=(
            "The form goes to S3 itself, as multipart/form-data: `fields` first, then the file as `file`. The load at"
            " `status_url` waits for it, and fails when no file has come. The key is `uploads/<load id>/<name>`: the"
            " file's name, with the dataset before it where it does not begin with that. `.csv.gz` is for gzip."
        ),
        body=Body(ref("UploadOrder"), {"file": {"dataset": "jobs", "filename": "new.csv", "size": 65536}}),
        responses={201: ("a form, and a load that waits for the file", ref("UploadOrdered"))},
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
        "Cancel the load of a file that has not been sent",
        about=(
            "The load is `skipped` then; cancelling it again changes nothing. A file that is sent later, with the form"
            " while that is good, is a load of its own. A load whose file has arrived goes on (409)."
        ),
        parameters=(load_routes.LOAD_ID,),
        responses={204: ("cancelled", None)},
        refusals=(404, 409),
        examples={404: {"detail": "there is no upload 7"}},
    )


def check() -> Operation:
    return Operation(
        "POST",
        "/uploads/check",
        "check_file",
        "uploads",
        "Tell what a load of a CSV file would do",
        about=(
            "A dry run under the rules and on the rows of now: nothing is written, not even a load. The body is the"
            " file, or as `application/gzip` (`application/octet-stream` means that, too) the gzip of it, and has at"
            f" most {requests.MAX_BODY / 1e6} MB."
        ),
        parameters=(check_routes.DATASET, load_routes.LIMIT),
        body=Body(
            {"type": "string", "description": "CSV in UTF-8, as in a file"},
            {dataset.name: upload_examples.csv_line(dataset) for dataset in DATASETS.values()},
            required=False,  # an empty file is one
            media_type=check_routes.CSV,
            binary=tuple(check_routes.GZIP),
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
