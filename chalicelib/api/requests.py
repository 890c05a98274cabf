"""What a request says: its correlation id, and its JSON body, checked."""

import json
import sys
from typing import Any, Final, NoReturn, cast

from chalice.app import Request

from chalicelib import correlation
from chalicelib.errors import MalformedRequest, UnsupportedMedia

TOO_DEEP: Final = "the body is nested too deeply"
_MOST_DIGITS = 300  # of an int that a float can hold as well


def correlation_id(request: Request) -> str:
    """The caller's name for the request, where it is a sane one, else API Gateway's."""
    sent, function = str(request.headers.get(correlation.HEADER, "")), cast(Any, request.lambda_context)
    return sent if correlation.is_sane(sent) else str(request.context.get("requestId") or function.aws_request_id)


def json_body(request: Request, *, optional: bool = False) -> Any:
    """The body as JSON; None where it is `optional` and there is none.

    Raises UnsupportedMedia, MalformedRequest (also for what Python's parser tolerates and JSON does
    not: NaN, Infinity).
    """
    raw = raw_body(request)
    if optional and not raw.strip():
        return None
    media_type(request, ("application/json",))
    try:
        return json.loads(raw, parse_constant=_not_json, parse_float=_number, parse_int=_whole)
    except RecursionError as error:
        raise MalformedRequest(TOO_DEEP) from error
    except ValueError as error:
        raise MalformedRequest(f"the body is not JSON: {_reason(error)}") from error


def media_type(request: Request, taken: tuple[str, ...]) -> str:
    """The type of the body, one of those `taken`. Raises UnsupportedMedia, also where none is told: a page of
    another origin may send a body without a type unasked."""
    found = str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if found not in taken:
        raise UnsupportedMedia(
            f"the body must be {' or '.join(taken)}, not {found[:60]}"
            if found
            else f"the body needs a Content-Type: {' or '.join(taken)}"
        )
    return found


def raw_body(request: Request) -> bytes:
    """The bytes that were sent. Raises MalformedRequest."""
    try:
        raw = request.raw_body
        return raw.encode() if isinstance(raw, str) else raw
    except ValueError as error:  # text that cannot be encoded, base64 that is none
        raise MalformedRequest("the body is not readable") from error


def _number(text: str) -> float:
    """A JSON number; one that no float can hold becomes the largest: no rule lets it pass, and it can be
    shown to the sender, which infinity cannot."""
    return max(-sys.float_info.max, min(sys.float_info.max, float(text)))


def _whole(text: str) -> float:
    return int(text) if len(text) <= _MOST_DIGITS else _number(text)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _reason(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return str(error)[:100]
