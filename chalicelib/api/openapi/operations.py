"""Every operation of the API: what it is called, takes, and answers."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from chalicelib.api import backup_routes, check_routes, dashboard_routes, docs_routes, load_routes, report_routes
from chalicelib.api.http.parameters import Parameter
from chalicelib.api.http.requests import MAX_BODY
from chalicelib.api.openapi.schemas import DOCUMENT, FILE, PAGE, Json, example_row, ref, row_name
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.core.datasets import DATASETS, Dataset

TAGS = {
    "uploads": "Rows of departments, jobs and hired employees, one by one or up to 1000 at once, and files of them.",
    "reports": "What the people who plan hiring ask.",
    "loads": "What became of every file, request and restore.",
    "backups": "Restore points, and their restores.",
    "dashboard": "Pages for people.",
    "service": "The platform itself.",
}

JSON, CSV, HTML, CSS, SCRIPT = "application/json", "text/csv", "text/html", "text/css", "text/javascript"
_FORMS = (
    " JSON, or with `Accept: text/csv` CSV that is safe to open in a spreadsheet; 304 where `If-None-Match` has the"
    " `ETag` of now."
)
_OF_FILES = ("X-Content-Type-Options", "ETag", "Cache-Control")
_REPORT: dict[str, Any] = {"media": (JSON, CSV), "headers": ("ETag", "Cache-Control", "Vary")}


@dataclass(frozen=True)
class Body:
    """`examples` are bodies that work, by name; `binary` other media types, whose bodies have no schema."""

    schema: Json
    examples: Mapping[str, Any]
    required: bool = True
    media_type: str = "application/json"
    binary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """`answers` are what its answers mean and their schemas, by status; None is for an answer without a body. `media`
    are the types that they come as, and `headers` the names of those that come with them (`answers.TOLD` knows what
    they mean). One with an `ETag` is not sent again (304) to a caller who has it.

    `refusals` are the statuses below 500 of the problems it may answer with, `refused` the schemas of those that
    say more than others, and `details` examples of what they say where it is not what most operations do.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    _: KW_ONLY
    answers: Mapping[int, tuple[str, Json | None]]
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    refusals: tuple[int, ...] = ()
    refused: Mapping[int, Json] = field(default_factory=dict)
    details: Mapping[int, str] = field(default_factory=dict)
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    leads_to_load: bool = False  # its answer has the `load_id` of a load
    tells_more: bool = False  # to readers, though anybody may call it
    is_static: bool = False  # it needs neither database nor storage
    any_query: bool = False  # it ignores its query


def operations() -> Iterator[Operation]:
    for dataset in DATASETS.values():
        yield _upload(dataset)
        yield _upload_batch(dataset)
    yield _upload_file()
    yield _cancel_upload()
    yield _check()
    yield from _reports()
    yield from _loads()
    for dataset in DATASETS.values():
        for name in (dataset.route, dataset.name):
            yield _restore(dataset, name)
    yield from _pages()
    yield from _service()


