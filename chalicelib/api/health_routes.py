"""Handles GET /health: reports whether the database works and the buckets can be reached.

Anybody may call this route. A caller without a valid token gets a result of the checks that may be some seconds old. So
many such callers cause only a few queries. On a stage without authentication, nobody has a token. There, the good
result of the checks is used again, but not a bad one, so that the end of an outage is seen at once. The last backup and
the number of dead letters may be some seconds old, too.
"""

from chalice.app import Blueprint, Request, Response

from chalicelib.api.http.access import admits, has_token, public
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import Role
from chalicelib.cloud.queues import Measured
from chalicelib.core import deadline
from chalicelib.core.errors import Unavailable
from chalicelib.monitoring import readiness
from chalicelib.monitoring.readiness import Checks
from chalicelib.services import Services, services

# What a caller may see. While no token can be looked up, a caller with a token sees why the database does not work. The
# 503 of any other route shows the same reason.
STATUS, PROBLEM, ALL = "status", "problem", "all"
# The longest time in seconds to look up a token. While the database hangs, the checks take three seconds after it.
LOOKUP = 2.0
routes = Blueprint(__name__)


@routes.route("/health", methods=["GET", "HEAD"], content_types=["*/*"])
@public
@endpoint
def health() -> Response:
    parts, request = services(), routes.current_request
    checks, may_see = _checked(parts, request)
    up = checks.is_up
    status = 200 if up else 503
    headers: dict[str, str | list[str]] = {} if up else {"Retry-After": "5"}
    if request.method == "HEAD":  # monitoring tools send HEAD requests, and read only the status of the response
        return Response("", status_code=status, headers=headers)
    body: dict[str, object] = {"status": "ok" if up else "unavailable"}
    if checks.database.problem and may_see != STATUS:
        body["detail"] = checks.database.problem
    if may_see == ALL:
        body |= {**checks.states, **_details(parts, up)}
    return Response(body, status_code=status, headers=headers)


def _details(parts: Services, up: bool) -> dict[str, object]:
    """Return the members of the body about the last backup and the dead letters."""
    if not up:  # the buckets may not be readable
        measured = readiness.depth(parts.measured_queue)
        return {"last_backup": None, **_of_letters(measured)}
    kept = parts.readiness.details
    details = kept.now() if parts.settings.authentication else kept.recent()
    last_backup = readiness.last_backup(details.newest)
    return {"last_backup": last_backup and vars(last_backup), **_of_letters(details.letters)}


def _of_letters(measured: Measured | None) -> dict[str, object]:
    shown: dict[str, object] = {"dead_letters": measured.depth if measured else None}
    if measured and measured.age > readiness.STALE:
        shown["dead_letters_age_seconds"] = round(measured.age, 1)
    return shown


def _checked(parts: Services, request: Request) -> tuple[Checks, str]:
    """Return the state of the database and of the buckets, and what the caller may see: STATUS, PROBLEM or ALL."""
    kept, checks = parts.readiness.checks.last, parts.readiness.checks.recent()

    def renewed() -> Checks:
        """Run the checks again, unless their result is of this request."""
        return parts.readiness.checks.now() if checks is kept else checks

    if not parts.settings.authentication:
        return (checks if checks.is_up else renewed()), ALL
    if not has_token(request):
        return checks, STATUS
    if not checks.database.answers:
        checks = renewed()
    if not checks.database.answers:  # an attempt to look up the token would only delay the response
        return checks, PROBLEM
    try:
        with deadline.within(LOOKUP):
            is_reader = admits(request, Role.READER)
    except Unavailable:  # the database has become unavailable since the last checks, or it is busy
        return parts.readiness.checks.now(), PROBLEM
    if not is_reader:
        return checks, STATUS
    return renewed(), ALL
