"""The landing sweep: what lies in the landing bucket and is in no load, and loads that nobody works on, are offered to
the ingest function again.

S3 and Lambda deliver events at least once, but not for ever: an event is lost where the function could not run for six
hours, or where an emulator lost its power. The bucket is the source of truth. The list of its versions is compared with
the loads, a page at a time; a cursor in the database remembers how far that has come.

Three things bound it. Versions older than `starts_at` are never taken up (see the migration 0006). A periodic sweep
leaves young ones to their events. And each sweep has a budget of pages, offers and seconds; whatever is left comes with
the next one. With 1000 versions a page, 100,000 objects are compared in two sweeps: an object whose event is lost is
offered at most 5 minutes of age, 6 minutes of sweeps and 3 minutes to the next schedule after it came.
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

from chalicelib import unattended
from chalicelib.database import Database, Session, lock_timeout
from chalicelib.errors import NotFound, Unavailable
from chalicelib.ingest import healing
from chalicelib.ingest.offers import Offer, event_of_load, event_of_version
from chalicelib.ingest.pacing import AT_ONCE, Paced
from chalicelib.storage import Bucket, Position, Version, VersionPage

OUTAGE = timedelta(minutes=10)  # without a sweep, after which everything was down
LAST_LETTERS = timedelta(minutes=15)  # before the last sweep; a load given up since may have lost its dead letter
TURN_WAIT = 60.0  # seconds that the sweep after a restart waits for another one to end
LOCK = (0x68697265, 1)  # advisory lock of the database: one sweep at a time
NO_VERSION = "null"  # where a bucket keeps no versions
KNOWN = (  # which of some versions have a load, or are the object of a restore that is over: nobody waits for that
    "SELECT o.n FROM unnest(CAST(:sources AS text[]), CAST(:versions AS text[]), CAST(:kept AS boolean[]))"
    " WITH ORDINALITY AS o (source, version, kept, n), LATERAL ("
    "(SELECT FROM loads l WHERE o.kept AND l.source = o.source AND l.version = o.version LIMIT 1) UNION ALL "
    "(SELECT FROM loads l WHERE NOT o.kept AND l.source = o.source AND starts_with(l.version, o.version) LIMIT 1)"
    " UNION ALL (SELECT FROM loads l WHERE l.source = o.source AND l.version IS NULL AND l.kind = 'restore'"
    " AND l.status NOT IN ('queued', 'running') LIMIT 1)) AS of_it"
)
_log = logging.getLogger("hireflow.landing")


@dataclass(frozen=True)
class Patience:
    """How old a version is when its event is missed, and for how long a load is without a worker when its next attempt
    is: more than the two minutes that Lambda lets pass before its last one."""

    age: timedelta = timedelta(minutes=5)
    idle: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Budget:
    """What one sweep may do. Versions of one key are offered together, so that it may offer a little more."""

    pages: int = 50
    offers: int = 1000
    seconds: float = 180
    at_once: int = AT_ONCE


PATIENCE = Patience()
PERIODIC = Budget()
AFTER_RESTART = Budget(pages=10**6, offers=10**6)


class Listing(Protocol):
    """A bucket's list of versions."""

    def version_page(self, after: Position) -> VersionPage: ...
    def is_deleted(self, key: str) -> bool: ...


@dataclass(frozen=True)
class Comparison:
    """The landing bucket against the loads. `known` returns those of some versions that need not be offered."""

    landing: Listing
    known: Callable[[Sequence[Version]], Collection[Version]]
    offer: Callable[[Version], None]
    since: datetime
    before: datetime

    def run(self, cursor: Position, *, pages: int, offers: int, until: float) -> Position:
        """Offer what is missing behind `cursor`, `until` by time.monotonic(). Returns where the next run goes on."""
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
        """What to offer of a page, the versions of a key together, newest first."""
        seen = [version for version in page.versions if self._is_eligible(version, page.deleted)]
        known = self.known(seen)  # of none as well: a connection that says nothing for two minutes is ended
        for _, versions in groupby((version for version in seen if version not in known), lambda v: v.key):
            yield list(versions)

    def _is_eligible(self, version: Version, deleted: Collection[str]) -> bool:
        """A key whose newest version is a delete marker was withdrawn by somebody. No event of a key with NUL has ever
        become a load, nor can it."""
        is_file = not version.key.endswith("/") and "\0" not in version.key
        return is_file and version.key not in deleted and self.since <= version.modified < self.before

    def _began_earlier(self, cursor: Position, versions: Sequence[Version]) -> bool:
        """Whether these were withdrawn by a delete marker on an earlier page."""
        key = versions[0].key
        return key == cursor.key and self.landing.is_deleted(key)


