"""Turns errors into `application/problem+json` (RFC 9457). Gives every request its time limit, log line and correlation
id.

`core.errors` declares the errors with their statuses.
"""

import logging
import time
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from chalice.app import Request, Response

from chalicelib.api.http.answers import sendable
from chalicelib.api.http.requests import TOO_DEEP, correlation_id
from chalicelib.core import deadline, logs
from chalicelib.core.correlation import HEADER
from chalicelib.core.errors import TITLES, HireflowError, MalformedRequest, Unavailable

# The time limit of a request in seconds. API Gateway times out after 29 seconds. The other 9 seconds are for a cold
# start before the request, and for an operation that is still running at the time limit, for example a read from S3.
TIME = 20.0
TYPE = "application/problem+json"
UNFORESEEN = "Something went wrong on our side; nothing was stored."
_log = logging.getLogger("hireflow.api")

View = Callable[..., Any]


def problem(status: int, title: str, detail: str, **members: Any) -> Response:
    """Return a problem response. `members` are added to the members that every problem has."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(document, status_code=status, headers={"Content-Type": TYPE})


def of_error(error: HireflowError) -> Response:
    members = {"errors": error.errors} if error.errors else {}
    response = problem(error.status, error.title, error.detail, **members, **error.extension)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def endpoint(view: View) -> View:
    """Return a view that turns the exceptions of `view` into problems. The problem for an unforeseen exception shows no
    details of the exception."""

    @wraps(view)
    def answering(*args: Any, **kwargs: Any) -> Any:
        try:
            return view(*args, **kwargs)
        except RecursionError:  # the JSON is nested so deeply that it could be parsed, but not checked
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
    """Keep the data of rows out of the log of Lambda. This is the middleware of all functions except the API.

    Lambda logs the message of an exception that a function raises, and the message of an unforeseen exception may quote
    a row. This middleware therefore writes an unforeseen exception to the log of Hireflow, and raises an exception that
    quotes nothing.
    """
    with logs.about(request_id=getattr(event.context, "aws_request_id", None)):
        try:
            return get_response(event)
        except HireflowError:
            raise
        except Exception:
            _log.exception("unforeseen error")
            raise HireflowError("an internal error: the log shows where in the code it occurred") from None


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    """Limit the time of a request, turn every error into a problem, and add the correlation id to the headers. The body
    of a 5xx also has the correlation id, so that users can report the id. This is the middleware of the API."""
    began, context, identity = time.monotonic(), event.context, correlation_id(event)
    with deadline.within(TIME), logs.about(request_id=context.get("requestId"), correlation_id=identity):
        response = _as_problem(endpoint(get_response)(event))
        fields = {"method": event.method, "route": context.get("resourcePath"), "status": response.status_code}
        _log.info("request", extra={**fields, "ms": round((time.monotonic() - began) * 1000, 1)})
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and response.headers.get("Content-Type") == TYPE:
        response.body["correlation_id"] = identity
    response.headers[HEADER] = identity
    return _sendable(response)


def _sendable(response: Response) -> Response:
    try:
        return sendable(response)
    except HireflowError as error:
        too_large = of_error(error)
        too_large.headers[HEADER] = too_large.body["correlation_id"] = response.headers[HEADER]
        return sendable(too_large)


def _as_problem(response: Response) -> Response:
    """Convert a response that Chalice made for an error, for example a 405, into a problem. Return any other response
    unchanged."""
    body = response.body
    if response.status_code < HTTPStatus.BAD_REQUEST or not (isinstance(body, dict) and "Code" in body):
        return response
    [title, *_] = TITLES.get(response.status_code, (HTTPStatus(response.status_code).phrase,))
    converted = problem(response.status_code, title, str(body.get("Message", title)))
    converted.headers = {**response.headers, **converted.headers}
    return converted
