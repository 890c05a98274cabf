"""Sends requests of many kinds to every route, and tests that every response has the headers for browsers."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from chalicelib.services import services
from infra.deploy import gateway_responses
from tests.integration.api.test_access import ROUTES, guarded, token
from tests.integration.http_api import Api, Response
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3
from tests.response_headers import faults, kept_by_browsers

__all__ = ["guarded"]  # pytest needs this imported fixture

VALUES = {"year": "2021", "load_id": "1", "asset": "docs.js", "panel": "loads"}
KINDS: dict[str, tuple[str, bytes, Mapping[str, str]]] = {  # the query, the body and the headers of a kind of request
    "usual": ("", b"{}", {}),
    "known": ("", b"{}", {"If-None-Match": "*"}),
    "as CSV": ("", b"{}", {"Accept": "text/csv"}),
    "with a job": ("", b'{"job": "Clerk"}', {}),
    "malformed": ("", b"{", {}),
    "of another type": ("", b"<a/>", {"Content-Type": "text/xml"}),
    "of another origin": ("", b"{}", {"Origin": "https://evil.example"}),
    "with an unknown query": ("?unheard_of=1", b"{}", {}),
}


def sent(api: Api, kind: str, role: str | None) -> Iterator[tuple[str, Response]]:
    """Send a request of one kind to every route. Yield what was sent, and the response."""
    query, body, headers = KINDS[kind]
    authorization = {"Authorization": f"Bearer {token(role)}"} if role else {}
    for method, path in ROUTES:
        concrete = re.sub(r"{(\w+)}", lambda name: VALUES[name[1]], path) + query
        given = {"Content-Type": "application/json", **authorization, **headers}
        response = api.send(method, concrete, body if method == "POST" else b"", given)
        wrong = faults(response.headers, kept=kept_by_browsers(method, path, response.status))
        assert not wrong, f"{method} {concrete} {kind} -> {response.status}: {wrong}"
        yield f"{method} {path}", response


def statuses(api: Api, kind: str, role: str | None = "operator") -> set[int]:
    return {response.status for _, response in sent(api, kind, role)}


def test_responses_of_every_status_have_the_headers(guarded: Api, landing: Landing) -> None:
    landing.upload("departments.csv", b"1,Staff\nx,y\n")
    assert statuses(guarded, "usual") >= {200, 404, 422}
    assert 201 in statuses(guarded, "with a job")
    assert statuses(guarded, "usual", None) >= {200, 401}
    assert statuses(guarded, "usual", "reader") >= {200, 403}
    assert 304 in statuses(guarded, "known")
    assert 200 in statuses(guarded, "as CSV")
    assert {200, 400} <= statuses(guarded, "malformed")
    assert 415 in statuses(guarded, "of another type")
    assert statuses(guarded, "of another origin") == {403}
    assert {422} <= statuses(guarded, "with an unknown query") <= {200, 422}


def test_errors_of_the_service_have_the_headers(api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tables = urlunsplit(urlsplit(database_url)._replace(path="/template1"))
    for address, status in ((without_tables, 500), ("postgresql+pg8000://user:secret@127.0.0.1:1/hireflow", 503)):
        services().database.close()
        monkeypatch.setenv("DATABASE_URL", address)
        services.cache_clear()
        assert status in {response.status for _, response in sent(api, "usual", None)}


def test_the_file_of_a_page_may_be_kept_but_not_interpreted(api: Api) -> None:
    [address] = re.findall(r'"(docs/docs\.js\?v=[^"]*)"', api.get("/docs").body)
    kept = "public, max-age=31536000, immutable"
    assert faults(api.get(f"/{address}").headers, kept=kept) == []


def test_a_reject_file_is_saved_and_not_stored_by_caches(api: Api, landing: Landing, s3: S3) -> None:
    load = landing.upload("departments.csv", b"x,y\n")
    found = requests.get(api.get(f"/loads/{load['id']}/rejects").body["url"], timeout=10)
    assert found.status_code == 200
    assert (found.headers["Cache-Control"], found.headers["Content-Disposition"]) == ("no-store", "attachment")


def test_the_headers_of_api_gateway_are_fixed_values_without_quotation_marks() -> None:
    values = gateway_responses.parameters()
    assert values["gatewayresponse.header.X-Content-Type-Options"] == "'nosniff'"
    assert all(re.fullmatch("'[^']*'", value) for value in values.values())
