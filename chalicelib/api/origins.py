"""Requests that a page of another origin has a browser send: refused on every stage, with tokens or without.

A page may send many kinds of requests anywhere without being allowed to read the answers, and where a stage asks for no
token that is enough to write rows or to order a restore. Browsers say where a request comes from, in `Sec-Fetch-Site`
(W3C Fetch Metadata) and, where they are older, in `Origin`; programs say neither. A link to here may be followed.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Request, Response

from chalicelib.api import problems
from chalicelib.errors import Forbidden

_OURS = "same-origin"
_ELSEWHERE = ("cross-site", "same-site")  # the latter: another port of this host, another name of this domain


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    if is_foreign(event.method, event.headers):
        return problems.of_error(Forbidden("a page of another origin asked for this: only pages of this one may"))
    return get_response(event)


def is_foreign(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of another origin sent a request with these headers, and is no link to here.

    What the browser says of the site goes before a comparison of names: a proxy may have changed that of the host.
    """
    site, origin = _said(headers, "sec-fetch-site"), _said(headers, "origin")
    if site == _OURS:
        return False
    if origin:
        return urlsplit(origin).netloc != _said(headers, "host")
    return site in _ELSEWHERE and not _is_link(method, headers)


def _is_link(method: str, headers: Mapping[str, str]) -> bool:
    """Whether somebody goes to a page of ours, in a tab of its own and not in a frame."""
    return (
        method == "GET"
        and _said(headers, "sec-fetch-mode") == "navigate"
        and _said(headers, "sec-fetch-dest") in ("", "document")
    )


def _said(headers: Mapping[str, str], name: str) -> str:
    return str(headers.get(name, "")).strip().lower()
