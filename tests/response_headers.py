"""Sends requests of many kinds to every route of the API, and checks the headers for browsers in the responses."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app import app
from chalicelib.core.browser_headers import HEADERS, WITHOUT_QUOTES

_POLICY = "content-security-policy"
_PAGES = ("/", "/docs", "/docs/{asset}")  # pages, and the files of pages
_VALUES = {"year": "2021", "load_id": "1", "asset": "docs.js", "panel": "loads"}


class Response(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


Send = Callable[[str, str, bytes, dict[str, str]], Response]  # sends a method, a path, a body and headers


@dataclass(frozen=True)
class Kind:
    """A kind of requests. Requests with POST have the body."""

    query: str = ""
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    "usual": Kind(),
    "known": Kind(headers={"If-None-Match": "*"}),
    "as CSV": Kind(headers={"Accept": "text/csv"}),
    "with a job": Kind(body=b'{"job": "Clerk"}'),
    "malformed": Kind(body=b"{"),
    "of another type": Kind(headers={"Content-Type": "text/xml"}),
    "of another origin": Kind(headers={"Origin": "https://evil.example"}),
    "with an unknown query": Kind("?unheard_of=1"),
}


def statuses(send: Send, kind: str, headers: Mapping[str, str]) -> set[int]:
    """Send a request of one kind to every route, with these further headers. Return the statuses of the responses.
    Raises AssertionError for a response with missing or wrong headers."""
    return set(_sent(send, KINDS[kind], headers))


def _sent(send: Send, kind: Kind, headers: Mapping[str, str]) -> Iterator[int]:
    for path, methods in app.routes.items():
        for method in methods:
            concrete = re.sub(r"{(\w+)}", lambda name: _VALUES[name[1]], path) + kind.query
            given = {"Content-Type": "application/json", **headers, **kind.headers}
            response = send(method, concrete, kind.body if method == "POST" else b"", given)
            wrong = faults(response.headers, kept=_kept(method, path, response.status))
            assert not wrong, f"{method} {concrete} -> {response.status}: {wrong}"
            yield response.status


def faults(headers: Mapping[str, str], *, kept: str = "", of_gateway: bool = False) -> list[str]:
    """Return the headers that are missing or wrong. `kept` is the Cache-Control of a response that a browser may keep.
    `of_gateway` is true for a response that API Gateway makes itself."""
    sent = {name.lower(): value for name, value in headers.items()}
    wanted = {name.lower(): value for name, value in (WITHOUT_QUOTES if of_gateway else HEADERS).items()}
    wanted |= {"cache-control": kept} if kept else {}
    if kept and "frame-ancestors 'none'" in sent.get(_POLICY, ""):
        wanted.pop(_POLICY, None)  # a page has a policy of its own
    return [f"{name}: {sent.get(name)}" for name, value in wanted.items() if sent.get(name) != value]


def _kept(method: str, path: str, status: int) -> str:
    """Return the Cache-Control that the response of a declared path must have, or "" if nobody may store it."""
    if method != "GET" or status not in (200, 304):
        return ""
    return "private, no-cache" if "/hires/" in path else "no-cache" if path in _PAGES else ""
