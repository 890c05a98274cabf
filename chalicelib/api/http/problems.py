"""Errors as `application/problem+json` (RFC 9457), and the time limit, log line and correlation id of every request.

`core.errors` declares the errors with their statuses.
"""

import logging
import time
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from chalice.app import Request, Response

from chalicelib.api.http.requests import TOO_DEEP, correlation_id
from chalicelib.core import deadline, logs
from chalicelib.core.correlation import HEADER
from chalicelib.core.errors import TITLES, HireflowError, MalformedRequest, Unavailable

# Seconds for a request. API Gateway times out after 29 seconds. The difference is for a cold start before the request,
# and for an operation that is still running at the end, for example a read from S3.
TIME = 20.0
TYPE = "application/problem+json"
UNFORESEEN = "Something went wrong on our side; nothing was stored."
_log = logging.getLogger("hireflow.api")

View = Callable[..., Any]


def problem(status: int, title: str, detail: str, **members: Any) -> Response:
    """Return a problem response. `members` are further members of the document."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(document, status_code=status, headers={"Content-Type": TYPE})


def of_error(error: HireflowError) -> Response:
    members = {"errors": error.errors} if error.errors else {}
    response = problem(error.status, error.title, error.detail, **members, **error.extension)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def endpoint(view: View) -> View:
    """Return a view that turns exceptions into problems. The problem of an unforeseen exception has no details of
    it."""

    @wraps(view)
    def answering(*args: Any, **kwargs: Any) -> Any:
        try:
            return view(*args, **kwargs)
        except RecursionError:  # only deeply nested JSON recurses here: it could be parsed, but not checked
            return of_error(MalformedRequest(TOO_DEEP))
        except HireflowError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                _log.warning("%s: %s", type(error).__name__, error.detail, exc_info=True)
            return of_error(error)
        except Exception:
            _log.exception("unforeseen error")
            return problem(500, HireflowError.title, UNFORESEEN)

    return answering


def discreet(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Middleware of all functions except the API. It keeps rows out of the log of Lambda.

    Lambda logs the message of an exception that leaves a function, and the message of an unforeseen exception may quote
    a row. So this middleware logs the exception itself, and raises one that quotes nothing.
    """
    with logs.about(request_id=getattr(event.context, "aws_request_id", None)):
        try:
            return get_response(event)
        except HireflowError:
            raise
        except Exception:
            _log.exception("unforeseen error")
            raise HireflowError("an internal error: see the log for its place") from None


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    """Middleware of the API. It limits the time of a request, turns every error into a problem, and adds the
    correlation id to the headers. A 5xx also has the id in its body, so that users can report it."""
    began, context, identity = time.monotonic(), event.context, correlation_id(event)
    with deadline.within(TIME), logs.about(request_id=context.get("requestId"), correlation_id=identity):
        response = _as_problem(endpoint(get_response)(event))
        fields = {"method": event.method, "route": context.get("resourcePath"), "status": response.status_code}
        _log.info("request", extra={**fields, "ms": round((time.monotonic() - began) * 1000, 1)})
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and response.headers.get("Content-Type") == TYPE:
        response.body["correlation_id"] = identity
    response.headers[HEADER] = identity
    return response


def _as_problem(response: Response) -> Response:
    """Convert a response of Chalice itself to an error (405, …) into a problem. Leave any other response as it is."""
    body = response.body
    if response.status_code < HTTPStatus.BAD_REQUEST or not (isinstance(body, dict) and "Code" in body):
        return response
    [title, *_] = TITLES.get(response.status_code, (HTTPStatus(response.status_code).phrase,))
    converted = problem(response.status_code, title, str(body.get("Message", title)))
    converted.headers = {**response.headers, **converted.headers}
    return converted
