"""Checks whether the database works and the buckets can be reached. /health and the dashboard use these checks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Database
from chalicelib.cloud.queues import Measured
from chalicelib.cloud.storage import Storage
from chalicelib.core.errors import HireflowError
from chalicelib.monitoring.database_state import DatabaseState, examine

if TYPE_CHECKING:
    from chalicelib.backups.manifest import Manifest

OK, AWAY = "ok", "unavailable"
RECENT = 5.0  # seconds for which the result of the checks is kept in memory
STALE = 180.0  # seconds; a depth that was measured longer ago is shown with its age


class Queue(Protocol):
    """Measures the dead-letter queue. Raises Unavailable."""

    def measured(self) -> Measured: ...


@dataclass(frozen=True)
class LastBackup:
    """Has the name of a restore point, and its age in seconds."""

    restore_point: str
    age_seconds: float


@dataclass(frozen=True)
class Checks:
    """The result of the checks. `states` has "ok" or "unavailable" for the database and every bucket."""

    states: Mapping[str, str]
    database: DatabaseState

    @property
    def is_up(self) -> bool:
        return all(state == OK for state in self.states.values())


def checks(database: Database, storage: Storage) -> Checks:
    """Check the database and every bucket."""
    found = examine(database)
    states = {"database": _state(found.problem is None)}
    for name in ("landing", "errored", "backup"):
        bucket: Bucket = getattr(storage, name)
        states[f"{name}_bucket"] = _state(bucket.reachable())
    return Checks(states, found)


class Readiness:
    """Runs the checks of one process, and keeps their last result. `clock` returns seconds."""

    def __init__(self, database: Database, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._storage, self._clock = database, storage, clock
        self._checked_at = 0.0
        self.last: Checks | None = None

    def now(self) -> Checks:
        """Run the checks, and return their result."""
        self.last, self._checked_at = checks(self._database, self._storage), self._clock()
        return self.last

    def recent(self) -> Checks:
        """Return the last result. If it is older than RECENT, run the checks again."""
        if self.last is None or self._clock() - self._checked_at > RECENT:
            return self.now()
        return self.last


def depth(letters: Queue) -> Measured | None:
    """Return the approximate number of events that wait for a redrive, or None if the queue cannot be reached. Neither
    result changes the status of /health."""
    try:
        return letters.measured()
    except HireflowError:
        return None


def newest_backup(storage: Storage) -> "Manifest | None":
    """Return the newest complete restore point whose time is not in the future. /health, the dashboard and the gauges
    call this restore point the last backup. Return None before the first restore point. Raises StorageUnavailable."""
    from chalicelib.backups import manifest

    return manifest.newest(storage.backup)


def last_backup(storage: Storage) -> LastBackup | None:
    """Return the name and the age of `newest_backup`. Return None if there is no backup. Raises StorageUnavailable if
    the backup bucket cannot be read."""
    newest = newest_backup(storage)
    if newest is None:
        return None
    age = newest.age(datetime.now(UTC)).total_seconds()
    return LastBackup(newest.restore_point, round(age, 1))


def _state(works: bool) -> str:
    return OK if works else AWAY
