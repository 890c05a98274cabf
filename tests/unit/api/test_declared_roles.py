"""Tests that every route declares its role, and that the application does not start if a route declares none."""

from collections.abc import Callable
from typing import Any

import pytest
from chalice.app import Chalice

from app import app
from chalicelib.api.http import access
from chalicelib.api.http.access import needed, needs, public
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import HIGHEST, LOWEST, REJECTED_ROWS, Need, Rights, Role
from infra.venv import ROOT


def made(*decorators: str) -> Chalice:
    """Return an application with one route. The view of the route has these decorators, the outermost first."""
    known: dict[str, Callable[[Any], Any]] = {"endpoint": endpoint, "public": public, "writer": needs(Role.WRITER)}

    def view() -> str:
        return ""

    decorated: Callable[..., Any] = view
    for name in reversed(decorators):
        decorated = known[name](decorated)
    built = Chalice(app_name="test")
    built.route("/things", methods=["POST"])(decorated)
    return built


def test_a_route_without_a_role_is_refused() -> None:
    with pytest.raises(LookupError, match="POST /things declares no role"):
        access.middleware(made("endpoint"))


@pytest.mark.parametrize("decorators", [("endpoint", "writer"), ("writer", "endpoint")])
def test_a_route_needs_the_role_that_it_declares(decorators: tuple[str, str]) -> None:
    access.middleware(made(*decorators))
    assert needed(made(*decorators), "POST", "/things") == Need(Role.WRITER)
    assert needed(made("endpoint", "public"), "POST", "/things") is None


def test_an_unknown_route_needs_the_highest_role_but_the_lowest_for_get() -> None:
    assert needed(made("public"), "DELETE", "/things") == Need(HIGHEST)
    assert needed(app, "GET", "/nothing") == needed(app, "GET", "/job/upload") == Need(LOWEST)


def test_every_role_is_needed_by_a_route() -> None:
    needs = [needed(app, method, path) for path, methods in app.routes.items() for method in methods]
    assert {need.role for need in needs if need} == {*Role}
    assert None in needs


def test_a_role_or_the_right_to_see_rows_meets_a_need() -> None:
    meeting = [
        Rights(role, rows) for role in Role for rows in (False, True) if REJECTED_ROWS.is_met_by(Rights(role, rows))
    ]
    assert Rights(Role.READER) not in meeting
    assert {Rights(Role.READER, rows=True), Rights(Role.WRITER), Rights(Role.OPERATOR)} <= {*meeting}
    assert not Need(Role.WRITER).is_met_by(Rights(Role.READER, rows=True)), "the right is enough only where it is named"
    assert Need(Role.OPERATOR, or_rows=True).is_met_by(Rights(Role.OPERATOR))
    assert not Need(Role.OPERATOR, or_rows=True).is_met_by(Rights(Role.WRITER))
    assert Rights(Role.OPERATOR).may_see_rows


def test_the_api_documentation_lists_the_roles() -> None:
    _, _, after = (ROOT / "docs/api.md").read_text().partition("| role | may |\n|---|---|\n")
    rows = after.partition("\n\n")[0].splitlines()
    assert [row.split("`")[1] for row in rows] == [role.value for role in Role]
