"""The responses of an operation: its own, problems (RFC 9457), and those of API Gateway itself."""

from functools import cache
from http import HTTPStatus
from typing import Any

from chalicelib.api.http.parameters import unknown
from chalicelib.api.http.problems import TYPE
from chalicelib.api.openapi import schemas
from chalicelib.api.openapi.examples import example
from chalicelib.api.openapi.operations import CSV, JSON, Operation
from chalicelib.api.openapi.schemas import CORRELATION_ID, LOAD_ID, SUMMARY, Json, closed, ref, together
from chalicelib.core import correlation
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import TITLES

_MESSAGE: Json = {"type": ["string", "null"], "examples": ["Internal server error"]}
GATEWAY = closed({"message": _MESSAGE}, description="An answer of API Gateway itself.")


def _header(about: str, example: Any, **schema: Any) -> Json:
    """One that is always there."""
    return {"description": about, "required": True, "schema": {"type": "string", **schema, "examples": [example]}}


_RETRY_AFTER = _header("seconds to wait before another try", 5, type="integer", minimum=1)
_CHALLENGE = _header("what is missing, as RFC 6750 has it", 'Bearer realm="hireflow"')
HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    403: {"WWW-Authenticate": {**_CHALLENGE, "required": False}},  # not sent to a page of another origin
    503: {"Retry-After": _RETRY_AFTER},
    504: {"Retry-After": {**_RETRY_AFTER, "required": False}},  # API Gateway's own has none
}
_CALLED: Json = {
    "description": "what the request is called in logs and loads: as was asked, or a new id",
    "required": True,
    "schema": CORRELATION_ID,
}
# What an operation's own answers come with, where it names them.
TOLD: dict[str, Json] = {
    "ETag": _header("changes with what is answered", '"6f1ed002ab5595859014ebf0951522d9"'),
    "Cache-Control": _header("how long it may be kept, and whether to ask again", "private, no-cache"),
    "Vary": _header("what else it depends on", "Accept, Authorization"),
    "Content-Security-Policy": _header("what the page may load: nothing from elsewhere", "default-src 'none'"),
    "X-Content-Type-Options": _header("it is of the type that it says", "nosniff"),
}
OF_GATEWAY = {
    413: "the body is larger than 10 MB, or its base64 is larger than the 6 MB that a function takes",
    429: "too many requests at once",
    502: "the function broke down",
    504: "no answer within 29 seconds",
}
MEANING = {
    400: "the body is not JSON in UTF-8, or names a member twice",
    401: "no valid token was sent",
    403: "the token's role is not allowed to do this, or a page of another origin sent the request",
    404: "there is no such load, restore point or file",
    409: "the file has arrived, or the load has ended",
    413: "more rows than a batch may hold, or a body of more than 4.5 MB; nothing was stored",
    415: "the body has no media type, or one that is not accepted here",
    422: "a rule is broken, or a query parameter is unknown, repeated or malformed",
    500: "an error on our side; nothing was stored",
    503: "the database or the storage is away; nothing was stored",
    504: "it took too long and was given up; `detail` says whether anything may have been stored",
}
DETAILS = {  # examples of what is said
    400: "the body is not JSON: Expecting value at line 1, column 1",
    401: "this needs a token: Authorization: Bearer …",
    403: "this needs the role writer, the token has the role reader",
    404: "there is no load 7",
    409: "the file of load 7 has arrived: it is running, and goes on",
    413: "a batch holds at most 1000 rows, this one has 1001; nothing was stored",
    415: "the body must be application/json, not text/plain",
    422: "limit must be a whole number from 1 to 100",
    500: "Something went wrong on our side; nothing was stored.",
    503: "the database cannot be reached",
    504: "this took too long and was given up",
}
_FAILURES = {status for status in TITLES if status >= HTTPStatus.INTERNAL_SERVER_ERROR}
_LOAD_LINK: Json = {
    "operationId": "get_load",
    "parameters": {"load_id": "$response.body#/load_id"},
    "description": "the load that records this",
}


def responses(operation: Operation, *, guarded: bool) -> Json:
    """By status, in order. `guarded` where a caller needs a role."""
    own = {HTTPStatus.INTERNAL_SERVER_ERROR} if operation.is_static else _FAILURES
    query = () if operation.any_query else (HTTPStatus.UNPROCESSABLE_ENTITY,)
    login = (HTTPStatus.UNAUTHORIZED,) if guarded else ()
    problems = {*operation.refusals, *query, *own, HTTPStatus.FORBIDDEN, *login}
    gateway = {status for status in OF_GATEWAY if status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or operation.body}
    headers = {name: TOLD[name] for name in operation.headers}
    always = {correlation.HEADER: _CALLED}
    unchanged = (
        {"304": {"description": "nothing has changed", "headers": always | headers}} if "ETag" in headers else {}
    )
    answers = {
        str(int(status)): _response(operation, status, problem=status in problems, gateway=status in gateway)
        for status in {*operation.answers, *problems, *gateway}
    }
    return dict(sorted((answers | unchanged).items()))


