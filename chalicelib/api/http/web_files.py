"""Makes responses with web pages and with the files that the pages load. The responses have headers for security and
caching.

A page refers to its files by relative addresses, because API Gateway puts the name of a stage before all paths. An
address includes the version of the file, so that a browser may keep the file for good.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from chalice.app import Request, Response

from chalicelib.api.http.negotiation import entity_tag, has_already

# With this policy, a page loads files only from its own origin, runs no inline script, uses no inline style, and opens
# in no frame.
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
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK = "no-cache"


@dataclass(frozen=True)
class Asset:
    """Reads a file that pages load. The file is read from disk on the first request."""

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
        """Return the value for `?v=` in the address of the file."""
        return self.tag.strip('"')[:16]


def page(request: Request, html: str, policy: Mapping[str, str] = SAME_ORIGIN) -> Response:
    """Return an HTML page, or a 304 if the browser already has this version of the page. A browser must ask before each
    use."""
    csp = "; ".join(f"{directive} {sources}" for directive, sources in policy.items())
    return _sent(request, html, entity_tag(html, csp), "text/html", _ASK, {"Content-Security-Policy": csp})


def asset(request: Request, wanted: Asset, version: str | None) -> Response:
    """Return a file of a page. If `version` is the current version of the file, a browser may keep the file for
    good."""
    keeping = _FOR_GOOD if version == wanted.version else _ASK
    return _sent(request, wanted.text, wanted.tag, wanted.media, keeping, {})


def root(request: Request) -> str:
    """Return the relative path from a page to the root of the API. The addresses `/docs` and `/docs/` show the same
    page, but a relative address starts one level lower at `/docs/`."""
    return "../" if str(request.context.get("path", "")).endswith("/") else ""


def _sent(request: Request, text: str, tag: str, media: str, keeping: str, more: Mapping[str, str]) -> Response:
    headers: dict[str, str | list[str]] = {**more, "ETag": tag, "Cache-Control": keeping}
    if has_already(request, tag):
        return Response("", status_code=304, headers=headers)
    return Response(text, headers={**headers, "Content-Type": f"{media}; charset=utf-8"})
