"""The examples of the OpenAPI document are real: requests work, and responses are what the operation gives."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
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
from chalicelib.api.openapi.operations import operations
from chalicelib.api.openapi.responses import OF_GATEWAY
from chalicelib.api.row_routes import MAX_ROWS
from chalicelib.auth import tokens
from chalicelib.auth.roles import Role
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core import deadline
from chalicelib.core.datasets import DATASETS, Dataset
from chalicelib.services import services
from tests import gateway
from tests.integration.http_api import Api, Response
from tests.integration.s3_fixtures import S3
from tests.openapi import described

RETENTION = timedelta(days=30)
OPERATIONS = {operation.id: operation for operation in operations()}
BY_ROUTE = {dataset.route: dataset for dataset in DATASETS.values()}
BROWSER_OF_ANOTHER_SITE = {"Origin": "https://evil.example"}
DEMO_IDS = range(1, 201)


def address(operation: Operation) -> str:
    path, query = operation.path, []
    for parameter in operation.parameters:
        if f"{{{parameter.name}}}" in path:
            path = path.replace(f"{{{parameter.name}}}", str(parameter.example))
        else:
            query.append(f"{parameter.name}={parameter.example}")
    return f"{path}?{'&'.join(query)}" if query else path


def test_every_request_example_works(api: Api, database: Database, s3: S3) -> None:
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


def ids(value: Any) -> Iterator[int]:
    """All ids of rows in a request body."""
    if isinstance(value, dict):
        yield from (int(v) for name, v in value.items() if name == "id" or name.endswith("_id"))
        for inner in value.values():
            yield from ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ids(inner)
    elif isinstance(value, str):
        yield from (int(cell) for line in value.splitlines() for cell in line.split(",") if cell.isdigit())


def test_no_request_example_uses_the_id_of_a_row_of_the_demo() -> None:
    bodies = [body for operation in operations() if operation.body for body in operation.body.examples.values()]
    shown = [id_ for body in bodies for id_ in ids(body)]
    for schema in described().document["components"]["schemas"].values():
        for name, column in schema.get("properties", {}).items():
            if name in ("id", "department_id", "job_id") and "anyOf" in column:
                shown += column["examples"]
    assert len(shown) > 15
    assert not set(shown) & set(DEMO_IDS)


def test_the_newest_backup_is_listed_without_a_cursor(api: Api, database: Database, s3: S3) -> None:
    point = run_backup(database, s3.storage, retention=RETENTION).restore_point
    assert [backup["restore_point"] for backup in api.get("/backups").body["backups"]] == [point]


# --- The response examples


def shown(operation: Operation, status: int, media: str) -> Any:
    content = described().document["paths"][operation.path][operation.method.lower()]["responses"][str(status)]
    return content["content"][media]["example"]


def without_identities(value: Any) -> Any:
    """A body in which ids of loads, names of buckets and correlation ids are those of the examples."""
    if isinstance(value, dict):
        masked = {name: without_identities(inner) for name, inner in value.items()}
        return masked | {name: 7 for name in ("load_id",) if name in value} | _same_correlation_id(value)
    if isinstance(value, list):
        return [without_identities(inner) for inner in value]
    if isinstance(value, str):
        return re.sub(r"s3://[a-z-]+", "s3://bucket", re.sub(r"\b(load|upload) \d+", r"\1 7", value))
    return value


def _same_correlation_id(value: dict[str, Any]) -> dict[str, Any]:
    return {"correlation_id": "any"} if "correlation_id" in value else {}


def assert_as_shown(operation: Operation, status: int, response: Response) -> None:
    assert response.status == status, response.body
    media = response.headers.get("Content-Type", JSON)
    assert media == (TYPE if status >= HTTPStatus.BAD_REQUEST else JSON)
    assert without_identities(response.body) == without_identities(shown(operation, status, media))


def send(api: Api, operation: Operation, *, path: str = "", body: Any = None, **headers: str) -> Response:
    """Send a request to an operation: its own examples, where nothing else is given."""
    example = next(iter(operation.body.examples.values())) if operation.body and body is None else body
    media = operation.body.media_type if operation.body else None
    if isinstance(example, str):
        example = example.encode()
    if operation.body:
        return api.post(path or address(operation), example, **({"Content-Type": media} if media else {}) | headers)
    return api.send(operation.method, path or address(operation), headers=headers)


def malformed(api: Api, operation: Operation) -> Response:
    if operation.id != "check_file":
        return send(api, operation, body=b"not JSON")
    # Any bytes are a file. Only a gateway that decodes the body as text can replace some of them.
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


def load_parents(api: Api) -> None:
    """Load the rows that the examples of hired employees refer to."""
    for name in ("upload_department", "upload_job"):
        assert send(api, OPERATIONS[name]).status in (200, 201)


def wrong(api: Api, operation: Operation) -> Response:
    """A request that breaks the rule of the example."""
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
    """Every (operation, status) of the document with a problem of these statuses."""
    return [
        pytest.param(operation, status, id=f"{operation.id}-{status}")
        for operation in OPERATIONS.values()
        for status in statuses
        if TYPE in content(operation, status)
    ]


def content(operation: Operation, status: int) -> dict[str, Any]:
    found = described().document["paths"][operation.path][operation.method.lower()]["responses"]
    content: dict[str, Any] = found.get(str(status), {}).get("content", {})
    return content


def test_every_problem_is_compared() -> None:
    compared = {*GIVEN, 401, 403, 500, 503, 504}
    for operation in OPERATIONS.values():
        responses = described().document["paths"][operation.path][operation.method.lower()]["responses"]
        problem_statuses = {int(status) for status, r in responses.items() if TYPE in r.get("content", {})}
        assert {*operation.refusals, 403, 500} <= problem_statuses <= compared


@pytest.mark.parametrize(("operation", "status"), declared(*GIVEN))
def test_a_refusal_is_as_its_example(api: Api, operation: Operation, status: int) -> None:
    assert_as_shown(operation, status, GIVEN[status](api, operation))


@pytest.fixture
def guarded(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API of a stage with authentication."""
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services().database.close()
    services.cache_clear()
    with Client(app) as client:
        yield Api(client)


