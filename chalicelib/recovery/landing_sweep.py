"""Sweeps the landing bucket. The landing sweep finds objects that have no load, and loads that no worker has claimed.
It offers these objects, and the objects of these loads, to the `ingest` function again.

S3 and Lambda deliver events at least once, but they do not retry for ever. An event is lost if the function cannot run
for six hours, or if the machine of the embedded AWS loses its power. The object is then still in the bucket. The
sweep therefore compares the bucket's list of object versions with the loads, page by page. It stores its position in
the list, the cursor, in the database.

The sweep has three limits. It never offers versions older than `starts_at` (see the migration 0006). A periodic sweep
ignores young versions, because their events may still come. Each sweep has a budget of pages, offers and seconds, and
the next sweep continues at the cursor.

A page has 1000 versions, so two sweeps compare 100,000 versions. In a bucket with at most 100,000 versions, an object
whose event was lost is offered within the time OFFERED_WITHIN. This time is the sum of the minimum age of a version,
the time until the next scheduled sweep begins, and the time of two sweeps.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Protocol
from urllib.parse import quote, unquote

from chalicelib.cloud.buckets import Bucket, Position, Version, VersionPage
from chalicelib.cloud.database import Database, Session, lock_timeout
from chalicelib.core.errors import NotFound, Unavailable
from chalicelib.core.schedules import SWEEP_MINUTES
from chalicelib.ingest import orphans
from chalicelib.loads import unattended
from chalicelib.loads.outcomes import IS_UNFINISHED
from chalicelib.recovery import turns
from chalicelib.recovery.offers import Offer, event_of_load, event_of_version
from chalicelib.recovery.pacing import AT_ONCE, Paced

# If the last sweep was longer ago than this, the whole stage was down.
OUTAGE = timedelta(minutes=3 * SWEEP_MINUTES + 1)
# A load that was given up less than this time before an outage began may have lost its dead letter. The outage began
# after the last sweep.
LAST_LETTERS = timedelta(minutes=15)
LONGEST = 180.0  # seconds that a sweep may take; its function has 300, and has other tasks afterwards
TURN_WAIT = 60.0  # seconds that the sweep after a restart waits for another sweep to end
LOCK = (0x68697265, 1)  # an advisory lock of the database, so that only one sweep runs at a time
NO_VERSION = "null"  # the version id of every object in a bucket without versioning
KNOWN = (  # SQL: the versions that have a load, and the versions that were copied for a restore that has ended
    "SELECT o.n FROM unnest(CAST(:sources AS text[]), CAST(:versions AS text[]), CAST(:kept AS boolean[]))"
    " WITH ORDINALITY AS o (source, version, kept, n), LATERAL ("
    "(SELECT FROM loads l WHERE o.kept AND l.source = o.source AND l.version = o.version LIMIT 1) UNION ALL "
    "(SELECT FROM loads l WHERE NOT o.kept AND l.source = o.source AND starts_with(l.version, o.version) LIMIT 1)"
    " UNION ALL (SELECT FROM loads l WHERE l.source = o.source AND l.version IS NULL AND l.kind = 'restore'"
    f" AND NOT l.{IS_UNFINISHED} LIMIT 1)) AS of_it"
)
_log = logging.getLogger("hireflow.landing")


@dataclass(frozen=True)
class Patience:
    """`age` is the age of a version at which its event counts as lost. `idle` is the time without a worker after which
    the object of a load is offered again. Both times are longer than the two minutes that Lambda waits before its last
    retry."""

    age: timedelta = timedelta(minutes=5)
    idle: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Budget:
    """Sets the limits of one sweep. By default, a sweep runs until the next sweep is due, but at most LONGEST seconds.
    A sweep offers all versions of a key together, so it may make a few more offers than `offers`. `at_once` is the
    number of offered loads that may run at the same time."""

    pages: int = 50
    offers: int = 1000
    seconds: float = min(60 * SWEEP_MINUTES, LONGEST)
    at_once: int = AT_ONCE


PATIENCE = Patience()
PERIODIC = Budget()
AFTER_RESTART = Budget(pages=10**6, offers=10**6)
OFFERED_WITHIN = PATIENCE.age + timedelta(minutes=SWEEP_MINUTES) + 2 * timedelta(seconds=PERIODIC.seconds)


class Listing(Protocol):
    """Returns the list of versions in a bucket."""

    def version_page(self, after: Position) -> VersionPage: ...
    def is_deleted(self, key: str) -> bool: ...


@dataclass(frozen=True)
class Comparison:
    """Compares the landing bucket with the loads. `loaded` returns those of the given versions that need no offer,
    because they have a load. Only versions that S3 stored at or after `since` and before `before` are offered."""

    landing: Listing
    loaded: Callable[[Sequence[Version]], Collection[Version]]
    offer: Callable[[Version], None]
    since: datetime
    before: datetime

    def run(self, cursor: Position, *, pages: int, offers: int, until: float) -> Position:
        """Offer the versions after `cursor` that have no load. Stop after `pages` pages, after `offers` offers, or at
        the time `until` of time.monotonic(). Return the cursor for the next run."""
        offered = 0

        def is_spent() -> bool:
            return offered >= offers or time.monotonic() >= until

        for _ in range(pages):
            page = self.landing.version_page(cursor)
            for versions in self._missing(page):
                if is_spent():
                    return cursor
                if not self._began_earlier(cursor, versions):
                    for version in reversed(versions):
                        self.offer(version)
                    offered += len(versions)
                cursor = _behind(page, versions[0].key)
            if page.next is None:
                return Position()
            cursor = page.next
            if is_spent():
                break
        return cursor

    def _missing(self, page: VersionPage) -> Iterator[list[Version]]:
        """Yield the versions of a page that have to be offered, grouped by key, newest first."""
        eligible = [version for version in page.versions if self._is_eligible(version, page.deleted)]
        # This query also runs if no version is eligible, because Postgres closes a connection that is idle for two
        # minutes.
        loaded = self.loaded(eligible)
        for _, versions in groupby((version for version in eligible if version not in loaded), lambda v: v.key):
            yield list(versions)

    def _is_eligible(self, version: Version, deleted: Collection[str]) -> bool:
        """Return whether a version may be offered. A version whose key was deleted is not offered: the newest version
        of such a key is a delete marker. A version whose key contains NUL is not offered, because Postgres cannot store
        the key, and so the version can have no load."""
        is_file = not version.key.endswith("/") and "\0" not in version.key
        return is_file and version.key not in deleted and self.since <= version.modified < self.before

    def _began_earlier(self, cursor: Position, versions: Sequence[Version]) -> bool:
        """Return whether the key of these versions was deleted by a delete marker that is on an earlier page."""
        key = versions[0].key
        return key == cursor.key and self.landing.is_deleted(key)


def _behind(page: VersionPage, key: str) -> Position:
    """Return the position after the last version of a key on a page."""
    last = next(version for version in reversed(page.versions) if version.key == key)
    return Position(key, last.version_id)


@dataclass(frozen=True)
class _State:
    """Has the state that the last sweep has stored for this sweep."""

    starts_at: datetime
    swept_at: datetime
    cursor: Position
    is_restart: bool  # also true after an outage; if true, the cursor is at the beginning of the list


def sweep(
    database: Database,
    landing: Bucket,
    offer: Offer,
    *,
    restarted: bool = False,
    patience: Patience = PATIENCE,
    budget: Budget | None = None,
) -> int:
    """Offer objects that have no load, and the objects of loads that have no worker. Return the number of offers, which
    is 0 if another sweep is running.

    After a restart, the sweep does not wait for events: it offers versions of any age, from the beginning of the list,
    and gives unfinished loads all their attempts again. The sweep does the same after an outage, that is, if the last
    sweep was longer ago than OUTAGE. If S3 or Lambda is unavailable, this sweep ends, and the next sweep continues.
    Raises DatabaseUnavailable. Raises LockTimeout if the sweep after a restart waits too long for another sweep.
    """
    with database.session() as session:
        if not _turn(session, restarted):
            return 0
        with turns.ending(session, LOCK):
            return _sweep(session, landing, offer, _begin(session, restarted), patience, budget)


def _turn(session: Session, restarted: bool) -> bool:
    """Take the lock that allows one sweep at a time. Return whether this sweep has the lock.

    If another sweep has the lock, a periodic sweep does not wait, because the schedule soon starts the next sweep. The
    sweep after a restart waits, because `make up` starts it only once."""
    if not restarted:
        return turns.begun(session, LOCK)
    with session.transaction(f"BEGIN; {lock_timeout(TURN_WAIT)}"):
        session.run("SELECT pg_advisory_lock({}, {})".format(*LOCK))
    return True


def _sweep(
    session: Session, landing: Bucket, offer: Offer, state: _State, patience: Patience, budget: Budget | None
) -> int:
    if state.is_restart:
        budget = budget or AFTER_RESTART
        loads = unattended.cut_off(session, state.swept_at - LAST_LETTERS, budget.offers)
    else:
        budget = budget or PERIODIC
        loads = unattended.idle(session, patience.idle, budget.offers)
    paced = Paced(session, offer, budget.at_once, time.monotonic() + budget.seconds)
    try:
        for load in loads:
            paced(load.source, load.version, event_of_load(load))
            _log.info("load offered again", extra={"load_id": load.load_id})
        _compare(session, landing, paced, state, patience.age, budget)
    except (NotFound, Unavailable) as error:
        if session.broken:
            raise
        # S3 may refuse a list that starts at a version that was deleted permanently. The next sweep therefore starts
        # after the key of that version.
        _save(session, Position(state.cursor.key))
        _log.warning("the sweep of the landing bucket ended early: %s", error.detail)
    return paced.offered


def _compare(session: Session, landing: Bucket, paced: Paced, state: _State, age: timedelta, budget: Budget) -> None:
    def offer(version: Version) -> None:
        source = landing.url(version.key)
        _remind(session, source)
        paced(source, version.version_id, event_of_version(landing.name, version))
        _log.info("object offered again", extra={"version_id": version.version_id})

    before = datetime.max.replace(tzinfo=UTC) if state.is_restart else datetime.now(UTC) - age
    comparison = Comparison(landing, partial(_loaded, session, landing), offer, state.starts_at, before)
    offers = budget.offers - paced.offered
    _save(session, comparison.run(state.cursor, pages=budget.pages, offers=offers, until=paced.until))


def _begin(session: Session, restarted: bool) -> _State:
    [[starts_at, swept_at, key, version]] = session.run(
        "SELECT starts_at, swept_at, key_marker, version_marker FROM landing_sweep"
    )
    session.run("UPDATE landing_sweep SET swept_at = now()")
    anew = restarted or datetime.now(UTC) - swept_at > OUTAGE
    if anew:
        _remind_all(session)
        orphans.extend(session, swept_at)
    return _State(starts_at, swept_at, Position() if anew else Position(unquote(key), version), anew)


def _save(session: Session, cursor: Position) -> None:
    session.run(
        "UPDATE landing_sweep SET key_marker = :key, version_marker = :version",
        key=quote(cursor.key),  # a key may hold characters that Postgres does not accept
        version=cursor.version_id,
    )


def _remind(session: Session, source: str) -> None:
    """Restart the time that an announced load waits for its object, because the object is offered now. Otherwise the
    load might fail before a worker claims it."""
    session.run(
        "UPDATE loads SET queued_at = now() WHERE source = :source AND version IS NULL AND status = 'queued'",
        source=source,
    )


def _remind_all(session: Session) -> None:
    """Restart the time that all announced loads wait for their objects, because some of this time passed during the
    outage.

    This sweep offers the objects of these loads late, or leaves them to the next sweep. Without the restart, another
    invocation of the sweep function would meanwhile mark these loads as failed. A restore that has failed stays
    failed."""
    session.run("UPDATE loads SET queued_at = now() WHERE version IS NULL AND status = 'queued'")


def _loaded(session: Session, landing: Bucket, versions: Sequence[Version]) -> set[Version]:
    """Return those of the versions that need no offer, as KNOWN selects them. The query uses the unique index on
    (source, version). In a bucket without versioning, the version of a load begins with the ETag of the object."""
    kept = [version.version_id != NO_VERSION for version in versions]
    rows = session.run(
        KNOWN,
        sources=[landing.url(version.key) for version in versions],
        versions=[v.version_id if k else f"{v.etag}:" for v, k in zip(versions, kept, strict=True)],
        kept=kept,
    )
    return {versions[number - 1] for [number] in rows}
