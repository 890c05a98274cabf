"""The examples of the OpenAPI document work, in the order in which a reader meets them."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.api.http.requests import MAX_BODY
from chalicelib.api.openapi.operation import Operation
from chalicelib.api.openapi.operations import operations
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.services import services
from tests.integration.http_api import Api
from tests.integration.s3_fixtures import S3

RETENTION = timedelta(days=30)


def address(operation: Operation) -> str:
    path, query = operation.path, []
    for parameter in operation.parameters:
        if f"{{{parameter.name}}}" in path:
            path = path.replace(f"{{{parameter.name}}}", str(parameter.example))
        else:
            query.append(f"{parameter.name}={parameter.example}")
    return f"{path}?{'&'.join(query)}" if query else path


def test_every_example_works(api: Api, database: Database, s3: S3) -> None:
    answered: dict[str, Any] = {}
    for operation in operations():
        if operation.tag == "backups" and "backed up" not in answered:
            answered["backed up"] = run_backup(database, s3.storage, retention=RETENTION)
        bodies = operation.body.examples.values() if operation.body else [None]
        for body in bodies:
            if operation.method == "DELETE":
                response = api.send("DELETE", operation.path.format(load_id=answered["upload_file"]["load_id"]))
            elif operation.body is None:
                response = api.get(address(operation))
            else:
                sent = body.encode() if isinstance(body, str) else body
                response = api.post(address(operation), sent, **{"Content-Type": operation.body.media_type})
            assert response.status in operation.responses, (operation.id, response.body)
            answered[operation.id] = response.body
    assert answered["get_load"]["id"] == 1
    assert answered["report_quarterly_hires"][0]["department"] == "Staff"
    assert [load["dataset"] for load in answered["list_loads"]["loads"]] == ["departments"] * 3
    assert set(answered["get_openapi"]["paths"]) == {operation.path for operation in operations()}


def test_the_newest_backup_is_listed_without_a_cursor(api: Api, database: Database, s3: S3) -> None:
    point = run_backup(database, s3.storage, retention=RETENTION).restore_point
    assert [backup["restore_point"] for backup in api.get("/backups").body["backups"]] == [point]


def refused(api: Api, operation: Operation, status: int) -> int:
    """What a request is answered with that is wrong in the way that the status is for."""
    if operation.id == "check_file":
        return refused_file(api, status)
    if operation.method == "POST":
        bodies = {
            400: b"{",
            404: {"restore_point": "none"},
            413: {"data": [{}] * (MAX_ROWS + 1)} if operation.path.endswith("batch") else b"[" + b" " * MAX_BODY,
            415: b"id,job\n",
            422: [],
        }
        media = {"Content-Type": "text/csv"} if status == 415 else {}
        return api.post(operation.path, bodies[status], **media).status
    if operation.method == "DELETE":
        load_id = api.post("/job/upload", {"job": "Clerk"}).body["load_id"] if status == 404 else arrived(api)
        return api.send("DELETE", operation.path.format(load_id=load_id)).status
    wrong = dict.fromkeys((parameter.name for parameter in operation.parameters), "none")
    right = {parameter.name: parameter.example for parameter in operation.parameters}
    found = status == 422 and 404 in operation.refusals  # what the path names is there then, and the query is wrong
    path = operation.path.format(**(right if found else wrong))
    query = {n: v for n, v in wrong.items() if f"{{{n}}}" not in operation.path} if status == 422 else {}
    return api.get(f"{path}?{urlencode(query)}").status


def arrived(api: Api) -> int:
    """An announced upload that has been loaded."""
    order = api.post("/uploads", {"dataset": "jobs", "filename": "jobs.csv", "size": 10}).body
    services().storage.landing.put(order["key"], b"1,Clerk\n", "text/csv")
    return int(order["load_id"])


def refused_file(api: Api, status: int) -> int:
    body, media, dataset = {
        413: (b"1,Clerk\n" * 1_000_000, "text/csv", "jobs"),
        415: (b"{}", "application/json", "jobs"),
        422: (b"1,Clerk\n", "text/csv", "none"),
    }[status]
    return api.post(f"/uploads/check?dataset={dataset}", body, **{"Content-Type": media}).status


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        pytest.param(o, status, id=f"{o.id}-{status}")
        for o in operations()
        for status in o.refusals
        if (o.id, status) != ("check_file", 400)  # any bytes are a file: only a gateway can break them
    ],
)
def test_every_refusal_that_is_declared_is_given(api: Api, operation: Operation, status: int) -> None:
    assert refused(api, operation, status) == status
