"""Finds unattended loads. The worker of an unattended load died, and the event that would start another worker is lost.

A worker holds the advisory lock of its load (see `claims`). So a free lock means that no worker has claimed the load.
But Lambda may still retry the event, one minute and two minutes after a failure. So a load is offered again only if it
has been idle for longer than these minutes. A load is idle if its lock is free and its numbers of attempts and
handovers do not change.

Announced loads without an object version are left out, because they wait for an object and not for a worker.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.loads.attempts import MAX_ATTEMPTS, OPENED_AGAIN
from chalicelib.loads.outcomes import IS_UNFINISHED

_UNFINISHED = f"l.version IS NOT NULL AND l.{IS_UNFINISHED}"
_GIVEN_UP = "l.version IS NOT NULL AND l.given_up"  # only a failed load can have been given up
# This condition is true if no connection holds the load's lock or waits for this lock. pg_locks shows the 64-bit key of
# a lock as two halves.
_FREE = (
    "NOT EXISTS (SELECT FROM pg_locks k WHERE k.locktype = 'advisory' AND k.objsubid = 1"
    " AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (CAST(k.classid AS bigint) << 32) + CAST(k.objid AS bigint) = l.id)"
)
_IDLE = f"{_UNFINISHED} AND l.attempts < {MAX_ATTEMPTS} AND {_FREE}"


@dataclass(frozen=True)
class Unattended:
    """A load that no worker has claimed, with its object version."""

    load_id: int
    source: str
    version: str
    sequencer: str | None


def idle(session: Session, wait: timedelta, most: int) -> list[Unattended]:
    """Return at most `most` loads that have attempts left and have been idle for at least `wait`.

    The idle time begins with the first call that finds the load idle. The idle time begins again with each call that
    returns the load.
    """
    session.run(
        "DELETE FROM idle_loads i WHERE NOT EXISTS (SELECT FROM loads l WHERE l.id = i.load_id"
        f" AND l.attempts = i.attempts AND l.handovers = i.handovers AND {_IDLE})"
    )
    session.run(
        "INSERT INTO idle_loads (load_id, attempts, handovers)"
        f" SELECT l.id, l.attempts, l.handovers FROM loads l WHERE {_IDLE} ON CONFLICT DO NOTHING"
    )
    return _unattended(
        session,
        "WITH due AS (UPDATE idle_loads SET since = now() WHERE load_id IN (SELECT load_id FROM idle_loads"
        " WHERE since <= now() - CAST(:wait AS interval) ORDER BY since, load_id LIMIT :most) RETURNING load_id)"
        " SELECT l.id, l.source, l.version, l.sequencer FROM loads l JOIN due ON due.load_id = l.id ORDER BY l.id",
        wait=f"{wait.total_seconds()} seconds",
        most=most,
    )


def cut_off(session: Session, since: datetime, most: int) -> list[Unattended]:
    """Reopen and return at most `most` loads whose workers died in a power cut or a long outage.

    Each load gets all its attempts again, because its file did not cause the power cut: even three power cuts must not
    fail the load of a valid file. Loads that were given up after `since` are included, because their dead letters may
    be lost, too.
    """
    wanted = f"({_UNFINISHED} OR ({_GIVEN_UP} AND l.finished_at >= CAST(:since AS timestamptz)))"
    # The statement takes the lock of each load. A look into pg_locks would not be enough, because a worker could claim
    # the load just after that. With the lock, such a worker waits, and then finds the load queued. If a worker has just
    # ended the load, the second `wanted` excludes the load: Postgres evaluates this condition again on the current row.
    return _unattended(
        session,
        f"WITH candidates AS MATERIALIZED (SELECT l.id FROM loads l WHERE {wanted} ORDER BY l.id LIMIT :most),"
        " free AS MATERIALIZED (SELECT id FROM candidates WHERE pg_try_advisory_xact_lock(id)),"
        f" opened AS (UPDATE loads l SET {OPENED_AGAIN}, received = 0 FROM free WHERE l.id = free.id AND {wanted}"
        " RETURNING l.id, l.source, l.version, l.sequencer) SELECT * FROM opened ORDER BY id",
        since=since,
        most=most,
    )


def _unattended(session: Session, sql: str, **params: Any) -> list[Unattended]:
    return [Unattended(*row) for row in session.run(sql, **params)]
