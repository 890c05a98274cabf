"""Makes the OpenAPI 3.1 document from the declarations in the code: datasets, parameters, limits and errors.

This module is imported only when a client requests the document, because other cold starts do not need it. Tests
compare the document with Chalice's routes, and with every response that the API gives in the tests.
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from chalicelib.api.http.parameters import Parameter
from chalicelib.api.openapi import problem_schemas
from chalicelib.api.openapi.components import components
from chalicelib.api.openapi.json_schema import CORRELATION_ID, Json
from chalicelib.api.openapi.operation import Operation
from chalicelib.api.openapi.operations import TAGS, operations
from chalicelib.api.openapi.responses import responses
from chalicelib.auth.roles import ROLES, ROWS, Need
from chalicelib.core import correlation
from chalicelib.core.browser_headers import HEADERS
from chalicelib.core.product_version import product_version
from chalicelib.reports.declaration import Report
from chalicelib.reports.hires import REPORTS

_ALWAYS_SENT = ", ".join(f"`{name}`" for name in HEADERS)
ABOUT = f"""\
The API stores rows, returns forms for sending files, returns reports, and starts restores.

Every error of the platform is `application/problem+json` (RFC 9457). Amazon API Gateway receives all requests
first, and responds to some requests itself. The body of such a response is `application/json` that has only a
`message`. For a path or a method that is not in this document, API Gateway responds with {HTTPStatus.FORBIDDEN.value}
(`Missing Authentication Token`). This document describes its other responses with the words "from API Gateway".

Every response of the platform has the headers {_ALWAYS_SENT}. If an operation
does not describe `Cache-Control`, its value is `no-store`.
"""
_CORRELATION_ID: Json = {
    "name": correlation.HEADER,
    "in": "header",
    "required": False,
    "description": "the id of this request in the response, the logs and the load: 1 to 64 of A-Z a-z 0-9 . _ -."
    " A value of another form is replaced by a new id",
    "schema": {"type": "string", "examples": CORRELATION_ID["examples"]},
}
_TOKEN = (
    f"the token of a role: {', '.join(ROLES[:-1])} or {ROLES[-1]}. `x-role` names the role that an operation needs."
    f" If an operation has `x-right`, a token with the right `{ROWS}` suffices, too"
)
NeedOf = Callable[[str, str], Need | None]


def document(need_of: NeedOf, reports: Iterable[Report] = REPORTS) -> Json:
    """Return the document of an API with these reports.

    `need_of(method, path)` returns what a caller needs for a route. It returns None for a public route.
    """
    reports = tuple(reports)
    every = list(operations(reports))
    schemas = components(reports) | problem_schemas.problem_schemas()
    needs = {operation.id: need_of(operation.method, operation.path) for operation in every}
    guarded = any(needs.values())
    paths: dict[str, Json] = {}
    for operation in every:
        shown = _shown(operation, needs[operation.id], schemas)
        if guarded and operation.tells_more:
            shown["security"] = [{}, {"bearer": []}]
        paths.setdefault(operation.path, {})[operation.method.lower()] = shown
    bearer = {"type": "http", "scheme": "bearer", "description": _TOKEN}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Hireflow",
            "version": product_version(),
            "summary": "Hiring data platform",
            "description": ABOUT,
        },
        "servers": [{"url": ".", "description": "the address of this document"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            **({"securitySchemes": {"bearer": bearer}} if guarded else {}),
        },
    }


def _shown(operation: Operation, need: Need | None, schemas: Mapping[str, Json]) -> Json:
    shown: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.about} if operation.about else {}),
        "security": [] if need is None else [{"bearer": []}],
        **({} if need is None else {"x-role": need.role.value}),
        **({"x-right": ROWS} if need and need.or_rows else {}),
    }
    shown["parameters"] = [*(_parameter(operation, parameter) for parameter in operation.parameters), _CORRELATION_ID]
    if operation.body:
        examples = {name: {"value": value} for name, value in operation.body.examples.items()}
        content: Json = {operation.body.media_type: {"schema": operation.body.schema, "examples": examples}}
        content |= {media_type: {} for media_type in operation.body.binary}
        shown["requestBody"] = {"required": operation.body.required, "content": content}
    shown["responses"] = responses(operation, schemas, need)
    return shown


def _parameter(operation: Operation, parameter: Parameter) -> Json:
    in_path = f"{{{parameter.name}}}" in operation.path
    default = {} if parameter.default is None else {"default": parameter.default}
    return {
        "name": parameter.name,
        "in": "path" if in_path else "query",
        "required": in_path or parameter.required,
        "description": parameter.about,
        "schema": {**parameter.schema(), **default},
        "example": parameter.example,
    }
