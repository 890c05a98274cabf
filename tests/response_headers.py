"""Checks the headers that every response must have for browsers."""

from collections.abc import Mapping

from chalicelib.core.browser_headers import HEADERS, WITHOUT_QUOTES

_POLICY = "content-security-policy"
_PAGES = ("/", "/docs", "/docs/{asset}")  # pages, and the files of pages


def faults(headers: Mapping[str, str], *, kept: str = "", of_gateway: bool = False) -> list[str]:
    """Return the headers that are missing or wrong. `kept` is the Cache-Control of a response that a browser may keep.
    `of_gateway` is true for a response that API Gateway makes itself."""
    sent = {name.lower(): value for name, value in headers.items()}
    wanted = {name.lower(): value for name, value in (WITHOUT_QUOTES if of_gateway else HEADERS).items()}
    wanted |= {"cache-control": kept} if kept else {}
    if kept and "frame-ancestors 'none'" in sent.get(_POLICY, ""):
        wanted.pop(_POLICY, None)  # a page has a policy of its own
    return [f"{name}: {sent.get(name)}" for name, value in wanted.items() if sent.get(name) != value]


def kept_by_browsers(method: str, path: str, status: int) -> str:
    """Return the Cache-Control that the response of a declared path must have, or "" if nobody may store it."""
    if method != "GET" or status not in (200, 304):
        return ""
    return "private, no-cache" if "/hires/" in path else "no-cache" if path in _PAGES else ""
