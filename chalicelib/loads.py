"""The history of loads: who may work on one (claims), how each one ended, and how it is shown.

A load is one object version, one API request, one ordered restore or one announced upload; the last two
are there before their objects, whose first version is theirs. Working on an object takes a
*session advisory lock* on the load's id: it ends with the connection, so a dead worker blocks nobody
and needs no timeout, while a live one is never doubled.

The connection of a dead worker ends when the server notices, within seconds (see `database`). A second
worker waits for longer than that. Both must be: Lambda's last retry comes minutes after the first try,
and a load whose last retry was sent away would have nobody left.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.database import Session, lock_timeout
from chalicelib.datasets import Dataset
from chalicelib.errors import ClaimLost, LoadBusy, LoadGivenUp, LockTimeout

MAX_ATTEMPTS = 3  # Lambda delivers an asynchronous event once and retries twice
UNFINISHED, FINAL = ("queued", "running"), ("succeeded", "failed", "skipped")
BUSY_WAIT = 60.0  # seconds that a second worker on a load waits for the first one to end
NEVER_CAME = "no file came while its form was good; one that comes later is a load of its own"
CANCELLED = "cancelled before its file came; one that comes later is a load of its own"
GAVE_UP = f"gave up after {MAX_ATTEMPTS} attempts"
# Loads that wait for an object which has no version yet. An order to restore keeps its object, even when it was given
# up; the file of an upload that was given up is a load of its own, since nobody follows that one any longer.
_ANNOUNCED = "(version IS NULL AND (kind = 'restore' OR (kind = 'csv' AND status = 'queued')))"
_NOT_DONE = "(status IN ('queued', 'running') OR (status = 'failed' AND starts_with(error, 'gave up')))"


@dataclass(frozen=True)
class ObjectCreated:
    """An object version in the landing bucket; `version` is unique among the versions of its key."""

    key: str
    source: str
    version: str
    version_id: str | None
    sequencer: str | None


@dataclass(frozen=True)
class Claim:
    """The right to work on a load, until the connection that took it ends.

    `tried_before` is whether an earlier attempt may have left something behind, which `attempt` does not
    tell: a redrive begins to count anew. `correlation_id` is that of the request which asked for the load.
    Attempts are counted anew after a handover, which is none that failed.
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


@dataclass(frozen=True)
class Counts:
    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Ended:
    """How a load came to its end; `seconds` is what its last attempt took, None where nobody worked on it."""

    dataset: str | None
    status: str
    seconds: float | None = None
    counts: Counts = Counts()


Watch = Callable[[Ended], None]


def unwatched(_: Ended) -> None:
    """Nobody wants to know."""


