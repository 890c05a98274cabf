"""Tests the access control: sends requests to every route with every role, and with invalid tokens."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chalice.test import Client
from werkzeug.test import Client as GatewayClient

from app import app
from chalicelib.api import docs_routes
from chalicelib.api.http.access import needed
from chalicelib.auth import tokens
from chalicelib.auth.roles import Need, Role
from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.services import services
from tests.gateway import Gateway
from tests.integration.http_api import Api, Response
from tests.integration.s3_fixtures import S3
from tests.openapi import described

TEMPLATES = {f"/{dataset.route}/template.{ending}" for dataset in DATASETS.values() for ending in ("csv", "xlsx")}
PUBLIC = {"/", "/docs", "/docs/{asset}", "/openapi.json", "/health", *TEMPLATES}
ROUTES = sorted((method, path) for path, methods in app.routes.items() for method in methods)
GUARDED = [(method, path) for method, path in ROUTES if not (method in ("GET", "HEAD") and path in PUBLIC)]


@pytest.fixture
def guarded(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Return the API of a stage with authentication."""
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services().database.close()
    services.cache_clear()
    with services().database.session() as session:
        session.run("DELETE FROM tokens")
    with Client(app) as client:
        yield Api(client)


def token(role: str, *, rows: bool = False) -> str:
    with services().database.session() as session:
        return str(tokens.create(session, role, rows=rows)["token"])


def send(api: Api, method: str, path: str, authorization: str | None) -> Response:
    concrete = path.replace("{year}", "2021").replace("{load_id}", "1")
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    return api.send(method, concrete, b"{}" if method == "POST" else b"", headers)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_request_without_a_token_is_a_401(guarded: Api, method: str, path: str) -> None:
    response = send(guarded, method, path, None)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="hireflow"'
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_role_gives_access_to_its_routes_only(guarded: Api, method: str, path: str, role: Role) -> None:
    response = send(guarded, method, path, f"Bearer {token(role.value)}")
    asked = needed(app, method, path)
    assert asked is not None
    if role.includes(asked.role):
        assert response.status not in (401, 403)
    else:
        assert response.status == 403
        assert str(asked) in response.body["detail"]
        assert "insufficient_scope" in response.headers["WWW-Authenticate"]


def test_on_aws_the_challenge_has_the_name_that_the_openapi_document_declares(guarded: Api) -> None:
    reader = {"Authorization": f"Bearer {token('reader')}", "Content-Type": "application/json"}
    gateway = GatewayClient(Gateway(app))
    for status, sent in ((401, {"Content-Type": "application/json"}), (403, reader)):
        response = gateway.post("/job/upload", data="{}", headers=sent)
        assert response.status_code == status
        assert "WWW-Authenticate" not in response.headers
        assert response.headers["x-amzn-Remapped-WWW-Authenticate"].startswith('Bearer realm="hireflow"')
        document = described().document["paths"]["/job/upload"]["post"]["responses"][str(status)]
        assert set(document["headers"]) >= {"WWW-Authenticate", "x-amzn-Remapped-WWW-Authenticate"}
        described().check("POST", "/job/upload", status, dict(response.headers), response.json)


def test_each_kind_of_route_needs_its_role() -> None:
    reader, writer, operator = map(Need, Role)
    assert needed(app, "GET", "/loads/{load_id}") == reader
    assert needed(app, "GET", "/loads/{load_id}/rejects") == Need(Role.WRITER, or_rows=True)
    assert needed(app, "POST", "/job/upload") == needed(app, "POST", "/job/upload/batch") == writer
    assert needed(app, "POST", "/uploads/check") == writer
    assert needed(app, "POST", "/uploads") == needed(app, "DELETE", "/uploads/{load_id}") == writer
    assert needed(app, "POST", "/job/backup/restore") == needed(app, "DELETE", "/loads/{load_id}") == operator
    assert needed(app, "GET", "/health") is None
    assert needed(app, "POST", "/health") == operator


