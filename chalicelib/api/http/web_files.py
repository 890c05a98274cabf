"""Responses with web pages and the files that they load, with headers for security and caching.

A page refers to its files by relative addresses, because it may lie below any path (the stage of API Gateway). The
addresses include a version, so that a browser may keep the files for good.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from chalice.app import Request, Response

from chalicelib.api.http.negotiation import entity_tag, has_already

# A page loads files from its own origin only, has no inline script or style, and cannot be framed.
SAME_ORIGIN: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK = "no-cache"


@dataclass(frozen=True)
class Asset:
    """A file that pages load. It is read from disk on the first request."""

    media: str
    read: Callable[[], str]

    @cached_property
    def text(self) -> str:
        return self.read()

    @cached_property
    def tag(self) -> str:
        return entity_tag(self.text)

    @property
    def version(self) -> str:
        """The value for `?v=` in the address of the file."""
        return self.tag.strip('"')[:16]


def page(request: Request, html: str, policy: Mapping[str, str] = SAME_ORIGIN) -> Response:
    """Return an HTML page, or a 304 if the browser already has this version. A browser must ask each time."""
    csp = "; ".join(f"{directive} {sources}" for directive, sources in policy.items())
    return _sent(request, html, entity_tag(html, csp), "text/html", _ASK, {"Content-Security-Policy": csp})


def asset(request: Request, wanted: Asset, version: str | None) -> Response:
    """Return a file of a page. Under the address with its version a browser may keep it for good."""
    keeping = _FOR_GOOD if version == wanted.version else _ASK
    return _sent(request, wanted.text, wanted.tag, wanted.media, keeping, {})


def root(request: Request) -> str:
    """Return the relative path from a page to the root of the API. `/docs/` shows the same page as `/docs`, but lies
    one level lower."""
    return "../" if str(request.context.get("path", "")).endswith("/") else ""


def _sent(request: Request, text: str, tag: str, media: str, keeping: str, more: Mapping[str, str]) -> Response:
    headers: dict[str, str | list[str]] = {**_SAFE, **more, "ETag": tag, "Cache-Control": keeping}
    if has_already(request, tag):
        return Response("", status_code=304, headers=headers)
    return Response(text, headers={**headers, "Content-Type": f"{media}; charset=utf-8"})
