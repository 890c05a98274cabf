"""Reads the gauges of the stage, for example the age of the last backup. The scheduled sweep reads the gauges, so their
metrics are written even if no load is running."""

from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.backups.manifest import Manifest
from chalicelib.backups.snapshot import origin, versions
from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core.errors import Unavailable
from chalicelib.monitoring import readiness


@dataclass(frozen=True)
class Gauges:
    """Has the values of all gauges. A gauge is None if it could not be read.

    `backup_age` is the age of the newest complete restore point in seconds. It is None before the first restore point.
    `backup_lag` is the greatest age in seconds that a change without a backup may have. It is 0 if the newest complete
    restore point has all changes. Otherwise it is `backup_age`, because only changes after this restore point are
    missing from it.
    `dead_letters` is the approximate number of events that wait for a redrive. `orphans` is the number of
    waiting rows. `unsent` is the number of events, notices and invocations that the relay has not sent yet, and
    `unsent_age` is how many seconds ago the oldest of them was written.
    """

    backup_age: float | None = None
    backup_lag: float | None = None
    dead_letters: int | None = None
    orphans: int | None = None
    unsent: int | None = None
    unsent_age: float | None = None


_UNSENT = (
    "SELECT count(*), CAST(coalesce(extract(epoch FROM now() - min(created_at)), 0) AS double precision) FROM outbox"
)


def read(database: Database, storage: Storage, letters: readiness.Queue) -> Gauges:
    """Read all gauges. If a service is unavailable, only the gauges that need this service are None."""
    newest = _newest_backup(storage)
    age = newest.age(datetime.now(UTC)).total_seconds() if newest else None
    lag = orphans = unsent = unsent_age = None
    try:
        with database.session() as session:
            orphans = int(session.scalar("SELECT count(*) FROM orphans"))
            [[unsent, unsent_age]] = session.run(_UNSENT)
            if newest is not None:
                lag = 0.0 if _holds_all(session, newest) else age
    except Unavailable:
        pass
    depth = readiness.depth(letters)
    fresh = depth.depth if depth and depth.age <= readiness.STALE else None  # an old depth is not written as a metric
    return Gauges(age, lag, fresh, orphans, unsent, unsent_age)


def _newest_backup(storage: Storage) -> Manifest | None:
    try:
        return readiness.newest_backup(storage)
    except Unavailable:
        return None


def _holds_all(session: Session, newest: Manifest) -> bool:
    return newest.origin == origin(session) and versions(session, newest.tables) == newest.versions
