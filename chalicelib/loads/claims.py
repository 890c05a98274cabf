"""Claims loads, and records what a worker does with its load until the load ends.

There is one load for each object version, API request, restore request or upload form. A worker claims the load of an
object by a *session advisory lock* on the load's id. So a load never has two workers. The lock ends with the
connection, so a dead worker blocks no other worker, and claims need no timeout.

Postgres ends the connection of a dead worker within seconds (see `cloud.database`). A second worker waits longer than
that for the lock. Both are necessary, because Lambda's last retry comes only minutes after the first attempt. If the
lock of a dead worker made that retry fail, no retry would be left for the load.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.cloud.database import Session, lock_timeout
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import ClaimLost, LoadBusy, LoadGivenUp, LockTimeout
from chalicelib.loads.announcements import AWAITS_OBJECT
from chalicelib.loads.attempts import MAX_ATTEMPTS, OPENED_AGAIN
from chalicelib.loads.object_versions import ObjectCreated
from chalicelib.loads.outcomes import IS_UNFINISHED, CountedReason, Counts

BUSY_WAIT = 60.0  # seconds that a second worker on a load waits until the first one ends
_FOUND = (
    "errored_key = :errored_key, reasons = CAST(:reasons AS jsonb), tracked_rejects = :tracked,"
    " notices = notices || CAST(:notices AS jsonb)"
)
_NOT_DONE = f"({IS_UNFINISHED} OR given_up)"


@dataclass(frozen=True)
class Claim:
    """A worker's exclusive right to work on a load, until the worker's connection ends.

    `tried_before` says whether there was an earlier attempt, which may have left a reject file behind. `attempt` does
    not show this, because the count starts again after a redrive and after a handover. A handover is not a failed
    attempt. `correlation_id` is the id of the request that caused the load.
    """

    load_id: int
    attempt: int
    started_at: datetime
    sha256: str | None
    tried_before: bool
    correlation_id: str | None = None
    handovers: int = 0

    @property
    def is_last_attempt(self) -> bool:
        return self.attempt >= MAX_ATTEMPTS

    @property
    def is_own_backup(self) -> bool:
        """Whether the object is a backup that Hireflow wrote. Only the load of a restore has a checksum."""
        return self.sha256 is not None


@dataclass(frozen=True)
class Findings:
    """The results of reading a file: the key of its reject file, the counts of the reasons of its rejects, the number
    of its tracked rejects, and notices. The load already has notices about the file's format. These notices are added
    to them."""

    errored_key: str | None
    reasons: Sequence[CountedReason]
    tracked: int
    notices: Sequence[str] = ()

    def columns(self) -> dict[str, str | int | None]:
        """Return the values for the columns of the load, as parameters of `_FOUND`."""
        return {
            "errored_key": self.errored_key,
            "reasons": json.dumps(self.reasons),
            "tracked": self.tracked,
            "notices": json.dumps(self.notices),
        }


def claim(
    session: Session, created: ObjectCreated, dataset: Dataset | None, kind: str, *, busy_wait: float = BUSY_WAIT
) -> Claim | None:
    """Claim the load of an object version, and begin its next attempt. Returns None if the load has ended.

    Raises LoadBusy if another worker holds the load for more than `busy_wait` seconds. Raises LoadGivenUp if the load
    has no attempts left, for example because another delivery of the event has used them up. This delivery then fails,
    too, so that its event becomes a dead letter.
    """
    if begun := _begin(session, created, dataset, kind):
        return begun
    load_id = _register(session, created, dataset, kind)
    _lock(session, load_id, busy_wait)
    rows: list[list[Any]] = []
    try:
        rows = session.run(
            "UPDATE loads SET attempts = attempts + 1, status = 'running', received = 0,"
            " started_at = coalesce(started_at, now())"
            f" WHERE id = :id AND {IS_UNFINISHED} AND attempts < :most"
            " RETURNING attempts, started_at, sha256, started_at < now(), correlation_id, handovers",
            id=load_id,
            most=MAX_ATTEMPTS,
        )
        if not rows and session.scalar(f"SELECT {_NOT_DONE} FROM loads WHERE id = :id", id=load_id):
            raise LoadGivenUp(f"load {load_id} was given up")
    finally:
        if not rows:
            release(session, load_id)
    return Claim(load_id, *rows[0]) if rows else None


def _begin(session: Session, created: ObjectCreated, dataset: Dataset | None, kind: str) -> Claim | None:
    """Create the load of a new object version, claim it, and begin its first attempt, all in one statement. Returns
    None if the object version may already have a load.

    Nobody else sees the load before the statement ends, and then this session has its lock. So no other worker can take
    the lock first.
    """
    rows = session.run(
        "INSERT INTO loads (dataset, source, version, sequencer, kind, status, attempts, started_at)"
        " SELECT :dataset, :source, :version, :sequencer, :kind, 'running', 1, now() WHERE NOT EXISTS"
        f" (SELECT FROM loads WHERE source = :source AND (version = :version OR {AWAITS_OBJECT}))"
        " ON CONFLICT (source, version) DO NOTHING"
        " RETURNING id, started_at, pg_try_advisory_lock(id)",
        dataset=dataset and dataset.name,
        source=created.source,
        version=created.version,
        sequencer=created.sequencer,
        kind=kind,
    )
    for load_id, started_at, is_locked in rows:
        if is_locked:
            return Claim(load_id, 1, started_at, None, tried_before=False)
    return None


def _register(session: Session, created: ObjectCreated, dataset: Dataset | None, kind: str) -> int:
    """Return the load of this object version, and create it if it does not exist."""
    identity = {"source": created.source, "version": created.version}
    find = "SELECT id FROM loads WHERE source = :source AND version = :version"
    adopt = (
        "UPDATE loads SET version = :version, sequencer = :sequencer"
        f" WHERE source = :source AND {AWAITS_OBJECT} RETURNING id"
    )
    create = (
        "INSERT INTO loads (dataset, source, version, sequencer, kind, status)"
        " VALUES (:dataset, :source, :version, :sequencer, :kind, 'queued')"
        " ON CONFLICT (source, version) DO NOTHING RETURNING id"
    )
    load = {**identity, "sequencer": created.sequencer}
    load_id = (
        session.scalar(find, **identity)
        or session.scalar(adopt, **load)
        or session.scalar(create, **load, dataset=dataset and dataset.name, kind=kind)
        or session.scalar(find, **identity)
    )
    return int(load_id)


def _lock(session: Session, load_id: int, wait: float = 0) -> None:
    """Take the lock of a load. Wait at most `wait` seconds for the lock. Raises LoadBusy."""
    if try_lock(session, load_id):
        return
    try:
        with session.transaction(f"BEGIN; {lock_timeout(wait)}"):
            session.run("SELECT pg_advisory_lock(:id)", id=load_id)  # the session's lock, not the transaction's
    except LockTimeout as error:
        raise LoadBusy(f"another worker is working on load {load_id}") from error


def try_lock(session: Session, load_id: int) -> bool:
    return bool(session.scalar("SELECT pg_try_advisory_lock(:id)", id=load_id))


def release(session: Session, load_id: int) -> None:
    if not session.broken:
        session.run("SELECT pg_advisory_unlock(:id)", id=load_id)


def progress(session: Session, claim: Claim, received: int) -> None:
    """Record how many records a running load has read. Raises ClaimLost."""
    _update_mine(session, claim, "received = :received", received=received)


def describe(
    session: Session,
    claim: Claim,
    kind: str,
    file_format: Mapping[str, object],
    notices: Sequence[str],
    columns: Sequence[str],
) -> None:
    """Store the format of the load's file, the notices about this format, and the names in the header of the file, if
    the file has a header. Raises ClaimLost."""
    _update_mine(
        session,
        claim,
        "kind = :kind, format = CAST(:format AS jsonb), notices = CAST(:notices AS jsonb),"
        " file_columns = CAST(:columns AS jsonb)",
        kind=kind,
        format=json.dumps(file_format),
        notices=json.dumps(notices),
        columns=json.dumps(columns) if columns else None,
    )


def refuse(session: Session, claim: Claim, counts: Counts, error: str, found: Findings) -> None:
    """Mark a load as failed because of the verdict on its file. The reject file is kept. Raises ClaimLost."""
    _update_mine(
        session,
        claim,
        "status = 'failed', finished_at = clock_timestamp(), error = :error,"
        f" received = :received, rejected = :rejected, {_FOUND}",
        error=error[:2000],
        received=counts.received,
        rejected=counts.rejected,
        **found.columns(),
    )


def succeed(session: Session, claim: Claim, counts: Counts, found: Findings) -> None:
    """Finish a load, in the transaction that wrote its rows.

    `finished_at` is the time of this statement, at which the transaction holds the lock of the table. So the loads of a
    key have the same order by `finished_at` as by their commits. now() would not ensure this order: it is the beginning
    of the transaction. Raises ClaimLost.
    """
    _update_mine(
        session,
        claim,
        "status = 'succeeded', finished_at = clock_timestamp(), error = NULL,"
        " received = :received, inserted = :inserted, updated = :updated, unchanged = :unchanged,"
        f" superseded = :superseded, rejected = :rejected, {_FOUND}",
        **found.columns(),
        **vars(counts),
    )


def skip(session: Session, claim: Claim, reason: str) -> None:
    _update_mine(session, claim, "status = 'skipped', received = 0, finished_at = now(), error = :r", r=reason)


def requeue(session: Session, claim: Claim, reason: str) -> None:
    """Queue the load for its next attempt. `reason` is why this attempt failed: the load's `error` shows it until the
    next attempt ends. Raises ClaimLost."""
    _update_mine(session, claim, "status = 'queued', received = 0, error = :reason", reason=reason[:2000])


def hand_over(session: Session, claim: Claim) -> None:
    """Queue the load for the invocation that goes on with it after this handover. Raises ClaimLost."""
    _update_mine(
        session, claim, "status = 'queued', attempts = 0, handovers = handovers + 1, queued_at = now(), error = NULL"
    )


def fail(session: Session, load_id: int, error: str, *, given_up: bool = False) -> bool:
    """Mark an unfinished load as failed. Returns False if the load had already ended.

    `given_up` means that the load failed because it had no attempts left. Only such a load is reopened by a redrive.
    """
    failed = session.affected(
        "UPDATE loads SET status = 'failed', received = 0, errored_key = NULL, error = :error, given_up = :given_up,"
        f" finished_at = now() WHERE id = :id AND {IS_UNFINISHED}",
        id=load_id,
        error=error[:2000],
        given_up=given_up,
    )
    return failed == 1


def reopen(session: Session, created: ObjectCreated) -> None:
    """Reopen the load of an object version with all its attempts, if the load is unfinished or was given up.

    A load does not change if it succeeded, was skipped, or failed because its object cannot be loaded. If there is no
    load, this function does nothing. Raises LoadBusy if a worker has claimed the load.
    """
    load_id = session.scalar(
        f"SELECT id FROM loads WHERE source = :source AND (version = :version OR {AWAITS_OBJECT})",  # as in _register
        source=created.source,
        version=created.version,
    )
    if load_id is None:
        return
    _lock(session, load_id)
    try:
        session.run(
            f"UPDATE loads SET {OPENED_AGAIN} WHERE id = :id AND {_NOT_DONE}",
            id=load_id,
        )
    finally:
        release(session, load_id)


def _update_mine(session: Session, claim: Claim, assignments: str, **params: Any) -> None:
    changed = session.affected(
        f"UPDATE loads SET {assignments} WHERE id = :id AND attempts = :attempt AND handovers = :handovers"
        " AND status = 'running'",
        id=claim.load_id,
        attempt=claim.attempt,
        handovers=claim.handovers,
        **params,
    )
    if not changed:
        raise ClaimLost(f"another worker took over load {claim.load_id}")
