"""What a request carries, checked: JSON bodies and query parameters."""

import json
from typing import Any, NoReturn

from chalice.app import Request

from chalicelib.errors import MalformedRequest, Unprocessable, UnsupportedMedia


def json_body(request: Request, *, optional: bool = False) -> Any:
    """The body as JSON; None where it is `optional` and there is none.

    Raises UnsupportedMedia, MalformedRequest (also for what Python's parser tolerates and JSON does
    not: NaN, Infinity).
    """
    raw = request.raw_body
    if optional and not raw.strip():
        return None
    media_type = str(request.headers.get("content-type", "application/json")).partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia(f"the body must be application/json, not {media_type[:60] or 'nothing'}")
    try:
        return json.loads(raw, parse_constant=_not_json)
    except RecursionError as error:
        raise MalformedRequest("the body is nested too deeply") from error
    except ValueError as error:
        raise MalformedRequest(f"the body is not JSON: {_reason(error)}") from error


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _reason(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return str(error)[:100]


def query(request: Request) -> dict[str, str]:
    """The query parameters, the last of each name."""
    return dict(request.query_params or {})


def whole_number(name: str, text: str, low: int, high: int) -> int:
    """A parameter in decimal digits. Raises Unprocessable."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
        return int(text)
    raise Unprocessable(f"{name} must be a whole number from {low} to {high}")


def one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    """A parameter with few values. Raises Unprocessable."""
    if text not in allowed:
        raise Unprocessable(f"{name} must be one of {', '.join(allowed)}")
    return text
