"""Errors as `application/problem+json` (RFC 9457), and the time limit, log line and correlation id of every request.

Which status an error has is said where the error is declared, in `core.errors`.
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

# Seconds for a request. API Gateway gives up after 29. The rest is for a cold start before, and for what is still under
# way at the end, for example a read from S3.
TIME = 20.0
TYPE = "application/problem+json"
UNFORESEEN = "Something went wrong on our side; nothing was stored."
_log = logging.getLogger("hireflow.api")

View = Callable[..., Any]


def problem(status: int, title: str, detail: str, **members: Any) -> Response:
    """A problem response; `members` are further members of the document."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(document, status_code=status, headers={"Content-Type": TYPE})


def of_error(error: HireflowError) -> Response:
    members = {"errors": error.errors} if error.errors else {}
    response = problem(error.status, error.title, error.detail, **members, **error.extension)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def endpoint(view: View) -> View:
    """A view whose exceptions become problems. An unforeseen exception tells the client nothing."""

    @wraps(view)
    def answering(*args: Any, **kwargs: Any) -> Any:
        try:
            return view(*args, **kwargs)
        except RecursionError:  # JSON that was just shallow enough to be read; it is all that recurses here
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
    """Middleware of the functions besides the API. Lambda logs the message of an exception that leaves a function, and
    an unforeseen one may quote a row. So we log it ourselves, and raise one that quotes nothing."""
    with logs.about(request_id=getattr(event.context, "aws_request_id", None)):
        try:
            return get_response(event)
        except HireflowError:
            raise
        except Exception:
            _log.exception("unforeseen error")
            raise HireflowError("an internal error; the log says where") from None


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    """Keep to the time that API Gateway grants. Answer every error as a problem, and every request with its correlation
    id. Failures on our side have the id in their body, too, so that users can report it."""
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
    """An error that Chalice itself answers (415, 405, …) in the form of ours; any other answer as it is."""
    body = response.body
    if response.status_code < HTTPStatus.BAD_REQUEST or not (isinstance(body, dict) and "Code" in body):
        return response
    [title, *_] = TITLES.get(response.status_code, (HTTPStatus(response.status_code).phrase,))
    converted = problem(response.status_code, title, str(body.get("Message", title)))
    converted.headers = {**response.headers, **converted.headers}
    return converted
