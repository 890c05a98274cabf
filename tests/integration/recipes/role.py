"""Tests that a token of the new role `checker` may check files and read, and may do nothing else."""

import pytest
from typer.testing import CliRunner

from chalicelib.auth.roles import Role
from cli.app import app
from tests.integration.api.test_access import guarded, send, token
from tests.integration.http_api import Api
from tests.openapi import described

__all__ = ["guarded"]  # pytest needs this imported fixture


@pytest.mark.parametrize(
    ("role", "admitted"), [("reader", False), ("checker", True), ("writer", True), ("operator", True)]
)
def test_checks_require_the_role_or_a_higher_role(guarded: Api, role: str, admitted: bool) -> None:
    response = guarded.send(
        "POST",
        "/uploads/check?dataset=jobs",
        b"1,Clerk\n",
        {"Content-Type": "text/csv", "Authorization": f"Bearer {token(role)}"},
    )
    assert response.status == (200 if admitted else 403)
    assert admitted or response.body["detail"] == "this request needs the role checker, the token has the role reader"


def test_the_role_may_read_and_may_not_write(guarded: Api) -> None:
    checker = f"Bearer {token('checker')}"
    assert send(guarded, "GET", "/loads", checker).status == 200
    assert send(guarded, "POST", "/job/upload", checker).status == 403
    assert send(guarded, "POST", "/job/backup/restore", checker).status == 403


def test_the_openapi_document_names_the_role() -> None:
    assert described().document["paths"]["/uploads/check"]["post"]["x-role"] == Role("checker").value


def test_the_command_line_accepts_the_role() -> None:
    done = CliRunner().invoke(app, ["token", "new", "--help"])
    assert "reader, checker, writer, operator" in " ".join(done.stdout.split())
