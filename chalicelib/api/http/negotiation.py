"""Chooses the media type of a response, and recognises a response that the caller already has (RFC 9110)."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

from chalice.app import Request, Response

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)


class TextResponse(Response):
    """Sends a text of any media type as the response.

    Some media types, for example CSV, are declared as binary, so that API Gateway keeps the bytes of requests. Chalice
    would encode a response of such a type as base64. API Gateway would decode this base64 only if the first type in the
    Accept header of the request were the same type. This class therefore sends the text without base64.
    """

    def __init__(self, body: str, headers: dict[str, str | list[str]]) -> None:
        super().__init__(body, {name: value for name, value in headers.items() if name != "Content-Type"})
        self._type = headers["Content-Type"]

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG002
        response = super().to_dict()
        response["headers"]["Content-Type"] = self._type
        return response


class BytesResponse(TextResponse):
    """A response whose body is bytes. It does not depend on the types that the request accepts.

    Chalice's own response would refuse a request with `Accept: */*`. The body leaves Lambda in base64. API Gateway
    decodes it if the request has an Accept, because all types are binary types of the API (`requests.ANY`).
    """

    def __init__(self, body: bytes, headers: dict[str, str | list[str]]) -> None:
        super().__init__(b64encode(body).decode(), headers)

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:
        return super().to_dict(binary_types) | {"isBase64Encoded": True}


def preferred(request: Request, offered: tuple[str, ...]) -> str:
    """Return the media type of `offered` that the caller prefers. If the caller accepts none of these types, return the
    first type, which is more useful to the caller than an error."""
    accept = _accepted(str(request.headers.get("accept", "")))
    return max(offered, key=lambda offer: (_liking(accept, offer), -offered.index(offer)))


def entity_tag(*parts: str) -> str:
    """Return a strong ETag for a response that depends on these texts."""
    return f'"{sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"'


def has_already(request: Request, tag: str) -> bool:
    """Return whether If-None-Match names this ETag. If so, the caller already has the response."""
    tags = str(request.headers.get("if-none-match", ""))
    return tags.strip() == "*" or tag in _TAG.findall(tags)


def _accepted(header: str) -> dict[str, float]:
    """Return the quality of each media range of an Accept header. A quality that is missing or malformed counts as
    1."""
    accepted = {}
    for item in header.split(","):
        media, *parameters = item.split(";")
        qualities = [float(match[1]) for p in parameters if (match := _QUALITY.fullmatch(p))]
        accepted[media.strip().lower()] = qualities[0] if qualities else 1.0
    return accepted


def _liking(accepted: dict[str, float], offer: str) -> float:
    """Return the quality of the most specific media range that includes the media type `offer`. Return 0 if there is no
    such range."""
    ranges = (offer, f"{offer.partition('/')[0]}/*", "*/*")
    return next((accepted[r] for r in ranges if r in accepted), 0.0)
