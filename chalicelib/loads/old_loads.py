"""Finds and deletes old loads. `recovery.pruning` calls this module, and asks S3 whether the objects of these loads
still exist.

A load is deleted only if nothing needs it any more. These loads stay in the history, whatever their age:
- unfinished loads;
- loads with waiting rows, because healing counts these rows in their load;
- loads whose staging tables still exist, because `durable_tables` finds these tables through the load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.cloud.database import Session
from chalicelib.loads.outcomes import IS_UNFINISHED

_IS_YOUNG = "(now() - l.created_at BETWEEN interval '0' AND CAST(:retention AS interval))"
_MAY_GO = (
    f"NOT l.{IS_UNFINISHED} AND now() - coalesce(l.finished_at, l.queued_at) > CAST(:retention AS interval)"
    " AND NOT EXISTS (SELECT FROM orphans w WHERE w.load_id = l.id)"
    " AND NOT EXISTS (SELECT FROM staged_loads s WHERE s.load_id = l.id)"
)


@dataclass(frozen=True)
class OldLoad:
    """A load that ended longer ago than the retention. `errored_key` is the key of its reject file. `restored` is the
    restore point that the load has restored, if any."""

    load_id: int
    kind: str
    source: str
    errored_key: str | None
    restored: str | None


@dataclass(frozen=True)
class Page:
    """A page of loads in the order of their ids. `loads` has those loads of the page that may be deleted. `last_id` is
    the id of the last load of the page. If `is_last` is true, no old loads follow."""

    loads: tuple[OldLoad, ...]
    last_id: int
    is_last: bool


def page(session: Session, after: int, retention: timedelta, most: int) -> Page:
    """Read the next `most` loads whose ids are greater than `after`.

    Loads get their ids in the order of their creation. So no old loads follow a page whose loads are all young. A load
    with a creation time in the future does not count as young, because the clock was wrong when it was created.
    """
    # The condition _MAY_GO is a filter of its own, so that Postgres joins the orphans. As a column, it would be a query
    # for each load, and each could read all orphans.
    rows = session.run(
        f"WITH page AS MATERIALIZED (SELECT * FROM loads WHERE id > :after ORDER BY id LIMIT :most),"
        f" may_go AS (SELECT l.id FROM page l WHERE {_MAY_GO})"
        f" SELECT l.id, NOT {_IS_YOUNG}, m.id IS NOT NULL, l.kind, l.source, l.errored_key,"
        " CASE WHEN l.kind = 'restore' AND l.status = 'succeeded' THEN l.restore_point END"
        " FROM page l LEFT JOIN may_go m ON m.id = l.id ORDER BY l.id",
        after=after,
        retention=_interval(retention),
        most=most,
    )
    old = any(is_old for _, is_old, *_ in rows)
    loads = tuple(OldLoad(load_id, *about) for load_id, _, may_go, *about in rows if may_go)
    return Page(loads, rows[-1][0] if rows else after, is_last=len(rows) < most or not old)


def delete(session: Session, load_ids: Sequence[int], retention: timedelta) -> int:
    """Delete these loads, except those that something needs again, for example because they were reopened meanwhile.
    Return the number of deleted loads.

    Postgres also deletes the open rejects of these loads, because a foreign key says so.
    """
    return session.affected(
        f"DELETE FROM loads l WHERE l.id = ANY(CAST(:ids AS bigint[])) AND {_MAY_GO}",
        ids=list(load_ids),
        retention=_interval(retention),
    )


def cursor(session: Session) -> int:
    """Return the id of the load at which the last pruning stopped."""
    return int(session.scalar("SELECT pruned_to FROM landing_sweep"))


def save_cursor(session: Session, load_id: int) -> None:
    session.run("UPDATE landing_sweep SET pruned_to = :id", id=load_id)


def _interval(time: timedelta) -> str:
    return f"{time.total_seconds()} seconds"
