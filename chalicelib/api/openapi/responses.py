"""Describes the responses of an operation: its own responses, problems (RFC 9457), and responses of API Gateway
itself."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from chalicelib.api.http.access import missing_rights
from chalicelib.api.http.parameters import unknown
from chalicelib.api.http.problems import TYPE
from chalicelib.api.openapi.examples import example
from chalicelib.api.openapi.json_schema import CORRELATION_ID, Json, ref
from chalicelib.api.openapi.operation import CSV, JSON, Operation
from chalicelib.api.openapi.problem_schemas import DETAILS, MEANING
from chalicelib.auth.roles import LOWEST, Need, Role
from chalicelib.core import correlation
from chalicelib.core.errors import TITLES


def _header(about: str, example: Any, **schema: Any) -> Json:
    """Return the description of a header that is always sent."""
    return {"description": about, "required": True, "schema": {"type": "string", **schema, "examples": [example]}}


_RETRY_AFTER = _header("seconds to wait before a retry", 5, type="integer", minimum=1)
# On AWS, API Gateway renames the header WWW-Authenticate to this name. So a response with a challenge has one of the
# two headers. A 403 for a page of another origin has no challenge.
_RENAMED = "x-amzn-Remapped-WWW-Authenticate"
_CHALLENGE = {
    name: {**_header(f"the required authentication (RFC 6750){more}", 'Bearer realm="hireflow"'), "required": False}
    for name, more in (
        ("WWW-Authenticate", f"; on AWS, API Gateway renames this header to {_RENAMED}"),
        (_RENAMED, "; on AWS, API Gateway gives this name to the header WWW-Authenticate"),
    )
}
HEADERS: dict[int, Json] = {
    401: _CHALLENGE,
    403: _CHALLENGE,
    429: {"Retry-After": {**_RETRY_AFTER, "required": False}},  # a 429 of API Gateway itself has no Retry-After
    503: {"Retry-After": _RETRY_AFTER},
    504: {"Retry-After": {**_RETRY_AFTER, "required": False}},  # a 504 of API Gateway itself has no Retry-After
}
_CORRELATION_ID: Json = {
    "description": "the id of the request in logs and loads: the id that was sent, or a new one",
    "required": True,
    "schema": CORRELATION_ID,
}
# The headers that an operation may name for its own responses.
OWN_HEADERS: dict[str, Json] = {
    "ETag": _header("this tag changes when the response changes", '"6f1ed002ab5595859014ebf0951522d9"'),
    "Cache-Control": _header("whether the response may be cached, and for how long", "private, no-cache"),
    "Vary": _header("the request headers on which the response depends", "Accept, Authorization"),
    "Content-Disposition": {
        **_header(
            "the name of the file, if the response is a file", "attachment; filename*=UTF-8''jobs-new-rejects.csv"
        ),
        "required": False,
    },
    "Link": {
        **_header("the path of the next part, if more rejects follow", '</loads/7/rejects?cursor=50000>; rel="next"'),
        "required": False,
    },
    "X-Truncated": {
        **_header("`true` if this part lacks requested rejects, and no later part has them", "true"),
        "required": False,
    },
    "Content-Security-Policy": _header("what the page may load: only files of its origin", "default-src 'none'"),
    "X-Content-Type-Options": _header("forbids the browser to guess the media type", "nosniff"),
}
# The responses of API Gateway itself: the meaning and the message of each status. AWS documents these responses as
# "gateway response types". One of these types is missing here: 429 "Limit Exceeded" comes from the quota of a usage
# plan, but no stage has a usage plan.
OF_GATEWAY = {
    413: (
        "the body is larger than 10 MB, or its base64 is larger than 6 MB, the limit of a Lambda function",
        "Request Too Long",
    ),
    429: ("too many requests at once", "Too Many Requests"),
    500: ("the function could not be invoked", "Internal server error"),
    502: ("the function crashed", "Internal server error"),
    504: ("no response within 29 seconds", "Endpoint request timed out"),
}
_FAILURES = {status for status in TITLES if status >= HTTPStatus.INTERNAL_SERVER_ERROR}
_LOAD_LINK: Json = {
    "operationId": "get_load",
    "parameters": {"load_id": "$response.body#/load_id"},
    "description": "the load that records this request",
}


def responses(operation: Operation, schemas: Mapping[str, Json], need: Need | None) -> Json:
    """Return the responses of an operation by status, in order.

    `schemas` are the schemas of the document by name. `need` is what a caller needs. It is None for a public route.
    """
    own = {HTTPStatus.INTERNAL_SERVER_ERROR} if operation.is_static else _FAILURES
    query = () if operation.any_query else (HTTPStatus.UNPROCESSABLE_ENTITY,)
    login = (HTTPStatus.UNAUTHORIZED,) if need else ()
    problems = {*operation.refusals, *query, *own, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, *login}
    gateway = {status for status in OF_GATEWAY if status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or operation.body}
    headers = {name: OWN_HEADERS[name] for name in operation.headers}
    always = {correlation.HEADER: _CORRELATION_ID}
    unchanged = (
        {"304": {"description": "nothing has changed", "headers": always | headers}} if "ETag" in headers else {}
    )
    details = _details(operation, need)
    of_operation = {
        str(int(status)): _response(
            operation,
            status,
            schemas,
            detail=details[status] if status in problems else None,
            gateway=status in gateway,
        )
        for status in {*operation.responses, *problems, *gateway}
    }
    return dict(sorted((of_operation | unchanged).items()))


def _details(operation: Operation, need: Need | None) -> dict[int, str]:
    """Return an example of `detail` for the problems of an operation, by status. `operation.examples` may replace an
    example."""
    details = dict(DETAILS)
    if HTTPStatus.UNPROCESSABLE_ENTITY not in operation.refusals:  # here a 422 can only mean a wrong query
        in_query = [p.name for p in operation.parameters if f"{{{p.name}}}" not in operation.path]
        details[HTTPStatus.UNPROCESSABLE_ENTITY] = unknown("page", in_query)
    if need and need.role is not LOWEST:
        ranks = list(Role)
        details[HTTPStatus.FORBIDDEN] = missing_rights(need, ranks[ranks.index(need.role) - 1])
    return details


def _response(
    operation: Operation, status: int, schemas: Mapping[str, Json], *, detail: str | None, gateway: bool
) -> Json:
    """Return the response for one status. Several kinds of responses may have this status: the operation's own
    response, a problem with this `detail`, and a response of API Gateway."""
    meanings: list[str] = []
    content: Json = {}
    members = operation.examples.get(status, {})
    if status in operation.responses:
        meaning, schema = operation.responses[status]
        meanings.append(meaning)
        if schema is not None:
            shown = example(schema, schemas)
            shown = {**shown, **members} if members and detail is None else shown
            content |= {media: _form(operation, media, schema, shown) for media in operation.media}
    if detail is not None:
        meanings.append(MEANING[status])
        refused = operation.refused.get(status, ref(f"Problem{int(status)}"))
        content[TYPE] = {"schema": refused, "example": {**example(refused, schemas), "detail": detail, **members}}
    if gateway:
        meaning, message = OF_GATEWAY[status]
        meanings.append(f"from API Gateway: {meaning}")
        content[JSON] = {"schema": ref("GatewayMessage"), "example": {"message": message}}
    has_body = bool(content) and operation.method != "HEAD"
    response: Json = {"description": "; ".join(meanings), **({"content": content} if has_body else {})}
    if detail is not None or status in operation.responses:
        own = operation.headers if status in operation.responses else ()
        correlation_id = {**_CORRELATION_ID, "required": not gateway}  # API Gateway sends no such header
        response["headers"] = {
            correlation.HEADER: correlation_id,
            **HEADERS.get(status, {}),
            **{name: OWN_HEADERS[name] for name in own},
        }
    if operation.leads_to_load and status in operation.responses:
        response["links"] = {"load": _LOAD_LINK}
    return response


def _form(operation: Operation, media: str, schema: Json, shown: Any) -> Json:
    """Return the schema and the example of a response for one of its media types."""
    if media == CSV and schema.get("type") != "string":  # the schema describes the response as JSON
        return {"schema": {"type": "string"}, "example": operation.csv_example or _csv(shown)}
    return {"schema": schema, "example": shown}


def _csv(report: Any) -> str:
    from chalicelib.formats.csv_export import csv_text

    rows = report if isinstance(report, list) else next(iter(report.values()))
    return csv_text(tuple(rows[0]), [tuple(row.values()) for row in rows])
