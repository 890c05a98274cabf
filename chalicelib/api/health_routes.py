"""Handles GET /health: reports whether the database and the buckets can be reached.

Anybody may call this route. A caller without a valid token gets a result of the checks that may be some seconds old. So
many such callers cause only a few queries.
"""

from chalice.app import Blueprint, Request, Response

from chalicelib.api.http.access import admits, has_token, public
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import Role
from chalicelib.core.errors import Unavailable
from chalicelib.monitoring import readiness
from chalicelib.services import Services, services

routes = Blueprint(__name__)


@routes.route("/health", methods=["GET", "HEAD"], content_types=["*/*"])
@public
@endpoint
def health() -> Response:
    parts, request = services(), routes.current_request
    checks, is_reader = _checked(parts, request)
    up = readiness.is_up(checks)
    status = 200 if up else 503
    headers: dict[str, str | list[str]] = {} if up else {"Retry-After": "5"}
    if request.method == "HEAD":  # monitoring tools send HEAD requests, and read only the status of the response
        return Response("", status_code=status, headers=headers)
    body: dict[str, object] = {"status": "ok" if up else "unavailable"}
    if is_reader:
        last_backup = readiness.last_backup(parts.storage) if up else None
        measured = readiness.depth(parts.measured_queue)
        body |= {
            **checks,
            "last_backup": last_backup and vars(last_backup),
            "dead_letters": measured.depth if measured else None,
        }
        if measured and measured.age > readiness.STALE:
            body["dead_letters_age_seconds"] = round(measured.age, 1)
    return Response(body, status_code=status, headers=headers)


def _checked(parts: Services, request: Request) -> tuple[dict[str, str], bool]:
    """Return the state of the database and of the buckets, and whether the caller may see more than the status."""
    if not parts.settings.authentication:
        return parts.readiness.now(), True
    recent = parts.readiness.recent()
    if not has_token(request):
        return recent, False
    try:
        if recent["database"] == readiness.OK:
            is_reader = admits(request, Role.READER)
            return parts.readiness.now() if is_reader else recent, is_reader
        # While the database is unavailable, a token cannot be looked up. An attempt would only delay the response.
        now = parts.readiness.now()
        return now, now["database"] == readiness.OK and admits(request, Role.READER)
    except Unavailable:  # the database has become unavailable since the last checks
        return parts.readiness.now(), False
