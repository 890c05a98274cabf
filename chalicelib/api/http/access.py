"""Authenticates and authorises all requests.

A view is the function of a route. It declares with `needs` which role its callers need, or with `public` that they need
no role. A view may also declare with `needs_one_of` that the right to see rows is enough. The application does not
start if a view declares none of these.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from chalice.app import Chalice, Request, Response

from chalicelib.api.http import problems
from chalicelib.auth import tokens
from chalicelib.auth.roles import HIGHEST, LOWEST, Need, Rights, Role
from chalicelib.core.errors import Forbidden, HireflowError, Unauthenticated
from chalicelib.services import services

_SCHEME = "bearer"
MISSING_CREDENTIALS = "this request needs a token in a header: Authorization: Bearer …"
_DECLARED, _RIGHTS = "need", "hireflow.rights"  # an attribute of a view, and a key of the context of a request
View = TypeVar("View", bound=Callable[..., Any])


def needs(role: Role) -> Callable[[View], View]:
    """Declare the role that the callers of a view need. A stage without authentication ignores this declaration."""
    return needs_one_of(Need(role))


def needs_one_of(need: Need) -> Callable[[View], View]:
    """Declare that the callers of a view need a role or the right to see rows."""
    return lambda view: _declaring(view, need)


def public(view: View) -> View:
    """Declare that anybody may call a view. With `admits`, the view may show more to a caller with a token."""
    return _declaring(view, None)


def _declaring(view: View, need: Need | None) -> View:
    setattr(view, _DECLARED, need)
    return view


def needed(app: Chalice, method: str, path: str) -> Need | None:
    """Return what a route needs. Return None if the route is public. `path` is the path as declared, for example
    `/loads/{load_id}`.

    If there is no such route, return the lowest role for GET, and the highest role for other methods. Only a caller
    with that role learns that the route does not exist.
    """
    route = app.routes.get(path, {}).get(method)
    if route is None:
        return Need(LOWEST if method == "GET" else HIGHEST)
    need: Need | None = getattr(route.view_function, _DECLARED)
    return need


def middleware(app: Chalice) -> Callable[[Request, Callable[[Any], Response]], Response]:
    """Return middleware that responds with 401 to a request without a valid token, and with 403 if the token's rights
    do not suffice.

    All routes of `app` must be registered before this call. Raises LookupError for a route that declares no role.
    """
    for path, methods in app.routes.items():
        for method, route in methods.items():
            if not hasattr(route.view_function, _DECLARED):
                raise LookupError(f"{method} {path} declares no role: decorate its view with @needs(role) or @public")

    def admitting(event: Request, get_response: Callable[[Any], Response]) -> Response:
        need = needed(app, event.method, event.path)
        if need is not None and services().settings.authentication:
            try:
                _admit(event, need)
            except HireflowError as error:
                return _refused(error)
        return get_response(event)

    return admitting


def admits(request: Request, role: Role) -> bool:
    """Return whether the caller of a public route has a token whose role includes `role`. Raises DatabaseUnavailable
    if the token cannot be looked up."""
    try:
        _admit(request, Need(role))
    except (Unauthenticated, Forbidden):
        return False
    return True


def has_token(request: Request) -> bool:
    """Return whether a request has a token, valid or not."""
    return bool(_credentials(request)[1])


def caller_rights(request: Request) -> Rights:
    """Return the rights of the caller of a route that needs a role. Without authentication, every caller has all
    rights."""
    rights: Rights = request.context[_RIGHTS] if services().settings.authentication else Rights(HIGHEST)
    return rights


def missing_rights(need: Need, held: Role) -> str:
    """Return the detail of the 403 for a token that does not meet the need of a route. `held` is its role."""
    return f"this request needs {need}, the token has the role {held.value}"


def _admit(request: Request, need: Need) -> None:
    """Check that the token of a request meets the need, and store the token's rights for `caller_rights`. Raises
    Unauthenticated without a valid token, and Forbidden if the rights of the token do not suffice."""
    scheme, token = _credentials(request)
    if not token:
        raise Unauthenticated(MISSING_CREDENTIALS)
    with services().database.session() as session:
        held = tokens.rights_of(session, token.strip()) if scheme.lower() == _SCHEME else None
    if held is None:
        raise Unauthenticated("the token is not known, or was revoked")
    if not need.is_met_by(held):
        raise Forbidden(missing_rights(need, held.role))
    request.context[_RIGHTS] = held


def _credentials(request: Request) -> tuple[str, str]:
    """Return the scheme and the token of the header Authorization."""
    scheme, _, token = str(request.headers.get("authorization", "")).strip().partition(" ")
    return scheme, token


def _refused(error: HireflowError) -> Response:
    response = problems.of_error(error)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="hireflow"'
    if isinstance(error, Forbidden):
        response.headers["WWW-Authenticate"] = 'Bearer realm="hireflow", error="insufficient_scope"'
    return response