def _behind(page: VersionPage, key: str) -> Position:
    """Behind the last version of a key on a page."""
    last = next(version for version in reversed(page.versions) if version.key == key)
    return Position(key, last.version_id)


@dataclass(frozen=True)
class _State:
    """What the last sweep has left behind."""

    starts_at: datetime
    swept_at: datetime
    cursor: Position
    is_restart: bool  # or after an outage: then the cursor is at the beginning


def sweep(
    database: Database,
    landing: Bucket,
    offer: Offer,
    *,
    restarted: bool = False,
    patience: Patience = PATIENCE,
    budget: Budget | None = None,
) -> int:
    """Offer again what nobody would load any more; returns how many objects. While another sweep is at it: none.

    After a restart (or an outage, which a sweep notices by itself) nothing is left to events: versions of any age are
    offered, from the beginning of the list, and unfinished loads have all their attempts again. Raises
    DatabaseUnavailable, and LockTimeout where a restart has to wait for too long; where S3 or Lambda is away, the next
    sweep goes on.
    """
    with database.session() as session:
        if not _turn(session, restarted):
            return 0
        try:
            return _sweep(session, landing, offer, _begin(session, restarted), patience, budget)
        finally:
            if not session.broken:
                session.run("SELECT pg_advisory_unlock({}, {})".format(*LOCK))


def _turn(session: Session, restarted: bool) -> bool:
    """One sweep at a time. The order of a restart must not get lost behind a periodic one, which comes again."""
    if not restarted:
        return bool(session.scalar("SELECT pg_try_advisory_lock({}, {})".format(*LOCK)))
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
        # A version that was deleted for good may be no place to go on from: the next sweep goes on behind its key.
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
    comparison = Comparison(landing, partial(_known, session, landing), offer, state.starts_at, before)
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
        healing.extend(session, swept_at)
    return _State(starts_at, swept_at, Position() if anew else Position(unquote(key), version), anew)


def _save(session: Session, cursor: Position) -> None:
    session.run(
        "UPDATE landing_sweep SET key_marker = :key, version_marker = :version",
        key=quote(cursor.key),  # a key may hold what Postgres does not take
        version=cursor.version_id,
    )


def _remind(session: Session, source: str) -> None:
    """Let an announced load wait anew for the object that is offered, or it might be failed before that is taken."""
    session.run(
        "UPDATE loads SET queued_at = now() WHERE source = :source AND version IS NULL AND status = 'queued'",
        source=source,
    )


def _remind_all(session: Session) -> None:
    """Likewise for all that are announced: their wait went on while nothing could be offered. Their objects may lie
    far behind in the list, or behind the budget, and another sweep beside this one would fail them meanwhile, for good
    where they are restores."""
    session.run("UPDATE loads SET queued_at = now() WHERE version IS NULL AND status = 'queued'")


def _known(session: Session, landing: Bucket, versions: Sequence[Version]) -> set[Version]:
    """Those of some versions that need not be offered, each looked up by the unique index on (source, version).
    Without bucket versioning a load's version begins with the ETag."""
    kept = [version.version_id != NO_VERSION for version in versions]
    rows = session.run(
        KNOWN,
        sources=[landing.url(version.key) for version in versions],
        versions=[v.version_id if k else f"{v.etag}:" for v, k in zip(versions, kept, strict=True)],
        kept=kept,
    )
    return {versions[number - 1] for [number] in rows}
