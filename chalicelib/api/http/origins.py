"""Refuses requests that a browser sends for a page of another origin. Such requests are refused on every stage, with
or without a token.

A web page may send many kinds of requests to any server, although the page may not read the responses. On a stage
without authentication, such a request could write rows or request a restore. Browsers say in `Sec-Fetch-Site` (W3C
Fetch Metadata) where a request comes from. Older browsers say this in `Origin`. Programs send neither header, so their
requests are accepted. A user may also follow a link from another site to a page of Hireflow.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Request, Response

from chalicelib.api.http import problems
from chalicelib.core.errors import Forbidden
from chalicelib.services import services

REFUSAL = "a page of another origin sent this request: only pages of this origin may send requests"
_OURS = "same-origin"
_ELSEWHERE = ("cross-site", "same-site")  # same-site: another port of this host, or another name of this domain


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    if is_foreign(event.method, event.headers, services().settings.api_origins):
        return problems.of_error(Forbidden(REFUSAL))
    return get_response(event)


def is_foreign(method: str, headers: Mapping[str, str], ours: Collection[str] = ()) -> bool:
    """Return whether a page of another origin sent a request with these headers. Return False if the user followed a
    link. `ours` are further origins at which browsers reach our pages, besides the host in the header `Host`.

    `Sec-Fetch-Site: same-origin` decides before `Origin` is compared with `Host`, because a proxy may have changed
    `Host`. Older browsers do not send `Sec-Fetch-Site`, so the comparison decides. Behind CloudFront, `Host` is never
    the name that the browser uses, so `ours` must contain the origin with that name.
    """
    site, origin = _header(headers, "sec-fetch-site"), _header(headers, "origin")
    if site == _OURS or origin in ours:
        return False
    if origin:
        asking = urlsplit(origin).netloc  # empty if the origin is `null`
        return not asking or asking != _header(headers, "host")
    return site in _ELSEWHERE and not _is_link(method, headers)


def _is_link(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether the user followed a link to a page of Hireflow. The page must open in a tab, not in a frame."""
    return (
        method == "GET"
        and _header(headers, "sec-fetch-mode") == "navigate"
        and _header(headers, "sec-fetch-dest") in ("", "document")
    )


def _header(headers: Mapping[str, str], name: str) -> str:
    return str(headers.get(name, "")).strip().lower()