@pytest.mark.parametrize(("operation", "status"), declared(401))
def test_a_request_without_a_token_is_refused_as_in_the_example(
    guarded: Api, operation: Operation, status: int
) -> None:
    assert_as_shown(operation, status, send(guarded, operation))


@pytest.mark.parametrize(("operation", "status"), declared(403))
def test_a_forbidden_request_is_refused_as_in_the_example(guarded: Api, operation: Operation, status: int) -> None:
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
def test_an_unforeseen_error_is_as_its_example(
    api: Api, database: Database, database_url: str, s3: S3, monkeypatch: pytest.MonkeyPatch,
    operation: Operation, status: int,
) -> None:  # fmt: skip
    if operation.is_static or operation.id in NEEDS_NO_DATABASE:
        assert shown(operation, status, TYPE)["detail"] == problems.UNFORESEEN
        return
    run_backup(database, s3.storage, retention=RETENTION)  # a restore reads it before the database
    without_tables = urlunsplit(urlsplit(database_url)._replace(path="/template1"))
    on_another_database(monkeypatch, without_tables)
    assert_as_shown(operation, status, send(api, operation))


def disconnect(**_: Any) -> None:
    raise EndpointConnectionError(endpoint_url="https://s3")


@pytest.mark.parametrize(("operation", "status"), declared(503))
def test_an_outage_is_as_its_example(
    api: Api, database: Database, s3: S3, monkeypatch: pytest.MonkeyPatch, operation: Operation, status: int
) -> None:
    run_backup(database, s3.storage, retention=RETENTION)
    if operation.id == "get_health":  # the buckets answer, and the list of the backups fails a moment later
        events = services().storage.backup._client().meta.events
        events.register("before-call.s3.ListObjectsV2", disconnect)
    elif operation.id == "list_backups":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    else:
        on_another_database(monkeypatch, "postgresql+pg8000://user:secret@127.0.0.1:1/hireflow")
    assert_as_shown(operation, status, send(api, operation))


