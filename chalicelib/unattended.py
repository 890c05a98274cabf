"""Loads that have begun and that nobody works on: the worker died, and the event that would bring another is lost.

A worker holds its load's advisory lock (see `loads`), so a free lock tells that nobody is at work now. Lambda may yet
come back with the event, one and two minutes after a failure: such a load is offered again only when nothing has
happened to it for longer than that. What has happened shows in its attempts and handovers, so nothing is added to the
way of a claim.

Loads that were announced and have no object version yet wait for an object, not for a worker: they are left out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.database import Session
from chalicelib.loads import MAX_ATTEMPTS

_UNFINISHED = "l.version IS NOT NULL AND l.status IN ('queued', 'running')"
_GIVEN_UP = "l.version IS NOT NULL AND l.status = 'failed' AND starts_with(l.error, 'gave up')"
# Those who hold a load's lock, and those who wait for it: pg_locks shows a key of 64 bits in two halves.
_FREE = (
    "NOT EXISTS (SELECT FROM pg_locks k WHERE k.locktype = 'advisory' AND k.objsubid = 1"
    " AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (CAST(k.classid AS bigint) << 32) + CAST(k.objid AS bigint) = l.id)"
)
_IDLE = f"{_UNFINISHED} AND l.attempts < {MAX_ATTEMPTS} AND {_FREE}"


@dataclass(frozen=True)
class Unattended:
    """A load, and the object version it is for."""

    load_id: int
    source: str
    version: str
    sequencer: str | None


def idle(session: Session, wait: timedelta, most: int) -> list[Unattended]:
    """At most so many loads that have attempts left and that nothing has happened to for so long, or since they were
    returned last. The first call that sees a load without a worker begins to count."""
    session.run(
        "DELETE FROM idle_loads i WHERE NOT EXISTS (SELECT FROM loads l WHERE l.id = i.load_id"
        f" AND l.attempts = i.attempts AND l.handovers = i.handovers AND {_IDLE})"
    )
    session.run(
        "INSERT INTO idle_loads (load_id, attempts, handovers)"
        f" SELECT l.id, l.attempts, l.handovers FROM loads l WHERE {_IDLE} ON CONFLICT DO NOTHING"
    )
    return _found(
        session,
        "WITH due AS (UPDATE idle_loads SET since = now() WHERE load_id IN (SELECT load_id FROM idle_loads"
        " WHERE since <= now() - CAST(:wait AS interval) ORDER BY since, load_id LIMIT :most) RETURNING load_id)"
        " SELECT l.id, l.source, l.version, l.sequencer FROM loads l JOIN due ON due.load_id = l.id ORDER BY l.id",
        wait=f"{wait.total_seconds()} seconds",
        most=most,
    )


def cut_off(session: Session, since: datetime, most: int) -> list[Unattended]:
    """At most so many loads that a power cut, or an outage as long, has cut off from their workers; each has all its
    attempts again. A cut is not the file's fault, and three of them must not end a good file.

    A load that was given up after `since` is among them: its dead letter may be lost with everything else.
    """
    wanted = f"({_UNFINISHED} OR ({_GIVEN_UP} AND l.finished_at >= CAST(:since AS timestamptz)))"
    # The lock is taken, not looked at: a worker that comes at this moment waits for us, and finds the load opened. One
    # that has just ended the load is seen by the second `wanted`, which Postgres checks again on the row as it is now.
    return _found(
        session,
        f"WITH found AS MATERIALIZED (SELECT l.id FROM loads l WHERE {wanted} ORDER BY l.id LIMIT :most),"
        " free AS MATERIALIZED (SELECT id FROM found WHERE pg_try_advisory_xact_lock(id)),"
        " opened AS (UPDATE loads l SET status = 'queued', attempts = 0, received = 0, queued_at = now(),"
        f" finished_at = NULL, error = NULL FROM free WHERE l.id = free.id AND {wanted}"
        " RETURNING l.id, l.source, l.version, l.sequencer) SELECT * FROM opened ORDER BY id",
        since=since,
        most=most,
    )


def _found(session: Session, sql: str, **params: Any) -> list[Unattended]:
    return [Unattended(*row) for row in session.run(sql, **params)]