def test_a_caller_without_a_token_sees_only_the_status_of_health(guarded: Api) -> None:
    assert send(guarded, "GET", "/health", None).body == {"status": "ok"}
    assert send(guarded, "GET", "/health", "Bearer hf_nonsense").body == {"status": "ok"}
    assert send(guarded, "GET", "/health", f"Bearer {token('reader')}").body["database"] == "ok"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_scheme_may_be_written_in_any_case(guarded: Api, scheme: str) -> None:
    assert send(guarded, "GET", "/loads", f"{scheme} {token('reader')} ").status == 200


@pytest.mark.parametrize(
    "authorization",
    ["{}", "Basic {}", "Token {}", "Bearer", "Bearer {}x", "Bearer x{}", "Bearer {} {}", "Bearer hf_", "Bearer é"],
)
def test_a_malformed_token_is_a_401(guarded: Api, authorization: str) -> None:
    good = token("operator")
    assert send(guarded, "GET", "/loads", authorization.replace("{}", good)).status == 401


def test_a_known_id_with_another_secret_is_a_401(guarded: Api) -> None:
    one, other = token("operator").split("_", 2), token("operator").split("_", 2)
    assert send(guarded, "GET", "/loads", f"Bearer hf_{one[1]}_{other[2]}").status == 401


def test_a_revoked_token_is_refused_from_the_next_request_on(guarded: Api) -> None:
    good = token("reader")
    assert send(guarded, "GET", "/loads", f"Bearer {good}").status == 200
    with services().database.session() as session:
        first = tokens.revoke(session, good)
        assert tokens.revoke(session, first["id"]) == first
    assert send(guarded, "GET", "/loads", f"Bearer {good}").status == 401


def test_no_secret_is_stored_or_listed(database: Database) -> None:
    with database.session() as session:
        made: Any = tokens.administer(session, {"action": "create", "role": "writer", "note": "import"})
        secret = made["token"].split("_", 2)[2]
        assert secret not in str(session.run("SELECT t::text FROM tokens t"))
        shown: Any = tokens.administer(session, {"action": "list"})
        assert secret not in json.dumps(shown)
        assert {"role": "writer", "rows": False, "note": "import", "revoked_at": None}.items() <= shown[0].items()


ORDERS: list[dict[str, object]] = [
    {},
    {"action": "drop"},
    {"action": "create"},
    {"action": "create", "role": "admin"},
    {"action": "create", "role": "reader", "rows": "no"},
]


@pytest.mark.parametrize("order", ORDERS)
def test_an_unknown_action_on_tokens_is_refused(database: Database, order: dict[str, object]) -> None:
    with database.session() as session, pytest.raises(Unprocessable):
        tokens.administer(session, order)


def test_an_unknown_token_cannot_be_revoked(database: Database) -> None:
    with database.session() as session, pytest.raises(NotFound):
        tokens.administer(session, {"action": "revoke", "token": "ffffffffffffffff"})


def test_an_unavailable_database_is_a_503_and_not_a_401(guarded: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    services().database.close()
    services.cache_clear()
    monkeypatch.setenv("DATABASE_URL", "postgresql+pg8000://u:p@127.0.0.1:1/nothing")
    response = send(guarded, "GET", "/loads", "Bearer hf_0123456789abcdef_" + "a" * 43)
    assert response.status == 503
    assert response.headers["Retry-After"]


def test_no_token_is_needed_without_authentication(api: Api, s3: S3) -> None:
    assert send(api, "GET", "/loads", None).status == 200


def test_the_document_names_the_roles_on_a_stage_with_authentication(guarded: Api) -> None:
    docs_routes._document.cache_clear()
    document = guarded.get("/openapi.json").body
    docs_routes._document.cache_clear()  # a process makes the document only once, but this test changes the stage
    asked = {(m.upper(), path): o.get("x-role") for path, item in document["paths"].items() for m, o in item.items()}
    assert asked == {(m, path): need.role.value if (need := needed(app, m, path)) else None for m, path in ROUTES}


def test_no_log_holds_a_token(
    guarded: Api, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    good = token("reader")
    secret = good.split("_", 2)[2]
    for sent in (good, good[:-1] + "-"):
        send(guarded, "GET", "/loads", f"Bearer {sent}")
        send(guarded, "POST", "/job/upload", f"Bearer {sent}")
    assert caplog.records
    assert secret[:-1] not in caplog.text + capsys.readouterr().out + str([vars(record) for record in caplog.records])
