"""Web pages and the files that they load: what a browser may do with them, and how long it keeps them.

A page names its files by relative addresses, since it may stand below any path (API Gateway's stage), and
with their version, so that a browser may keep them for good.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from chalice.app import Request, Response

from chalicelib.api.http.negotiation import entity_tag, has_already

# Everything comes from where the page does, no script and no style stands in the page itself, and nobody frames it.
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
    """A file that pages load; it is read when it is first asked for."""

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
        """For the `?v=` of its address."""
        return self.tag.strip('"')[:16]


def page(request: Request, html: str, policy: Mapping[str, str] = SAME_ORIGIN) -> Response:
    """An HTML page. A browser asks for it each time, and gets 304 if it has this version already."""
    csp = "; ".join(f"{directive} {sources}" for directive, sources in policy.items())
    return _sent(request, html, entity_tag(html, csp), "text/html", _ASK, {"Content-Security-Policy": csp})


def asset(request: Request, wanted: Asset, version: str | None) -> Response:
    """One of a page's files. A browser may keep it for good under the address that names its version."""
    keeping = _FOR_GOOD if version == wanted.version else _ASK
    return _sent(request, wanted.text, wanted.tag, wanted.media, keeping, {})


def root(request: Request) -> str:
    """The relative path from a page to the API's root: `/docs/` is answered like `/docs`, but is one level lower."""
    return "../" if str(request.context.get("path", "")).endswith("/") else ""


def _sent(request: Request, text: str, tag: str, media: str, keeping: str, more: Mapping[str, str]) -> Response:
    headers: dict[str, str | list[str]] = {**_SAFE, **more, "ETag": tag, "Cache-Control": keeping}
    if has_already(request, tag):
        return Response("", status_code=304, headers=headers)
    return Response(text, headers={**headers, "Content-Type": f"{media}; charset=utf-8"})
