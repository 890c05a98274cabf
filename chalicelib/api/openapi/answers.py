"""The responses of an operation: its own, problems (RFC 9457), and those of API Gateway itself."""

from http import HTTPStatus

from chalicelib.api.openapi.operations import Operation
from chalicelib.api.openapi.schemas import LOAD_ID, SUMMARY, Json, closed, ref, together
from chalicelib.api.problems import TYPE
from chalicelib.datasets import DATASETS
from chalicelib.errors import TITLES

GATEWAY = closed({"message": {"type": ["string", "null"]}}, description="An answer of API Gateway itself.")
_RETRY_AFTER: Json = {
    "description": "seconds to wait before another try",
    "schema": {"type": "integer", "minimum": 1},
}
_CHALLENGE: Json = {"description": "what is missing, as RFC 6750 has it", "schema": {"type": "string"}}
HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {**_CHALLENGE, "required": True}},
    403: {"WWW-Authenticate": {**_CHALLENGE, "required": True}},
    503: {"Retry-After": {**_RETRY_AFTER, "required": True}},
    504: {"Retry-After": _RETRY_AFTER},  # API Gateway's own has none
}
_OF_REPORTS: Json = {
    "ETag": {"description": "changes with the data", "schema": {"type": "string"}, "required": True},
    "Cache-Control": {"description": "to be asked for again", "schema": {"type": "string"}, "required": True},
    "Vary": {"description": "what else it depends on", "schema": {"type": "string"}, "required": True},
}
OF_GATEWAY = {
    413: "the body is larger than 10 MB, or than the 6 MB that a function takes",
    429: "too many requests at once",
    502: "the function broke down",
    504: "no answer within 29 seconds",
}
MEANING = {
    400: "the body is not JSON",
    401: "no valid token was sent",
    403: "the token's role is not allowed to do this",
    404: "there is no such load or restore point",
    413: "more rows than a batch may hold, or a larger body than can be checked; nothing was stored",
    415: "the body is not of a media type that is taken here",
    422: "a rule is broken",
    500: "an error on our side; nothing was stored",
    503: "the database or the storage is away; nothing was stored",
    504: "it took too long and was given up; `detail` says whether anything may have been stored",
}
_AUTHENTICATION = (401, 403)
_FAILURES = {status for status in TITLES if status >= HTTPStatus.INTERNAL_SERVER_ERROR}
_LOAD_LINK: Json = {
    "operationId": "get_load",
    "parameters": {"load_id": "$response.body#/load_id"},
    "description": "the load that records this",
}


def responses(operation: Operation, *, guarded: bool) -> Json:
    """By status, in order. `guarded` where a caller needs a role."""
    own = {HTTPStatus.INTERNAL_SERVER_ERROR} if operation.is_static else _FAILURES
    problems = {*operation.refusals, *own, *(_AUTHENTICATION if guarded else ())}
    gateway = {status for status in OF_GATEWAY if status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or operation.body}
    unchanged = {"304": {"description": "nothing has changed", "headers": _OF_REPORTS}} if operation.is_report else {}
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
        content["application/json"] = {"schema": schema}
        if operation.is_report:
            content["text/csv"] = {"schema": {"type": "string"}}
    if problem:
        meanings.append(MEANING[status])
        content[TYPE] = {"schema": operation.refused.get(status, ref(f"Problem{int(status)}"))}
    if gateway:
        meanings.append(f"from API Gateway: {OF_GATEWAY[status]}")
        content["application/json"] = {"schema": ref("GatewayMessage")}
    response: Json = {"description": "; ".join(meanings), "content": content}
    if status in HEADERS and (problem or status in operation.answers):
        response["headers"] = HEADERS[status]
    if operation.is_report and status in operation.answers:
        response["headers"] = _OF_REPORTS
    if operation.leads_to_load and status in operation.answers:
        response["links"] = {"load": _LOAD_LINK}
    return response


def _problem(status: int, **more: Json) -> Json:
    titles = TITLES.get(status, (HTTPStatus(status).phrase,))
    members: dict[str, Json] = {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "enum": list(titles)},
        "status": {"const": int(status)},
        "detail": {"type": "string"},
    }
    return closed(members | more, description=MEANING[status], optional=())


def components() -> dict[str, Json]:
    """Schemas of all problems, by name."""
    text: Json = {"type": "string"}
    columns = list(dict.fromkeys(column.name for dataset in DATASETS.values() for column in dataset.columns))
    fault = closed({"field": {"enum": [*columns, None], "description": "null for the row itself"}, "reason": text})
    refused = _problem(422, errors={"type": "array", "items": fault, "minItems": 1}, load_id=LOAD_ID)
    # a body of the wrong shape is refused without these members, which come all together
    refused["required"] = [name for name in refused["required"] if name not in ("errors", "load_id")]
    refused["dependentRequired"] = together(("errors", "load_id"))
    batch = _problem(422, **SUMMARY)
    batch["required"] = [name for name in batch["required"] if name not in SUMMARY]
    batch["dependentRequired"] = together(SUMMARY)
    return {
        **{f"Problem{status}": _problem(status) for status in MEANING},
        "RefusedRow": refused,
        "RefusedBatch": batch,
        "GatewayMessage": GATEWAY,
    }
