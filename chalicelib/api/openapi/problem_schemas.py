"""Declares the schemas of error responses: problems (RFC 9457), and the responses of API Gateway itself."""

from http import HTTPStatus

from chalicelib.api.http import access, origins, problems, requests
from chalicelib.api.load_routes import MAX_PAGE
from chalicelib.api.openapi.json_schema import COLUMNS, CORRELATION_ID, LOAD_ID, Json, closed, together
from chalicelib.api.openapi.upload_schemas import CODE, SUMMARY
from chalicelib.core.declarations import NAMES
from chalicelib.core.errors import TITLES

_MESSAGE: Json = {"type": ["string", "null"], "examples": ["Internal server error"]}
GATEWAY = closed({"message": _MESSAGE}, description="A response of API Gateway itself.")
MEANING = {
    400: "the body is not JSON in UTF-8, or names a member twice",
    401: "no valid token was sent",
    403: "the token's role is not allowed to do this, or a page of another origin sent the request",
    404: "there is no such load, restore point or file",
    409: "the file of the load has arrived, or the load has ended",
    413: f"the batch has too many rows, or the body has more than {requests.MAX_BODY / 1e6} MB; nothing was stored",
    415: "the body has no media type, or a media type that this path does not accept",
    422: "the request breaks a rule, or has an unknown, repeated or malformed query parameter",
    429: "all workers of the API are busy; nothing was stored",
    500: "an internal error; nothing was stored",
    503: "the database or the storage is unavailable; nothing was stored",
    504: "the request took too long and was stopped; `detail` says whether anything may have been stored",
}
DETAILS = {  # an example of `detail` for each status
    400: "the body is not JSON: Expecting value at line 1, column 1",
    401: access.MISSING_CREDENTIALS,
    403: origins.REFUSAL,
    404: "there is no load 7",
    409: "the file of load 7 has arrived: the load goes on",
    413: requests.too_large(4_600_000),
    415: requests.wrong_type("text/csv", (requests.JSON,)),
    422: f"limit must be a whole number from 1 to {MAX_PAGE}",
    429: "all workers are busy: try again in a second",  # from the embedded cloud, before any code of the API runs
    500: problems.UNFORESEEN,
    503: "the database cannot be reached",
    504: "the work took too long and was stopped",
}


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


def problem_schemas() -> dict[str, Json]:
    """Return the schemas of errors by name."""
    text: Json = {"type": "string", "examples": ["department is missing"]}
    fault = closed(
        {
            "field": {"enum": [*COLUMNS, None], "description": "null if the reason concerns the whole row"},
            "reason": text,
            "code": CODE,
        }
    )
    refused = _problem(422, errors={"type": "array", "items": fault, "minItems": 1}, load_id=LOAD_ID)
    # The problem for a body of the wrong shape has neither of the two members. The problem for a row has both members.
    refused["required"] = [name for name in refused["required"] if name not in ("errors", "load_id")]
    refused["dependentRequired"] = together(("errors", "load_id"))
    batch = _problem(422, **SUMMARY)
    batch["required"] = [name for name in batch["required"] if name not in SUMMARY]
    batch["dependentRequired"] = together(SUMMARY)
    at_fault: Json = {
        "enum": ["dataset", "filename", "size", *NAMES, None],
        "description": "null if the reason concerns the whole body",
    }
    faults = {"type": "array", "items": closed({"field": at_fault, "reason": text}), "minItems": 1}
    upload = _problem(422, errors=faults)
    return {
        **{f"Problem{status}": _problem(status) for status in MEANING},
        "RefusedRow": refused,
        "RefusedBatch": batch,
        "RefusedUpload": {**upload, "required": [name for name in upload["required"] if name != "errors"]},
        "GatewayMessage": GATEWAY,
    }
