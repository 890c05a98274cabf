"""Tests who sees rejected rows: writers, operators, and holders of the right to see rows. Other readers see only the
counts and the reasons."""

import re
from typing import Any

import pytest

from app import app
from chalicelib.auth import tokens
from chalicelib.auth.roles import Rights, Role
from chalicelib.cloud.database import Database
from tests.integration.api.test_access import guarded, token
from tests.integration.http_api import Api, Response
from tests.integration.landing import Landing, Row

__all__ = ["guarded"]  # pytest needs this imported fixture

SECRET = "Ada Secret"
LINK = "X-Amz-Signature"
SEERS = [(Role.READER, True), (Role.WRITER, False), (Role.WRITER, True), (Role.OPERATOR, False)]


@pytest.fixture
def rejected(guarded: Api, landing: Landing) -> Row:
    """Return the load of a file whose second row was rejected."""
    return landing.upload("departments.csv", f"1,Staff\nx,{SECRET}\n")


def seen(api: Api, path: str, rights: Rights, accept: str = "*/*") -> Response:
    made = token(rights.role.value, rows=rights.rows)
    return api.send("GET", path, headers={"Authorization": f"Bearer {made}", "Accept": accept})


@pytest.mark.parametrize(("role", "rows"), SEERS)
def test_whoever_may_see_rows_gets_the_rejects_and_a_link(guarded: Api, rejected: Row, role: Role, rows: bool) -> None:
    rights, address = Rights(role, rows), f"/loads/{rejected['id']}/rejects"
    found = seen(guarded, address, rights).body
    assert SECRET in found["rejects"][0]["raw"]
    assert LINK in found["url"]
    assert SECRET in seen(guarded, address, rights, "text/csv").body
    html = seen(guarded, f"/dashboard/load?id={rejected['id']}", rights).body
    assert SECRET in html
    assert LINK in html


def test_a_reader_sees_neither_rows_nor_links_on_any_route(guarded: Api, rejected: Row) -> None:
    queries = {"/dashboard/load": f"?id={rejected['id']}", "/dashboard/restore": "?point=20210727T160208.123456Z"}
    panels = ("reports", "loads", "load", "upload", "backups", "restore", "health")
    paths = [path for path, methods in app.routes.items() if "GET" in methods and "{panel}" not in path]
    paths += [f"/dashboard/{name}" for name in panels]
    for path in paths:
        concrete = re.sub(r"{(load_id|year)}", lambda name: {"load_id": str(rejected["id"])}.get(name[1], "2021"), path)
        response = seen(guarded, concrete + queries.get(path, ""), Rights(Role.READER))
        assert SECRET not in str(response.body), path
        assert LINK not in str(response.body), path
        assert SECRET not in str(response.headers), path


def test_a_reader_is_told_what_seeing_rows_needs(guarded: Api, rejected: Row) -> None:
    response = seen(guarded, f"/loads/{rejected['id']}/rejects", Rights(Role.READER))
    assert response.status == 403
    assert response.body["detail"] == (
        "this request needs the role writer or the right rows, the token has the role reader"
    )
    assert "insufficient_scope" in response.headers["WWW-Authenticate"]


def test_a_reader_sees_the_reasons_with_their_codes_and_counts(guarded: Api, rejected: Row) -> None:
    reader = Rights(Role.READER)
    [reason] = seen(guarded, f"/loads/{rejected['id']}", reader).body["reasons"]
    assert (reason["code"], reason["count"]) == ("not_an_id", 1)
    html = seen(guarded, f"/dashboard/load?id={rejected['id']}", reader).body
    assert reason["reason"] in html
    assert "To see the rejected rows, sign in with a token of the role <strong>writer</strong>" in html
    assert 'id="rejects"' not in html


def test_the_right_to_see_rows_allows_nothing_else(guarded: Api, rejected: Row) -> None:
    sender = {"Authorization": f"Bearer {token('reader', rows=True)}", "Content-Type": "text/csv"}
    assert guarded.send("POST", "/uploads/check?dataset=jobs", b"1,Clerk\n", sender).status == 403


def test_a_token_has_the_right_only_if_it_was_given(database: Database) -> None:
    orders: list[dict[str, object]] = [
        {"action": "create", "role": "reader"},
        {"action": "create", "role": "reader", "rows": True},
        {"action": "create", "role": "operator"},
    ]
    with database.session() as session:
        session.run("DELETE FROM tokens")
        made: list[Any] = [tokens.administer(session, order) for order in orders]
        rows = {entry["id"]: entry["rows"] for entry in tokens.listed(session)}
    assert [entry["rows"] for entry in made] == [False, True, True]
    assert [rows[entry["id"]] for entry in made] == [False, True, True]
