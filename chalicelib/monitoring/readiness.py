"""Checks whether the database works and the buckets can be reached. /health and the dashboard use these checks."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Database
from chalicelib.cloud.queues import Measured
from chalicelib.cloud.storage import Storage
from chalicelib.core.errors import HireflowError
from chalicelib.monitoring.database_state import DatabaseState, examine

if TYPE_CHECKING:
    from chalicelib.backups.manifest import Manifest

OK, AWAY = "ok", "unavailable"
RECENT = 5.0  # seconds for which the results are kept in memory
STALE = 180.0  # seconds; a depth that was measured longer ago is shown with its age
_BUCKETS = ("landing", "errored", "backup")

_Result = TypeVar("_Result")


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


@dataclass(frozen=True)
class Details:
    """Has the newest complete restore point, and the number of events that wait for a redrive. Both may be None."""

    newest: "Manifest | None"
    letters: Measured | None


def checks(database: Database, storage: Storage) -> Checks:
    """Check the database, and then all buckets at the same time."""
    found = examine(database)  # not in parallel: to connect may create an AWS client, as the first use of a bucket does
    buckets: list[Bucket] = [getattr(storage, name) for name in _BUCKETS]
    with ThreadPoolExecutor(len(buckets)) as pool:
        reachable = [_started(pool, bucket.reachable) for bucket in buckets]
    states = {"database": _state(found.problem is None)}
    states |= {f"{name}_bucket": _state(each.result()) for name, each in zip(_BUCKETS, reachable, strict=True)}
    return Checks(states, found)


def details(storage: Storage, letters: Queue) -> Details:
    """Read the details, both at the same time. Raises StorageUnavailable if the backup bucket cannot be read."""
    with ThreadPoolExecutor(1) as pool:
        newest = _started(pool, lambda: newest_backup(storage))
        measured = depth(letters)
    return Details(newest.result(), measured)


class Kept(Generic[_Result]):
    """Reads something, and keeps the last result. `clock` returns seconds."""

    def __init__(self, read: Callable[[], _Result], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._read_at = 0.0
        self.last: _Result | None = None

    def now(self) -> _Result:
        """Read, and return the result."""
        self.last, self._read_at = self._read(), self._clock()
        return self.last

    def recent(self) -> _Result:
        """Return the last result. If it is older than RECENT, read again."""
        if self.last is None or self._clock() - self._read_at > RECENT:
            return self.now()
        return self.last


class Readiness:
    """Keeps the last checks and the last details of one process. To read the details raises StorageUnavailable if the
    backup bucket cannot be read."""

    def __init__(
        self, database: Database, storage: Storage, letters: Queue, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.checks = Kept(lambda: checks(database, storage), clock)
        self.details = Kept(lambda: details(storage, letters), clock)


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


def last_backup(newest: "Manifest | None") -> LastBackup | None:
    """Return the name of a restore point, and its age at this moment."""
    if newest is None:
        return None
    age = newest.age(datetime.now(UTC)).total_seconds()
    return LastBackup(newest.restore_point, round(age, 1))


def _started(pool: ThreadPoolExecutor, work: Callable[[], _Result]) -> Future[_Result]:
    """Start work in a thread, with the deadline of this thread."""
    return pool.submit(copy_context().run, work)


def _state(works: bool) -> str:
    return OK if works else AWAY
