"""Sends requests of many kinds to every route, and tests that every response has the headers for browsers."""

import re
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from chalicelib.services import services
from infra.deploy import gateway_responses
from tests.integration.api.test_access import guarded, token
from tests.integration.http_api import Api
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3
from tests.response_headers import faults, statuses

__all__ = ["guarded"]  # pytest needs this imported fixture


def test_responses_of_every_status_have_the_headers(guarded: Api, landing: Landing) -> None:
    def found(kind: str, role: str | None = "operator") -> set[int]:
        return statuses(guarded.send, kind, {"Authorization": f"Bearer {token(role)}"} if role else {})

    landing.upload("departments.csv", b"1,Staff\nx,y\n")
    assert found("usual") >= {200, 404, 422}
    assert found("usual", None) >= {200, 401}
    assert found("usual", "reader") >= {200, 403}
    assert 304 in found("known")
    assert 200 in found("as CSV")
    assert 201 in found("with a job")
    assert {200, 400} <= found("malformed")
    assert 415 in found("of another type")
    assert found("of another origin") == {403}
    assert {422} <= found("with an unknown query") <= {200, 422}


def test_errors_of_the_service_have_the_headers(api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tables = urlunsplit(urlsplit(database_url)._replace(path="/template1"))
    for address, status in ((without_tables, 500), ("postgresql+pg8000://user:secret@127.0.0.1:1/hireflow", 503)):
        services().database.close()
        monkeypatch.setenv("DATABASE_URL", address)
        services.cache_clear()
        assert status in statuses(api.send, "usual", {})


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