def claim(
    session: Session, created: ObjectCreated, dataset: Dataset | None, kind: str, *, busy_wait: float = BUSY_WAIT
) -> Claim | None:
    """Take the load of an object version; None where it has come to its end.

    Raises LoadBusy where another worker is on it for more than `busy_wait` seconds, and LoadGivenUp where
    it has no attempt left: had another delivery used them up, this one must not count as a success, or its
    event would be no dead letter.
    """
    load_id = _register(session, created, dataset, kind)
    _lock(session, load_id, busy_wait)
    rows: list[list[Any]] = []
    try:
        rows = session.run(
            "UPDATE loads SET attempts = attempts + 1, status = 'running', received = 0,"
            " started_at = coalesce(started_at, now())"
            " WHERE id = :id AND status IN ('queued', 'running') AND attempts < :most"
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


def _register(session: Session, created: ObjectCreated, dataset: Dataset | None, kind: str) -> int:
    """The load of this object version, made where there is none yet."""
    known = {"source": created.source, "version": created.version}
    find = "SELECT id FROM loads WHERE source = :source AND version = :version"
    adopt = (
        "UPDATE loads SET version = :version, sequencer = :sequencer"
        f" WHERE source = :source AND {_ANNOUNCED} RETURNING id"
    )
    create = (
        "INSERT INTO loads (dataset, source, version, sequencer, kind, status)"
        " VALUES (:dataset, :source, :version, :sequencer, :kind, 'queued')"
        " ON CONFLICT (source, version) DO NOTHING RETURNING id"
    )
    new = {**known, "sequencer": created.sequencer}
    load_id = (
        session.scalar(find, **known)
        or session.scalar(adopt, **new)
        or session.scalar(create, **new, dataset=dataset and dataset.name, kind=kind)
        or session.scalar(find, **known)
    )
    return int(load_id)


def _lock(session: Session, load_id: int, wait: float = 0) -> None:
    """Take a load's lock, waiting at most so many seconds for it. Raises LoadBusy."""
    if _try_lock(session, load_id):
        return
    try:
        with session.transaction(f"BEGIN; {lock_timeout(wait)}"):
            session.run("SELECT pg_advisory_lock(:id)", id=load_id)  # for the session: it outlives the transaction
    except LockTimeout as error:
        raise LoadBusy(f"load {load_id} is being worked on") from error


def _try_lock(session: Session, load_id: int) -> bool:
    return bool(session.scalar("SELECT pg_try_advisory_lock(:id)", id=load_id))


def release(session: Session, load_id: int) -> None:
    if not session.broken:
        session.run("SELECT pg_advisory_unlock(:id)", id=load_id)


def progress(session: Session, claim: Claim, received: int) -> None:
    """Show how far a running load has read. Raises ClaimLost."""
    _update_mine(session, claim, "received = :received", received=received)


def succeed(
    session: Session, claim: Claim, counts: Counts, errored_key: str | None, reasons: Sequence[Mapping[str, Any]]
) -> None:
    """Finish a load, in the transaction that wrote its rows; `reasons` are those of its rejects, counted.
    Raises ClaimLost.

    `finished_at` is taken under the table's lock, unlike now(): it orders the loads of a key.
    """
    _update_mine(
        session,
        claim,
        "status = 'succeeded', finished_at = clock_timestamp(), error = NULL, errored_key = :errored_key,"
        " received = :received, inserted = :inserted, updated = :updated, unchanged = :unchanged,"
        " superseded = :superseded, rejected = :rejected, reasons = CAST(:reasons AS jsonb)",
        errored_key=errored_key,
        reasons=json.dumps(reasons),
        **vars(counts),
    )


def skip(session: Session, claim: Claim, reason: str) -> None:
    _update_mine(session, claim, "status = 'skipped', received = 0, finished_at = now(), error = :r", r=reason)


def requeue(session: Session, claim: Claim, reason: str) -> None:
    """Hand the load back for its next attempt; until that ends, `error` says why it takes one."""
    _update_mine(session, claim, "status = 'queued', received = 0, error = :reason", reason=reason[:2000])


def hand_over(session: Session, claim: Claim) -> None:
    """Leave the load to an invocation that goes on with it. Raises ClaimLost."""
    _update_mine(
        session, claim, "status = 'queued', attempts = 0, handovers = handovers + 1, queued_at = now(), error = NULL"
    )


def fail(session: Session, load_id: int, error: str) -> bool:
    """End an unfinished load for good; False where it had already ended."""
    failed = session.affected(
        "UPDATE loads SET status = 'failed', received = 0, errored_key = NULL, error = :error, finished_at = now()"
        " WHERE id = :id AND status IN ('queued', 'running')",
        id=load_id,
        error=error[:2000],
    )
    return failed == 1


def reopen(session: Session, created: ObjectCreated) -> None:
    """Give a load that was given up, or is about to be, all its attempts again.

    One that succeeded, was skipped, or failed because its object cannot be loaded stays as it is, and
    where none was recorded there is nothing to do. Raises LoadBusy where a worker is on it.
    """
    load_id = session.scalar(
        f"SELECT id FROM loads WHERE source = :source AND (version = :version OR {_ANNOUNCED})",  # as _register does
        source=created.source,
        version=created.version,
    )
    if load_id is None:
        return
    _lock(session, load_id)
    try:
        session.run(
            "UPDATE loads SET status = 'queued', attempts = 0, queued_at = now(), finished_at = NULL, error = NULL"
            f" WHERE id = :id AND {_NOT_DONE}",
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
        raise ClaimLost(f"load {claim.load_id} was taken over")


def newest_loaded(session: Session, created: ObjectCreated) -> list[tuple[str, str | None]]:
    """(version, sequencer) of the newest loaded versions of this key, except this one: the newest one with a sequencer,
    and the last loaded one without.

    Objects that the sweep has offered have no sequencer. Among these the last loaded one is the newest, because a
    version that comes after a newer one is skipped.
    """
    loaded = (
        "SELECT version, sequencer FROM loads WHERE source = :source AND version <> :version AND status = 'succeeded'"
    )
    order = "rpad(sequencer, 64, '0') COLLATE \"C\" DESC, finished_at DESC, id DESC"
    rows = session.run(
        f"({loaded} AND sequencer IS NOT NULL ORDER BY {order} LIMIT 1)"
        f" UNION ALL ({loaded} AND sequencer IS NULL ORDER BY finished_at DESC, id DESC LIMIT 1)",
        source=created.source,
        version=created.version,
    )
    return [(version, sequencer) for version, sequencer in rows]


def compare_sequencers(one: str | None, other: str | None) -> int:
    """Negative, zero or positive as `one` is older, unknown or newer.

    S3 compares them as strings after padding the shorter one with zeros on the right.
    """
    if not one or not other:
        return 0
    width = max(len(one), len(other))
    a, b = one.upper().ljust(width, "0"), other.upper().ljust(width, "0")
    return (a > b) - (a < b)


def record_request(
    session: Session, dataset: Dataset, source: str, counts: Counts, correlation_id: str | None = None
) -> tuple[int, datetime]:
    """The finished load of an API request: its id and time. Part of the request's transaction."""
    [[load_id, at]] = session.run(
        "INSERT INTO loads (dataset, source, kind, status, received, inserted, updated, unchanged, superseded,"
        " rejected, correlation_id, attempts, started_at, finished_at)"
        " VALUES (:dataset, :source, 'api', 'succeeded', :received, :inserted, :updated, :unchanged, :superseded,"
        " :rejected, :correlation_id, 1, now(), clock_timestamp()) RETURNING id, started_at",
        dataset=dataset.name,
        source=source,
        correlation_id=correlation_id,
        **vars(counts),
    )
    return load_id, at


def record_rejects(session: Session, load_id: int, key: str, reasons: Sequence[Mapping[str, Any]]) -> None:
    """Where the rejects of an API request are, and their reasons, counted. Part of the request's transaction."""
    session.run(
        "UPDATE loads SET errored_key = :key, reasons = CAST(:reasons AS jsonb) WHERE id = :id",
        id=load_id,
        key=key,
        reasons=json.dumps(reasons),
    )


def queue_restore(
    session: Session,
    dataset: Dataset,
    landing_bucket: str,
    restore_point: str,
    sha256: str,
    correlation_id: str | None = None,
) -> tuple[int, str]:
    """Announce a restore before its object is copied; returns the load's id and the object's key."""
    place = (landing_bucket, "restores", f"{dataset.name}.avro")
    return _announce(session, dataset, place, "restore", correlation_id, restore_point=restore_point, sha256=sha256)


def queue_upload(
    session: Session, dataset: Dataset, landing_bucket: str, base_name: str, correlation_id: str | None = None
) -> tuple[int, str]:
    """Announce a CSV file before somebody sends it, likewise; `base_name` has to tell its dataset."""
    return _announce(session, dataset, (landing_bucket, "uploads", base_name), "csv", correlation_id)


def _announce(
    session: Session,
    dataset: Dataset,
    place: tuple[str, str, str],
    kind: str,
    correlation_id: str | None,
    *,
    restore_point: str | None = None,
    sha256: str | None = None,
) -> tuple[int, str]:
    """A load that waits for an object; `place` is its bucket, the folder of the load's folder, and its base name."""
    bucket, folder, base_name = place
    load_id = int(session.scalar("SELECT nextval(pg_get_serial_sequence('loads', 'id'))"))
    key = f"{folder}/{load_id}/{base_name}"
    session.run(
        "INSERT INTO loads (id, dataset, source, kind, status, restore_point, sha256, correlation_id)"
        " OVERRIDING SYSTEM VALUE"
        " VALUES (:id, :dataset, :source, :kind, 'queued', :restore_point, :sha256, :correlation_id)",
        id=load_id,
        dataset=dataset.name,
        source=f"s3://{bucket}/{key}",
        kind=kind,
        restore_point=restore_point,
        sha256=sha256,
        correlation_id=correlation_id,
    )
    return load_id, key


@dataclass(frozen=True)
class Failed:
    """A load that was given up; an attempt may have left its reject file behind."""

    load_id: int
    dataset: str | None
    started_at: datetime | None


def sweep(
    session: Session, clean_up: Callable[[Failed], None], *, restore_wait: timedelta, retry_wait: timedelta
) -> int:
    """Fail what nobody works on and nobody will: loads out of attempts, restores whose object never
    came, and loads whose next attempt never did. Each is cleaned up after while nobody else can take it;
    returns how many there were."""
    rows = session.run(
        "SELECT id, attempts, dataset, started_at FROM loads"
        " WHERE status IN ('queued', 'running') AND (attempts >= :most"
        " OR (kind = 'restore' AND attempts = 0 AND handovers = 0"
        " AND queued_at < now() - CAST(:restore_wait AS interval))"
        " OR queued_at < now() - CAST(:retry_wait AS interval))",
        most=MAX_ATTEMPTS,
        restore_wait=f"{restore_wait.total_seconds()} seconds",
        retry_wait=f"{retry_wait.total_seconds()} seconds",
    )
    swept = 0
    for load_id, attempts, dataset, started_at in rows:
        if _try_lock(session, load_id):
            try:
                error = GAVE_UP if attempts >= MAX_ATTEMPTS else f"gave up: no attempt followed the first {attempts}"
                if fail(session, load_id, error):
                    swept += 1
                    clean_up(Failed(load_id, dataset, started_at))
            finally:
                release(session, load_id)
    return swept


def expire_uploads(session: Session, wait: timedelta) -> int:
    """Fail the announced uploads whose files have not come for so long; returns how many.

    One statement decides: a file that comes at the same moment finds its load queued, or begins another.
    """
    return session.affected(
        "UPDATE loads SET status = 'failed', finished_at = now(), error = :error"
        " WHERE version IS NULL AND kind = 'csv' AND status = 'queued'"
        " AND queued_at < now() - CAST(:wait AS interval)",
        error=NEVER_CAME,
        wait=f"{wait.total_seconds()} seconds",
    )


def cancel_upload(session: Session, load_id: int) -> str | None:
    """End an announced upload that still waits for its file; its source, None if it does not wait.

    One statement decides, as in `expire_uploads`: a file that comes at the same moment has its load, or finds it ended
    and begins another.
    """
    source = session.scalar(
        "UPDATE loads SET status = 'skipped', finished_at = now(), error = :error"
        " WHERE id = :id AND version IS NULL AND kind = 'csv' AND status = 'queued' RETURNING source",
        id=load_id,
        error=CANCELLED,
    )
    return None if source is None else str(source)


def reported(session: Session, files: Mapping[str, int]) -> set[str]:
    """Those of the reject files (load ids by key) that their loads name, or yet may."""
    rows = session.run(
        "SELECT f.key FROM unnest(CAST(:keys AS text[]), CAST(:ids AS bigint[])) AS f (key, id) JOIN loads l"
        " ON l.id = f.id AND (l.errored_key = f.key OR l.status IN ('queued', 'running'))",
        keys=list(files),
        ids=list(files.values()),
    )
    return {row[0] for row in rows}
