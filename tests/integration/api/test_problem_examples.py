"""Tests that error responses equal their examples in the OpenAPI document, for each operation and status."""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import pytest
from botocore.exceptions import EndpointConnectionError
from chalice.local import LambdaContext
from chalice.test import Client
from werkzeug.test import Client as GatewayClient

from app import app
from chalicelib.api import report_routes
from chalicelib.api.http import problems
from chalicelib.api.http.access import needed
from chalicelib.api.http.problems import TYPE
from chalicelib.api.http.requests import JSON, MAX_BODY
from chalicelib.api.openapi import upload_examples
from chalicelib.api.openapi.operation import Operation
from chalicelib.api.openapi.responses import OF_GATEWAY
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.auth import tokens
from chalicelib.auth.roles import Role
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core import deadline
from chalicelib.services import services
from tests import gateway
from tests.integration.api.openapi_examples import (
    BY_ROUTE,
    OPERATIONS,
    RETENTION,
    address,
    assert_as_shown,
    content,
    load_parents,
    send,
    shown,
)
from tests.integration.http_api import Api, Response
from tests.integration.s3_fixtures import S3
from tests.openapi import described

BROWSER_OF_ANOTHER_SITE = {"Origin": "https://evil.example"}


def malformed(api: Api, operation: Operation) -> Response:
    if operation.id != "check_file":
        return send(api, operation, body=b"not JSON")
    # All bytes are a file, so only an event from a gateway that has replaced bytes of the body gets a 400.
    event = {
        "headers": {"content-type": "text/csv"},
        "multiValueQueryStringParameters": {"dataset": ["jobs"]},
        "pathParameters": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": operation.path, "path": operation.path},
        "stageVariables": None,
        "body": "1,Caf\ufffd\n",
        "isBase64Encoded": False,
    }
    given = app(event, LambdaContext("api_handler", 512, 29_000))
    return Response(given["statusCode"], given["headers"], json.loads(given["body"]))


def absent(api: Api, operation: Operation) -> Response:
    paths = {
        "get_dashboard_panel": "/dashboard/loading",
        "get_docs_asset": "/docs/docs.txt",
    }
    path = paths.get(operation.id) or operation.path.replace("{load_id}", "7")
    return send(api, operation, path=path)


def too_late(api: Api, operation: Operation) -> Response:
    order = api.post("/uploads", {"dataset": "jobs", "filename": "jobs.csv", "size": 10}).body
    services().storage.landing.put(order["key"], b"1,Clerk\n", "text/csv")
    return send(api, operation, path=operation.path.format(load_id=order["load_id"]))


def too_large(api: Api, operation: Operation) -> Response:
    if operation.path.endswith("/batch"):
        return send(api, operation, body={"data": [{}] * (MAX_ROWS + 1)})
    return send(api, operation, body=b" " * (MAX_BODY + 100_000))


def of_another_type(api: Api, operation: Operation) -> Response:
    return send(api, operation, **{"Content-Type": JSON if operation.id == "check_file" else "text/csv"})


def wrong(api: Api, operation: Operation) -> Response:
    """Send a request that is refused for the reason in the example of the 422."""
    load_parents(api)
    if HTTPStatus.UNPROCESSABLE_ENTITY not in operation.refusals:
        return send(api, operation, path=f"{address(operation).partition('?')[0]}?page=1")
    if operation.id == "upload_file":
        return send(api, operation, body=upload_examples.WRONG_FILE)
    if operation.path.endswith("/upload"):
        return send(api, operation, body=upload_examples.faulty_row(BY_ROUTE[operation.path.split("/")[1]]))
    if operation.path.endswith("/batch"):
        row = upload_examples.faulty_row(BY_ROUTE[operation.path.split("/")[1]])
        return send(api, operation, body={"data": [row]})
    if operation.path.endswith("/restore"):
        return send(api, operation, body=[])
    return send(api, operation, path=with_a_wrong_query(operation))


def with_a_wrong_query(operation: Operation) -> str:
    if operation.id == "get_dashboard_panel":
        return "/dashboard/load"
    if "{year}" in operation.path:
        return operation.path.replace("{year}", "0")
    in_query = {p.name for p in operation.parameters}
    query = {"dataset": "jobs"} if operation.id == "check_file" else {}
    if report_routes.FROM.name in in_query:
        query |= {"from": "2021", "to": "2019"}
    else:
        query |= {"limit": "0"} if "limit" in in_query else {"department_id": "0"}
    return f"{operation.path.replace('{load_id}', '1')}?{urlencode(query)}"


GIVEN: dict[int, Callable[[Api, Operation], Response]] = {
    400: malformed,
    404: absent,
    409: too_late,
    413: too_large,
    415: of_another_type,
    422: wrong,
}


def declared(*statuses: int) -> list[Any]:
    """Return the operation and the status of every problem of the document that has one of these statuses."""
    return [
        pytest.param(operation, status, id=f"{operation.id}-{status}")
        for operation in OPERATIONS.values()
        for status in statuses
        if TYPE in content(operation, status)
    ]


