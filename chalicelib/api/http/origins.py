"""Refuses requests that a browser sends for a page of another origin, on every stage, with or without a token.

A web page may send many kinds of requests to any server, although it may not read the responses. On a stage without
authentication this would be enough to write rows or to order a restore. Browsers say where a request comes from in
`Sec-Fetch-Site` (W3C Fetch Metadata); older ones say it in `Origin`. Programs send neither header. Users may follow a
link from another site to this one.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Request, Response

from chalicelib.api.http import problems
from chalicelib.core.errors import Forbidden

REFUSAL = "a page of another origin sent this request: only pages of this origin may"
_OURS = "same-origin"
_ELSEWHERE = ("cross-site", "same-site")  # same-site: another port of this host, or another name of this domain


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    if is_foreign(event.method, event.headers):
        return problems.of_error(Forbidden(REFUSAL))
    return get_response(event)


def is_foreign(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a page of another origin sent a request with these headers. A link that the user follows does not
    count.

    `Sec-Fetch-Site: same-origin` is trusted before the host names are compared: a proxy may have changed `Host`.
    """
    site, origin = _header(headers, "sec-fetch-site"), _header(headers, "origin")
    if site == _OURS:
        return False
    if origin:
        asking = urlsplit(origin).netloc  # empty for `null`
        return not asking or asking != _header(headers, "host")
    return site in _ELSEWHERE and not _is_link(method, headers)


def _is_link(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether the user navigates to one of our pages in a tab, and not in a frame."""
    return (
        method == "GET"
        and _header(headers, "sec-fetch-mode") == "navigate"
        and _header(headers, "sec-fetch-dest") in ("", "document")
    )


def _header(headers: Mapping[str, str], name: str) -> str:
    return str(headers.get(name, "")).strip().lower()
