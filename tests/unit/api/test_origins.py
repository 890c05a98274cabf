"""Tests which requests count as requests of a page of another origin."""

import pytest

from chalicelib.api.http.origins import is_foreign

HOST = "127.0.0.1:24000"
FOREIGN_ORIGINS = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:24001",
    "http://localhost:24000",
    "http://127.0.0.1",
    "https://evil.example/127.0.0.1:24000",
    "file://",
]


def foreign(method: str = "POST", **headers: str) -> bool:
    return is_foreign(method, {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}})


def test_requests_of_programs_without_these_headers_are_accepted() -> None:
    assert not foreign("POST")
    assert not foreign("GET")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_requests_of_our_own_pages_are_accepted(method: str) -> None:
    assert not foreign(method, sec_fetch_site="same-origin", origin=f"http://{HOST}")
    assert not foreign(method, origin=f"http://{HOST}")
    assert not foreign(method, sec_fetch_site="none")


def test_the_browser_is_trusted_behind_a_proxy_that_changes_the_host() -> None:
    assert not foreign(origin="https://hiring.example", sec_fetch_site="same-origin")


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_origins_are_refused(method: str, origin: str) -> None:
    assert foreign(method, origin=origin)
    assert foreign(method, origin=origin, sec_fetch_site="none")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", " same-site "])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "websocket"])
def test_a_fetch_from_another_site_without_an_origin_is_refused(site: str, mode: str) -> None:
    assert foreign("GET", sec_fetch_site=site, sec_fetch_mode=mode)
    assert foreign("POST", sec_fetch_site=site, sec_fetch_mode=mode)


def test_a_link_may_be_followed_but_a_frame_or_a_form_is_refused() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert not foreign("GET", **link)
    assert foreign("GET", **{**link, "sec_fetch_dest": "iframe"})
    assert foreign("POST", **link)
    assert foreign("GET", **link, origin="null")


@pytest.mark.parametrize("site", [{}, {"sec_fetch_site": "cross-site"}])
def test_pages_of_a_further_origin_are_ours_although_the_host_differs(site: dict[str, str]) -> None:
    ours = ("https://jobs.example", "https://hr.example:8443")
    behind = {"host": "abc.execute-api.eu-central-1.amazonaws.com", **{k.replace("_", "-"): v for k, v in site.items()}}
    for origin in ours:
        assert not is_foreign("POST", {**behind, "origin": origin.upper()}, ours)
        assert is_foreign("POST", {**behind, "origin": origin})
    for origin in ("http://jobs.example", "https://jobs.example.evil.example", "https://hr.example", "null"):
        assert is_foreign("POST", {**behind, "origin": origin}, ours)