def test_every_problem_of_the_document_is_compared() -> None:
    compared = {*GIVEN, 401, 403, 429, 500, 503, 504}
    for operation in OPERATIONS.values():
        if operation.method == "HEAD":  # its responses have no body
            continue
        responses = described().document["paths"][operation.path][operation.method.lower()]["responses"]
        problem_statuses = {int(status) for status, r in responses.items() if TYPE in r.get("content", {})}
        assert {*operation.refusals, 403, 500} <= problem_statuses <= compared


@pytest.mark.parametrize(("operation", "status"), declared(*GIVEN))
def test_the_problem_for_a_refused_request_equals_its_example(api: Api, operation: Operation, status: int) -> None:
    assert_as_shown(operation, status, GIVEN[status](api, operation))


@pytest.fixture
def guarded(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Return the API of a stage with authentication."""
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services().database.close()
    services.cache_clear()
    with Client(app) as client:
        yield Api(client)


@pytest.mark.parametrize(("operation", "status"), declared(401))
def test_the_response_without_a_token_equals_its_example(guarded: Api, operation: Operation, status: int) -> None:
    assert_as_shown(operation, status, send(guarded, operation))


@pytest.mark.parametrize(("operation", "status"), declared(403))
def test_the_response_to_a_forbidden_request_equals_its_example(
    guarded: Api, operation: Operation, status: int
) -> None:
    role = needed(app, operation.method, operation.path)
    if role in (None, Role.READER):
        response = send(guarded, operation, **BROWSER_OF_ANOTHER_SITE)
    else:
        held = Role.READER if role is Role.WRITER else Role.WRITER
        with services().database.session() as session:
            token = tokens.create(session, held.value)["token"]
        response = send(guarded, operation, Authorization=f"Bearer {token}")
    assert_as_shown(operation, status, response)


def test_without_tokens_only_a_page_of_another_origin_is_forbidden(api: Api) -> None:
    operation = OPERATIONS["upload_job"]
    response = send(api, operation, **BROWSER_OF_ANOTHER_SITE)
    responses = described(guarded=False).document["paths"][operation.path]["post"]["responses"]
    assert responses["403"]["content"][TYPE]["example"] == response.body
    assert "401" not in responses


def on_another_database(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    services().database.close()
    monkeypatch.setenv("DATABASE_URL", address)
    services.cache_clear()


NEEDS_NO_DATABASE = ("get_health", "list_backups")


@pytest.mark.parametrize(("operation", "status"), declared(500))
def test_an_unforeseen_error_equals_its_example(
    api: Api, database: Database, database_url: str, s3: S3, monkeypatch: pytest.MonkeyPatch,
    operation: Operation, status: int,
) -> None:  # fmt: skip
    if operation.is_static or operation.id in NEEDS_NO_DATABASE:
        assert shown(operation, status, TYPE)["detail"] == problems.UNFORESEEN
        return
    run_backup(database, s3.storage, retention=RETENTION)  # restores need a restore point
    without_tables = urlunsplit(urlsplit(database_url)._replace(path="/template1"))
    on_another_database(monkeypatch, without_tables)
    assert_as_shown(operation, status, send(api, operation))


def disconnect(**_: Any) -> None:
    raise EndpointConnectionError(endpoint_url="https://s3")


@pytest.mark.parametrize(("operation", "status"), declared(503))
def test_an_outage_equals_its_example(
    api: Api, database: Database, s3: S3, monkeypatch: pytest.MonkeyPatch, operation: Operation, status: int
) -> None:
    run_backup(database, s3.storage, retention=RETENTION)
    if operation.id == "get_health":  # the buckets can be reached, but the restore points cannot be listed
        events = services().storage.backup._client().meta.events
        events.register("before-call.s3.ListObjectsV2", disconnect)
    elif operation.id == "list_backups":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    else:
        on_another_database(monkeypatch, "postgresql+pg8000://user:secret@127.0.0.1:1/hireflow")
    assert_as_shown(operation, status, send(api, operation))


@pytest.mark.parametrize(("operation", "status"), declared(504))
def test_a_timeout_equals_its_example(operation: Operation, status: int) -> None:
    with deadline.within(0):
        timeout = problems.endpoint(deadline.left)()
    example = shown(operation, status, TYPE)
    assert timeout.status_code == status
    assert timeout.body == {name: value for name, value in example.items() if name != "correlation_id"}


def test_the_responses_of_api_gateway_equal_their_examples() -> None:
    assert {status: message for status, (_, message) in OF_GATEWAY.items()} == {
        413: "Request Too Long",
        429: "Too Many Requests",
        500: "Internal server error",
        502: "Internal server error",
        504: "Endpoint request timed out",
    }
    for operation in OPERATIONS.values():
        for status, (_, message) in OF_GATEWAY.items():
            is_too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            if operation.method == "HEAD" or (is_too_large and not operation.body):
                assert JSON not in content(operation, status)
            else:
                assert shown(operation, status, JSON) == {"message": message}


def test_the_model_of_api_gateway_refuses_a_body_as_in_the_example(api: Api) -> None:
    behind = GatewayClient(gateway.Gateway(app))
    response = behind.post("/job/upload", data=b" " * (gateway.MAX_BODY + 1), content_type=JSON)
    assert response.status_code == 413
    assert response.json == shown(OPERATIONS["upload_job"], 413, JSON)