def _upload(dataset: Dataset) -> Operation:
    return Operation(
        "POST",
        f"/{dataset.route}/upload",
        f"upload_{dataset.route}",
        "uploads",
        f"Insert or update one row of {dataset.name}",
        about="A row whose `id` is known updates it, an identical one is left alone. One without `id` is given one.",
        body=Body(
            ref(row_name(dataset)),
            {"with_id": example_row(dataset), "without_id": example_row(dataset, without_id=True)},
        ),
        answers={201: ("inserted", ref("Inserted")), 200: ("updated, or found unchanged", ref("Kept"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedRow")},
        details={422: "the row breaks the rules"},
        leads_to_load=True,
    )


def _upload_batch(dataset: Dataset) -> Operation:
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
            {"two_rows": {"data": [example_row(dataset), example_row(dataset, without_id=True)]}},
        ),
        answers={200: ("what became of the rows", ref("BatchResult"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedBatch")},
        details={422: "no row was accepted"},
        leads_to_load=True,
    )


def _upload_file() -> Operation:
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
        answers={201: ("a form, and a load that waits for the file", ref("UploadOrdered"))},
        refusals=(400, 413, 415, 422),
        refused={422: ref("RefusedUpload")},
        leads_to_load=True,
    )


def _cancel_upload() -> Operation:
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
        answers={204: ("cancelled", None)},
        refusals=(404, 409),
        details={404: "there is no upload 7"},
    )


def _check() -> Operation:
    examples = {
        dataset.name: ",".join(str(column.example) for column in dataset.columns) + "\n"
        for dataset in DATASETS.values()
    }
    return Operation(
        "POST",
        "/uploads/check",
        "check_file",
        "uploads",
        "Tell what a load of a CSV file would do",
        about=(
            "A dry run under the rules and on the rows of now: nothing is written, not even a load. The body is the"
            " file, or as `application/gzip` (`application/octet-stream` means that, too) the gzip of it, and has at"
            f" most {MAX_BODY / 1e6} MB."
        ),
        parameters=(check_routes.DATASET, load_routes.LIMIT),
        body=Body(
            {"type": "string", "description": "CSV in UTF-8, as in a file"},
            examples,
            required=False,  # an empty file is one
            media_type=check_routes.CSV,
            binary=tuple(check_routes.GZIP),
        ),
        answers={200: ("what a load would report", ref("Check"))},
        refusals=(400, 413, 415, 422),
    )


def _restore(dataset: Dataset, name: str) -> Operation:
    return Operation(
        "POST",
        f"/{name}/backup/restore",
        f"restore_{name}",
        "backups",
        f"Order a restore of {dataset.name}",
        about=(
            "From the newest complete backup, or the one that is named. The restore is a load under the same rules as"
            " any other: deleted rows come back, changed rows go back, newer rows stay, and rows whose department or"
            " job is gone are rejected."
        ),
        body=Body(ref("RestoreOrder"), {"newest": {}}, required=False),
        answers={202: ("ordered; the load at `status_url` tells how it goes", ref("RestoreOrdered"))},
        refusals=(400, 404, 413, 415, 422),
        details={
            404: "there is no backup yet",
            422: 'the body must be empty or {"restore_point": "20210727T160208.123456Z"}',
        },
        leads_to_load=True,
    )


def _reports() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/department/hires/quarterly/{year}",
        "report_quarterly_hires",
        "reports",
        "Hires per department, job and quarter",
        about="Every department and job with a hire in that UTC year, ordered by their names (by bytes)." + _FORMS,
        parameters=(report_routes.YEAR, report_routes.DEPARTMENT_ID, report_routes.DEPARTMENT),
        answers={200: ("the report; empty for a year without hires", ref("QuarterlyHires"))},
        refusals=(422,),
        details={422: "year must be a whole number from 1 to 9999"},
        **_REPORT,
    )
    yield Operation(
        "GET",
        "/department/hires/quarterly",
        "report_quarterly_hires_between",
        "reports",
        "Hires per year, department, job and quarter",
        about=(
            "Every department and job with a hire, for each of the years, these included; without an end from the first"
            " or to the last one there is. Ordered by year, then by names (by bytes)." + _FORMS
        ),
        parameters=(report_routes.FROM, report_routes.TO, report_routes.DEPARTMENT_ID, report_routes.DEPARTMENT),
        answers={200: ("the report; empty for years without hires", ref("QuarterlyHiresByYear"))},
        refusals=(422,),
        details={422: "from must not be a later year than to"},
        **_REPORT,
    )
    yield Operation(
        "GET",
        "/department/hires/top/{year}",
        "report_top_departments",
        "reports",
        "Departments that hired more than the mean",
        about="The mean is of the departments that hired in that UTC year. Most first, ties by `id`." + _FORMS,
        parameters=(report_routes.YEAR,),
        answers={200: ("the report; empty for a year without hires", ref("TopDepartments"))},
        refusals=(422,),
        details={422: "year must be a whole number from 1 to 9999"},
        **_REPORT,
    )
    yield Operation(
        "GET",
        "/department/hires/top",
        "report_top_departments_between",
        "reports",
        "Departments that hired more than the mean over several years",
        about=(
            "The hires of all the years together, these included, compared with the mean of the departments that hired"
            " in them. Most first, ties by `id`." + _FORMS
        ),
        parameters=(report_routes.FROM, report_routes.TO),
        answers={200: ("the report; empty for years without hires", ref("TopDepartments"))},
        refusals=(422,),
        details={422: "from must not be a later year than to"},
        **_REPORT,
    )
    yield Operation(
        "GET",
        "/department/hires/years",
        "report_years",
        "reports",
        "Years with hires, newest first",
        about="How many were hired in each, in UTC." + _FORMS,
        answers={200: ("the years; empty where nobody was hired yet", ref("YearsWithHires"))},
        **_REPORT,
    )


def _loads() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/loads",
        "list_loads",
        "loads",
        "List loads, newest first",
        parameters=(*load_routes.FILTERS, load_routes.LIMIT, load_routes.CURSOR),
        answers={200: ("a page of loads", ref("Loads"))},
        refusals=(422,),
    )
    yield Operation(
        "GET",
        "/loads/{load_id}",
        "get_load",
        "loads",
        "Show one load",
        parameters=(load_routes.LOAD_ID,),
        answers={200: ("the load", ref("Load"))},
        refusals=(404,),
    )
    yield Operation(
        "GET",
        "/loads/{load_id}/rejects",
        "get_rejects",
        "loads",
        "Show why rows of a load were rejected",
        about=(
            "Counts by reason, the first rejected rows, and where all of them are: one JSON object a line. The reasons"
            " stay when that file has expired."
        ),
        parameters=(load_routes.LOAD_ID, load_routes.LIMIT),
        answers={200: ("the rejects of the load", ref("Rejects"))},
        refusals=(404, 422),
    )