@pytest.mark.parametrize(("operation", "status"), declared(504))
def test_a_timeout_is_as_its_example(operation: Operation, status: int) -> None:
    with deadline.within(0):
        timeout = problems.endpoint(deadline.left)()
    example = shown(operation, status, TYPE)
    assert timeout.status_code == status
    assert timeout.body == {name: value for name, value in example.items() if name != "correlation_id"}


def test_the_gateway_answers_as_in_the_examples() -> None:
    assert {status: message for status, (_, message) in OF_GATEWAY.items()} == {
        413: "Request Too Long",
        429: "Too Many Requests",
        500: "Internal server error",
        502: "Internal server error",
        504: "Endpoint request timed out",
    }
    for operation in OPERATIONS.values():
        for status, (_, message) in OF_GATEWAY.items():
            if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and not operation.body:
                assert JSON not in content(operation, status)
            else:
                assert shown(operation, status, JSON) == {"message": message}


def test_the_model_of_the_gateway_refuses_a_body_as_in_the_example(api: Api) -> None:
    behind = GatewayClient(gateway.Gateway(app))
    response = behind.post("/job/upload", data=b" " * (gateway.MAX_BODY + 1), content_type=JSON)
    assert response.status_code == 413
    assert response.json == shown(OPERATIONS["upload_job"], 413, JSON)


# --- Rows and files that are accepted


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_an_accepted_row_is_answered_as_in_the_examples(api: Api, dataset: Dataset) -> None:
    if dataset.references:
        load_parents(api)
    operation = OPERATIONS[f"upload_{dataset.route}"]
    assert_as_shown(operation, 201, send(api, operation))
    changed = upload_examples.row(dataset) | {dataset.values[0].name: "Another"}
    assert_as_shown(operation, 200, send(api, operation, body=changed))


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_an_accepted_batch_is_answered_as_in_the_example(api: Api, dataset: Dataset) -> None:
    if dataset.references:
        load_parents(api)
    operation = OPERATIONS[f"upload_{dataset.route}_batch"]
    rows = [upload_examples.row(dataset), upload_examples.row(dataset, without_id=True)]
    body = {"data": [*rows, upload_examples.faulty_row(dataset) | {"id": 9003}]}
    response = send(api, operation, body=body)
    response.body["rejected"][0]["row"]["id"] = 9001
    assert_as_shown(operation, 200, response)


def test_a_file_is_checked_as_in_the_example(api: Api) -> None:
    file = upload_examples.checked_file(DATASETS["departments"])
    path = "/uploads/check?dataset=departments"
    assert_as_shown(OPERATIONS["check_file"], 200, send(api, OPERATIONS["check_file"], path=path, body=file))


def without_times(text: str) -> str:
    text = re.sub(r"https://[^\"]+", "https://…", text)  # a presigned URL
    text = re.sub(r"\d{8}T\d{6}\.\d{6}Z-\d+", "time-id", text)
    return re.sub(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "time", text)


def comparable(body: Any) -> Any:
    return json.loads(without_times(json.dumps(without_identities(body))))


@pytest.mark.parametrize("name", ["get_load", "list_loads", "get_rejects"])
def test_a_load_is_shown_as_in_the_example(api: Api, name: str) -> None:
    rows = [{"job": "Clerk"}, {"id": 9002, "job": ""}]
    api.post("/job/upload/batch", {"data": rows}, **{"X-Correlation-Id": "import-2021-07-27"})
    response = send(api, OPERATIONS[name], path=OPERATIONS[name].path.replace("{load_id}", "1"))
    example = shown(OPERATIONS[name], 200, JSON)
    if name == "list_loads":
        example = example | {"next_cursor": None}  # the example is a page of many loads
        response.body["loads"][0]["id"] = 7
    if name == "get_load":
        response.body["id"] = 7
    assert comparable(response.body) == comparable(example)
