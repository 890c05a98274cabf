"""Describes the operations that show loads and restore points, and the operations that request restores."""

from collections.abc import Iterator

from chalicelib.api import backup_routes, load_routes
from chalicelib.api.openapi.json_schema import ref
from chalicelib.api.openapi.operation import CSV, JSON, Body, Operation
from chalicelib.auth.roles import REJECTED_ROWS
from chalicelib.core.dataset import Dataset


def loads() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/loads",
        "list_loads",
        "loads",
        "List loads, newest first",
        parameters=(*load_routes.FILTERS, load_routes.LIMIT, load_routes.CURSOR),
        responses={200: ("a page of loads", ref("Loads"))},
        refusals=(422,),
    )
    yield Operation(
        "GET",
        "/loads/{load_id}",
        "get_load",
        "loads",
        "Show one load",
        parameters=(load_routes.LOAD_ID,),
        responses={200: ("the load, and the reasons of its rejected rows", ref("LoadWithReasons"))},
        refusals=(404,),
    )
    yield Operation(
        "GET",
        "/loads/{load_id}/rejects",
        "get_rejects",
        "loads",
        "Show why a load rejected rows",
        about=(
            f"A caller needs {REJECTED_ROWS}. `GET /loads/{{load_id}}` has the reasons without rows, for every reader."
            " The response has the number of rejected rows for each reason, the first open rejects, and the URL of the"
            " reject file. The reject file has one JSON object per line for each rejected row, but for at"
            " most `REJECT_LIMIT` rows. After the reject file has expired, the response still has the numbers. With"
            " `Accept: text/csv`, the response is a CSV file with the rejected rows. You can correct the rows in this"
            " file, and upload the file."
        ),
        parameters=(load_routes.LOAD_ID, *load_routes.OF_REJECTS),
        media=(JSON, CSV),
        headers=("Cache-Control", "Vary", "Content-Disposition", "Link", load_routes.TRUNCATED),
        csv_example="line,id,job,reasons,raw\r\n2,9002,,job is missing,\r\n",
        responses={200: ("the rejects of the load", ref("Rejects"))},
        refusals=(404, 422),
    )


def restore(dataset: Dataset, name: str) -> Operation:
    return Operation(
        "POST",
        f"/{name}/backup/restore",
        f"restore_{name}",
        "backups",
        f"Restore {dataset.name}",
        about=(
            "The rows come from the newest complete restore point, or from the named restore point. The restore is a"
            " load with the same rules as any other load. Deleted rows come back, changed rows get their old values,"
            " and newer rows stay. Rows whose department or job does not exist are rejected."
        ),
        body=Body(ref("RestoreOrder"), {"newest": {}}, required=False),
        responses={202: ("the restore is requested; `status_url` shows the load", ref("RestoreOrdered"))},
        refusals=(400, 404, 413, 415, 422),
        examples={404: {"detail": "there is no backup yet"}, 422: {"detail": backup_routes.WRONG_BODY}},
        leads_to_load=True,
    )


def backups() -> Operation:
    return Operation(
        "GET",
        "/backups",
        "list_backups",
        "backups",
        "List restore points, newest first",
        parameters=(load_routes.LIMIT, backup_routes.CURSOR),
        responses={200: ("a page of restore points", ref("Backups"))},
        refusals=(422,),
        examples={503: {"detail": "s3://hireflow-backup cannot be reached"}},
    )