def _pages() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/",
        "get_dashboard",
        "dashboard",
        "The dashboard",
        about="One page for people, which holds no data itself: it asks for panels with the token that is signed in.",
        answers={200: ("the page", PAGE)},
        media=(HTML,),
        headers=("Content-Security-Policy", *_OF_FILES),
        any_query=True,
        is_static=True,
    )
    yield Operation(
        "GET",
        "/dashboard/{panel}",
        "get_dashboard_panel",
        "dashboard",
        "A panel of the dashboard, as a piece of HTML",
        about="What the dashboard shows. Programs are better served by the other operations, which say the same.",
        parameters=(dashboard_routes.PANEL, *dashboard_routes.QUERY),
        answers={200: ("the panel", {"type": "string", "examples": ["<h1>Loads</h1>"]})},
        refusals=(404, 422),
        details={404: "there is no panel of that name, or no such load or restore point", 422: "id is missing"},
        media=(HTML,),
        headers=("Cache-Control", "X-Content-Type-Options"),
    )


def _service() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/backups",
        "list_backups",
        "backups",
        "List restore points, newest first",
        parameters=(load_routes.LIMIT, backup_routes.CURSOR),
        answers={200: ("a page of restore points", ref("Backups"))},
        refusals=(422,),
    )
    yield Operation(
        "GET",
        "/health",
        "get_health",
        "service",
        "Tell whether the platform works",
        about="Where the stage asks for tokens, a caller without one is told the `status` alone.",
        tells_more=True,
        answers={
            200: ("everything is there", ref("Health")),
            503: ("the database or a bucket is away", ref("Health")),
        },
    )
    yield Operation(
        "GET",
        "/openapi.json",
        "get_openapi",
        "service",
        "This document",
        answers={200: ("an OpenAPI 3.1 document", DOCUMENT)},
        is_static=True,
    )
    yield Operation(
        "GET",
        "/docs",
        "get_docs",
        "service",
        "A page to read this document, and to try it",
        media=(HTML,),
        headers=("Content-Security-Policy", *_OF_FILES),
        answers={200: ("the page", PAGE)},
        any_query=True,
        is_static=True,
    )
    yield Operation(
        "GET",
        "/docs/{asset}",
        "get_docs_asset",
        "service",
        "A file that the page loads",
        parameters=(docs_routes.ASSET, docs_routes.VERSION),
        media=(CSS, SCRIPT),
        headers=_OF_FILES,
        answers={200: ("the file", FILE)},
        refusals=(404,),
        details={404: "there is no file docs.txt"},
        is_static=True,
    )