def _response(operation: Operation, status: int, *, problem: bool, gateway: bool) -> Json:
    meanings: list[str] = []
    content: Json = {}
    if status in operation.answers:
        meaning, schema = operation.answers[status]
        meanings.append(meaning)
        if schema is not None:
            content |= {media: _form(media, schema, _example(schema)) for media in operation.media}
    if problem:
        meanings.append(MEANING[status])
        refused = operation.refused.get(status, ref(f"Problem{int(status)}"))
        detail = operation.details.get(status, DETAILS[status])
        if status == HTTPStatus.UNPROCESSABLE_ENTITY and status not in operation.refusals:  # only for its query
            detail = unknown("page", [p.name for p in operation.parameters if f"{{{p.name}}}" not in operation.path])
        content[TYPE] = {"schema": refused, "example": {**_example(refused), "detail": detail}}
    if gateway:
        meanings.append(f"from API Gateway: {OF_GATEWAY[status]}")
        content[JSON] = {"schema": ref("GatewayMessage"), "example": _example(GATEWAY)}
    response: Json = {"description": "; ".join(meanings), **({"content": content} if content else {})}
    if problem or status in operation.answers:
        own = operation.headers if status in operation.answers else ()
        called = {**_CALLED, "required": not gateway}  # API Gateway's own answers have none
        response["headers"] = {
            correlation.HEADER: called,
            **HEADERS.get(status, {}),
            **{name: TOLD[name] for name in own},
        }
    if operation.leads_to_load and status in operation.answers:
        response["links"] = {"load": _LOAD_LINK}
    return response


def _form(media: str, schema: Json, shown: Any) -> Json:
    """The answer as one of the types that it comes as."""
    if media == CSV and schema.get("type") != "string":  # what is described is the JSON
        return {"schema": {"type": "string"}, "example": _csv(shown)}
    return {"schema": schema, "example": shown}


def _csv(report: Any) -> str:
    from chalicelib.formats.csv_export import csv_text

    rows = report if isinstance(report, list) else next(iter(report.values()))
    return csv_text(tuple(rows[0]), [tuple(row.values()) for row in rows])


def _example(schema: Json) -> Any:
    return example(schema, _every_component())


@cache
def _every_component() -> dict[str, Json]:
    return schemas.components() | components()


def _problem(status: int, **more: Json) -> Json:
    titles = TITLES.get(status, (HTTPStatus(status).phrase,))
    members: dict[str, Json] = {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "enum": list(titles)},
        "status": {"const": int(status)},
        "detail": {"type": "string", "examples": [DETAILS[status]]},
        **({"correlation_id": CORRELATION_ID} if status >= HTTPStatus.INTERNAL_SERVER_ERROR else {}),
    }
    return closed(members | more, description=MEANING[status], optional=())


def components() -> dict[str, Json]:
    """Schemas of all problems, by name."""
    text: Json = {"type": "string", "examples": ["department is missing"]}
    columns = list(dict.fromkeys(column.name for dataset in DATASETS.values() for column in dataset.columns))
    fault = closed({"field": {"enum": [*columns, None], "description": "null for the row itself"}, "reason": text})
    refused = _problem(422, errors={"type": "array", "items": fault, "minItems": 1}, load_id=LOAD_ID)
    # a body of the wrong shape is refused without these members, which come all together
    refused["required"] = [name for name in refused["required"] if name not in ("errors", "load_id")]
    refused["dependentRequired"] = together(("errors", "load_id"))
    batch = _problem(422, **SUMMARY)
    batch["required"] = [name for name in batch["required"] if name not in SUMMARY]
    batch["dependentRequired"] = together(SUMMARY)
    at_fault: Json = {"enum": ["dataset", "filename", "size", None], "description": "null for the body itself"}
    faults = {"type": "array", "items": closed({"field": at_fault, "reason": text}), "minItems": 1}
    upload = _problem(422, errors=faults)
    return {
        **{f"Problem{status}": _problem(status) for status in MEANING},
        "RefusedRow": refused,
        "RefusedBatch": batch,
        "RefusedUpload": {**upload, "required": [name for name in upload["required"] if name != "errors"]},
        "GatewayMessage": GATEWAY,
    }
