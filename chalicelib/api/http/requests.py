"""Reads the correlation id and the body of a request.

API Gateway decodes a text body before the function sees it, and replaces bytes that are not UTF-8 with U+FFFD. The
original bytes are then lost. API Gateway keeps the bytes of a body whose media type is binary, so JSON is declared as a
binary type (`BINARY`).
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

from chalice.app import Request

from chalicelib.core import correlation
from chalicelib.core.errors import MalformedRequest, TooLarge, UnsupportedMedia
from chalicelib.core.json_numbers import JsonNumber

# The wildcard matters. API Gateway accepts wildcards in its list of binary types, but Chalice compares the list
# literally with the type of every response. If the list named application/json, Chalice would encode JSON responses as
# base64, and API Gateway would send the base64 to the client.
BINARY: Final = "application/*"
# API Gateway sends a workbook as bytes only to a client whose Accept begins with a binary type, and most clients accept
# any type. So while Chalice describes the API to API Gateway, in an environment with the variable DESCRIBING, all types
# are binary. The functions must not have this wildcard: Chalice would encode every response as base64.
ANY: Final = "*/*"
DESCRIBING: Final = "DESCRIBING_API"
JSON: Final = "application/json"
# The most bytes in a body. A Lambda event has at most 6 MB of JSON. The JSON has the body as base64, in which four
# characters stand for three bytes.
MAX_BODY: Final = 4_500_000
TOO_DEEP: Final = "the body is nested too deeply"
_NOT_UTF_8: Final = "the body is not UTF-8"
REPLACED_BYTES: Final = (
    f"{_NOT_UTF_8}, or holds U+FFFD, which also replaces bytes that are not UTF-8: write U+FFFD as \\ufffd"
)
_OTHER_CHARSET: Final = f"{_NOT_UTF_8}: send JSON in UTF-8, without another charset"
_PACKED: Final = "the body is packed by gzip: say so in the header Content-Encoding: gzip"
_GZIP: Final = b"\x1f\x8b"
_REPLACED = "\ufffd"
_SHOWN = 60  # an error quotes at most this many characters of a member's name
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\";]*)", re.IGNORECASE)
_UTF_8 = ("utf-8", "utf8", "us-ascii")


def correlation_id(request: Request) -> str:
    """Return the correlation id that the caller sent if it is well-formed, otherwise the request id of API Gateway."""
    sent, function = str(request.headers.get(correlation.HEADER, "")), cast(Any, request.lambda_context)
    return sent if correlation.is_sane(sent) else str(request.context.get("requestId") or function.aws_request_id)


def json_body(request: Request, *, optional: bool = False) -> Any:
    """Return the JSON value in the body, which may be compressed with gzip. Return None if the body is `optional` and
    empty.

    Raises UnsupportedMedia for another media type or content coding, TooLarge for a body that is too large after
    decompression, and MalformedRequest for a body that is not JSON. NaN and Infinity are malformed, too. Python's
    parser accepts these values, but JSON does not allow them.
    """
    raw = raw_body(request)
    if optional and not raw.strip():
        return None
    media_type(request, (JSON,))
    raw = _unpacked(request, raw)
    try:
        text = raw.decode("utf-8-sig")
        try:
            return _parsed(text, int)
        except json.JSONDecodeError:
            raise
        except ValueError:  # perhaps `int` has refused a number with more than 4300 digits
            return _parsed(text, JsonNumber)
    except RecursionError as error:
        raise MalformedRequest(TOO_DEEP) from error
    except UnicodeDecodeError as error:
        raise MalformedRequest(_PACKED if raw.startswith(_GZIP) else _OTHER_CHARSET) from error
    except ValueError as error:
        is_wide = b"\0" in raw[:4]  # in UTF-16 and UTF-32 the first characters of any JSON contain a NUL byte
        raise MalformedRequest(_NOT_UTF_8 if is_wide else f"the body is not JSON: {_reason(error)}") from error


def _parsed(text: str, parse_int: Callable[[str], float]) -> Any:
    return json.loads(
        text, parse_constant=_not_json, parse_float=JsonNumber, parse_int=parse_int, object_pairs_hook=_object
    )


def _unpacked(request: Request, raw: bytes) -> bytes:
    """Decompress a body that was sent with `Content-Encoding: gzip`. Return any other body unchanged.

    Raises UnsupportedMedia for another content coding, MalformedRequest for damaged gzip, and TooLarge if the
    decompressed body has more than MAX_BODY bytes.
    """
    coding = str(request.headers.get("content-encoding", "")).strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in ("gzip", "x-gzip"):
        raise UnsupportedMedia(f"the body may be packed by gzip, not by {coding[:_SHOWN]}")
    import gzip  # here, because only few bodies are compressed
    import io
    import zlib

    try:
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_BODY + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedRequest("the body is not valid gzip, as its Content-Encoding says") from error
    if len(unpacked) > MAX_BODY:
        raise TooLarge(f"a body has at most {MAX_BODY / 1e6} MB, also when it is unpacked; nothing was stored")
    return unpacked


def too_large(size: int) -> str:
    """Return the detail of the 413 for a body of `size` bytes."""
    return f"a body has at most {MAX_BODY / 1e6} MB, this body has {size / 1e6:.1f} MB; nothing was stored"


def wrong_type(sent: str, taken: tuple[str, ...]) -> str:
    """Return the detail of the 415 for a body of the media type `sent`."""
    return f"the body must be {' or '.join(taken)}, not {sent[:60]}"


def media_type(request: Request, taken: tuple[str, ...]) -> str:
    """Return the media type of the body, one of `taken`.

    Raises UnsupportedMedia for another media type, for a charset other than UTF-8, and for a body without a media type.
    A page of another origin may send a body without a media type and without a CORS preflight, so such a body is
    refused.
    """
    header = str(request.headers.get("content-type", ""))
    sent = header.partition(";")[0].strip().lower()
    if not sent:
        raise UnsupportedMedia(f"the body needs a Content-Type: {' or '.join(taken)}")
    if sent not in taken:
        raise UnsupportedMedia(wrong_type(sent, taken))
    charset = _CHARSET.search(header)
    if charset and charset[1].strip().lower() not in _UTF_8:
        raise UnsupportedMedia(f"the body must be in UTF-8, not in {charset[1].strip()[:40] or 'an empty charset'}")
    return sent


def raw_body(request: Request, *, or_else: str = "") -> bytes:
    """Return the bytes of the body. `or_else` is the end of the message for a body that is too large. It says what the
    caller can do.

    Raises TooLarge. Raises MalformedRequest if the body cannot be decoded, or if it came as text in which API Gateway
    may have replaced bytes.
    """
    try:
        raw = request.raw_body
        raw = raw.encode() if isinstance(raw, str) else raw
    except ValueError as error:  # the text cannot be encoded, or the base64 is invalid
        raise MalformedRequest("the body cannot be decoded") from error
    if len(raw) > MAX_BODY:
        raise TooLarge(too_large(len(raw)) + or_else)
    if not request.to_original_event().get("isBase64Encoded") and _REPLACED.encode() in raw:
        raise MalformedRequest(REPLACED_BYTES)
    return raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object with these members. Raises ValueError if two members have the same name: which of the two
    counts depends on the parser, so the sender must choose."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise ValueError(f"the member {name[:_SHOWN]!r} is given twice")
            names.add(name)
    return members


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return str(error)
