"""Handles GET /health: reports whether the database and the buckets can be reached."""

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import admits, public
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import Role
from chalicelib.monitoring import readiness
from chalicelib.services import services

routes = Blueprint(__name__)


@routes.route("/health", methods=["GET", "HEAD"], content_types=["*/*"])
@public
@endpoint
def health() -> Response:
    parts, is_head = services(), routes.current_request.method == "HEAD"
    checks = readiness.checks(parts.database, parts.storage)
    up = all(check == readiness.OK for check in checks.values())
    status = 200 if up else 503
    headers: dict[str, str | list[str]] = {} if up else {"Retry-After": "5"}
    if is_head:  # monitoring tools send HEAD requests, and read only the status of the response
        return Response("", status_code=status, headers=headers)
    body: dict[str, object] = {"status": "ok" if up else "unavailable"}
    # While the database is unavailable, a token cannot be looked up. To try would only delay the response.
    is_reader = checks["database"] == readiness.OK and admits(routes.current_request, Role.READER)
    if is_reader or not parts.settings.authentication:
        last_backup = readiness.last_backup(parts.storage) if up else None
        letters = readiness.depth(parts.measured_letters)
        body |= {
            **checks,
            "last_backup": last_backup and vars(last_backup),
            "dead_letters": letters.depth if letters else None,
        }
        if letters and letters.age > readiness.STALE:
            body["dead_letters_age_seconds"] = round(letters.age, 1)
    return Response(body, status_code=status, headers=headers)
