"""Returns the examples of the OpenAPI document, sends them to the API, and compares responses with them."""

import re
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from chalicelib.api.http.problems import TYPE
from chalicelib.api.http.requests import JSON
from chalicelib.api.openapi.operation import Operation
from chalicelib.api.openapi.operations import operations
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from tests.integration.http_api import Api, Response
from tests.openapi import described
from tests.rows import ancestors

RETENTION = timedelta(days=30)
OPERATIONS = {operation.id: operation for operation in operations()}
BY_ROUTE = {dataset.route: dataset for dataset in DATASETS.values()}


def address(operation: Operation) -> str:
    path, query = operation.path, []
    for parameter in operation.parameters:
        if f"{{{parameter.name}}}" in path:
            path = path.replace(f"{{{parameter.name}}}", str(parameter.example))
        else:
            query.append(f"{parameter.name}={parameter.example}")
    return f"{path}?{'&'.join(query)}" if query else path


def shown(operation: Operation, status: int, media: str) -> Any:
    content = described().document["paths"][operation.path][operation.method.lower()]["responses"][str(status)]
    return content["content"][media]["example"]


def without_identities(value: Any) -> Any:
    """Return a body in which fixed values replace the ids of loads, names of buckets and correlation ids."""
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
    """Send a request to an operation. Without `path` or `body`, send those of the operation's example."""
    example = next(iter(operation.body.examples.values())) if operation.body and body is None else body
    media = operation.body.media_type if operation.body else None
    if isinstance(example, str):
        example = example.encode()
    if operation.body:
        return api.post(path or address(operation), example, **({"Content-Type": media} if media else {}) | headers)
    return api.send(operation.method, path or address(operation), headers=headers)


def load_parents(api: Api, dataset: Dataset = DATASETS["hired_employees"]) -> None:
    """Store the rows to which the examples of a dataset refer."""
    for parent in ancestors(dataset):
        assert send(api, OPERATIONS[f"upload_{parent.route}"]).status in (200, 201)


def content(operation: Operation, status: int) -> dict[str, Any]:
    found = described().document["paths"][operation.path][operation.method.lower()]["responses"]
    content: dict[str, Any] = found.get(str(status), {}).get("content", {})
    return content
