"""The one place where requests are let in: every route asks for a role, but the few that are public."""

from collections.abc import Callable
from typing import Any

from chalice.app import Request, Response

from chalicelib.api.http import problems
from chalicelib.auth import tokens
from chalicelib.auth.tokens import Role
from chalicelib.core.errors import Forbidden, HireflowError, Unauthenticated
from chalicelib.services import services

# GET only, as declared; /health tells strangers no more than its status
PUBLIC = ("/", "/docs", "/docs/{asset}", "/openapi.json", "/health")
_SCHEME = "bearer"
_ROLE = "hireflow.role"  # of the request's context, which no caller writes


def needed(method: str, path: str) -> Role | None:
    """The role that a route asks for, by its path as declared; None where it is public."""
    if method == "GET":
        return None if path in PUBLIC else Role.READER
    if "/upload" in path:
        return Role.WRITER
    return Role.OPERATOR  # restores, and whatever nobody has thought of yet


def middleware(event: Request, get_response: Callable[[Any], Response]) -> Response:
    """401 without a token that we know, 403 with one whose role does not suffice."""
    role = needed(event.method, event.context["resourcePath"])
    if role is not None and services().settings.authentication:
        try:
            _admit(event, role)
        except HireflowError as error:
            return _refused(error)
    return get_response(event)


def admits(request: Request, role: Role) -> bool:
    """Whether the caller of a public route has a token for what `role` may do."""
    try:
        _admit(request, role)
    except HireflowError:
        return False
    return True


def caller_role(request: Request) -> Role:
    """What the caller of a route that asks for a role may do; everything where the stage asks for no token."""
    return Role(request.context[_ROLE]) if services().settings.authentication else Role.OPERATOR


def _admit(request: Request, role: Role) -> None:
    """Let the caller in, and keep the role for `caller_role`. Raises Unauthenticated, Forbidden."""
    scheme, _, token = str(request.headers.get("authorization", "")).strip().partition(" ")
    if not token:
        raise Unauthenticated("this needs a token: Authorization: Bearer …")
    with services().database.session() as session:
        found = tokens.role_of(session, token.strip()) if scheme.lower() == _SCHEME else None
    if found is None:
        raise Unauthenticated("the token is not known, or was revoked")
    if not found.includes(role):
        raise Forbidden(f"this needs the role {role.value}, the token has the role {found.value}")
    request.context[_ROLE] = found.value


def _refused(error: HireflowError) -> Response:
    response = problems.of_error(error)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="hireflow"'
    if isinstance(error, Forbidden):
        response.headers["WWW-Authenticate"] = 'Bearer realm="hireflow", error="insufficient_scope"'
    return response
