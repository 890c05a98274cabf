"""Tests that the request examples of the OpenAPI document work, and that their responses equal the response
examples."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.api.http.requests import JSON
from chalicelib.api.openapi import upload_examples
from chalicelib.api.openapi.operations import operations
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from tests.integration.api.openapi_examples import (
    OPERATIONS,
    RETENTION,
    address,
    assert_as_shown,
    load_parents,
    send,
    shown,
    without_identities,
)
from tests.integration.http_api import Api
from tests.integration.s3_fixtures import S3
from tests.openapi import described
from tests.values import type_of

DEMO_IDS = range(1, 201)


def test_every_request_example_works(api: Api, database: Database, s3: S3) -> None:
    bodies_by_operation: dict[str, Any] = {}
    for operation in operations():
        if operation.tag == "backups" and "backed up" not in bodies_by_operation:
            bodies_by_operation["backed up"] = run_backup(database, s3.storage, retention=RETENTION)
        bodies = operation.body.examples.values() if operation.body else [None]
        for body in bodies:
            if operation.method == "DELETE":
                response = api.send(
                    "DELETE", operation.path.format(load_id=bodies_by_operation["upload_file"]["load_id"])
                )
            elif operation.body is None:
                response = api.get(address(operation))
            else:
                sent = body.encode() if isinstance(body, str) else body
                response = api.post(address(operation), sent, **{"Content-Type": operation.body.media_type})
            assert response.status in operation.responses, (operation.id, response.body)
            bodies_by_operation[operation.id] = response.body
    assert bodies_by_operation["get_load"]["id"] == 1
    assert bodies_by_operation["report_quarterly_hires"][0]["department"] == "Staff"
    assert [load["dataset"] for load in bodies_by_operation["list_loads"]["loads"]] == ["departments"] * 3
    assert set(bodies_by_operation["get_openapi"]["paths"]) == {operation.path for operation in operations()}


def ids(value: Any) -> Iterator[int]:
    """Return all ids of rows in a request body."""
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


# --- accepted rows and files


def another_value(dataset: Dataset) -> dict[str, Any]:
    """Return a column with another valid value than the one in the example."""
    others = {"text": "Another", "bigint": -7, "boolean": False}
    return next({c.name: others[type_of(c.kind)]} for c in dataset.values if type_of(c.kind) in others)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_the_responses_to_accepted_rows_equal_their_examples(api: Api, dataset: Dataset) -> None:
    load_parents(api, dataset)
    operation = OPERATIONS[f"upload_{dataset.route}"]
    assert_as_shown(operation, 201, send(api, operation))
    changed = upload_examples.row(dataset) | another_value(dataset)
    assert_as_shown(operation, 200, send(api, operation, body=changed))


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_the_response_to_an_accepted_batch_equals_its_example(api: Api, dataset: Dataset) -> None:
    load_parents(api, dataset)
    operation = OPERATIONS[f"upload_{dataset.route}_batch"]
    faulty = upload_examples.faulty_row(dataset)
    if faulty["id"] == 9001:  # the faulty row of the example has the id of a row that is accepted
        faulty["id"] = 9003
    rows = [upload_examples.row(dataset), upload_examples.row(dataset, without_id=True)]
    body = {"data": [*rows, faulty]}
    response = send(api, operation, body=body)
    response.body["rejected"][0]["row"]["id"] = upload_examples.faulty_row(dataset)["id"]
    assert_as_shown(operation, 200, response)


def test_the_response_to_a_check_equals_its_example(api: Api) -> None:
    file = upload_examples.checked_file(DATASETS["departments"])
    path = "/uploads/check?dataset=departments"
    assert_as_shown(OPERATIONS["check_file"], 200, send(api, OPERATIONS["check_file"], path=path, body=file))


def without_times(text: str) -> str:
    text = re.sub(r"https://[^\"]+", "https://…", text)  # replaces a presigned URL
    text = re.sub(r"\d{8}T\d{6}\.\d{6}Z-\d+", "time-id", text)
    return re.sub(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "time", text)


def comparable(body: Any) -> Any:
    return json.loads(without_times(json.dumps(without_identities(body))))


@pytest.mark.parametrize("name", ["get_load", "list_loads", "get_rejects"])
def test_the_response_with_a_load_equals_its_example(api: Api, name: str) -> None:
    rows = [{"job": "Clerk"}, {"id": 9002, "job": ""}]
    api.post("/job/upload/batch", {"data": rows}, **{"X-Correlation-Id": "import-2021-07-27"})
    response = send(api, OPERATIONS[name], path=OPERATIONS[name].path.replace("{load_id}", "1"))
    example = shown(OPERATIONS[name], 200, JSON)
    if name == "list_loads":
        example = example | {"next_cursor": None}  # the example shows a page before the last page
        response.body["loads"][0]["id"] = 7
    if name == "get_load":
        response.body["id"] = 7
    assert comparable(response.body) == comparable(example)
