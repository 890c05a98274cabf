"""GET /health: whether what the service stands on is there."""

from datetime import UTC, datetime
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.access import Role
from chalicelib.api.access import admits
from chalicelib.api.problems import endpoint
from chalicelib.database import Database
from chalicelib.delivery import DeadLetters
from chalicelib.errors import HireflowError
from chalicelib.services import services
from chalicelib.storage import Bucket, Storage

routes = Blueprint(__name__)


@routes.route("/health", content_types=["*/*"])
@endpoint
def health() -> Response:
    parts = services()
    storage = parts.storage
    checks: dict[str, Any] = {"database": _state(_answers(parts.database))}
    for name in ("landing", "errored", "backup"):
        bucket: Bucket = getattr(storage, name)
        checks[f"{name}_bucket"] = _state(bucket.reachable())
    up = all(check == "ok" for check in checks.values())
    body: dict[str, Any] = {"status": "ok" if up else "unavailable"}
    # The database that is away knows no token either, and is not waited for a second time.
    known = checks["database"] == "ok" and admits(routes.current_request, Role.READER)
    if known or not parts.settings.authentication:
        last_backup = _last_backup(storage) if up else None
        body |= {**checks, "last_backup": last_backup, "dead_letters": _depth(parts.dead_letters)}
    return Response(body, status_code=200 if up else 503, headers={} if up else {"Retry-After": "5"})


def _state(works: bool) -> str:
    return "ok" if works else "unavailable"


def _answers(database: Database) -> bool:
    try:
        with database.session() as session:
            return bool(session.scalar("SELECT 1"))
    except HireflowError:
        return False


def _depth(letters: DeadLetters) -> int | None:
    """About how many events wait for a redrive; None where the queue cannot be asked. No matter for the status."""
    try:
        return letters.depth()
    except HireflowError:
        return None


def _last_backup(storage: Storage) -> dict[str, Any] | None:
    """The newest restore point and its age in seconds; None where there is no backup yet."""
    from chalicelib.backups import manifest

    newest = manifest.newest(storage.backup)
    if newest is None:
        return None
    age = datetime.now(UTC) - manifest.instant(newest.restore_point)
    return {"restore_point": newest.restore_point, "age_seconds": round(age.total_seconds(), 1)}
