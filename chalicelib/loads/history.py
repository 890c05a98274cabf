"""Reads the history of loads for the API: a page of loads, a single load, or the counts of a load's rejects."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.loads.outcomes import CountedReason


@dataclass(frozen=True)
class Load:
    """A load in the form that the API shows. The fields have the names of columns of the table `loads`.

    Only `waiting` is not a column. It is the number of rejected rows that still wait for their parents. `format` says
    how a file was understood. `format` is None for requests and restores, and until the file has been understood.
    `notices` are sentences about what looks odd in the file.
    """

    id: int
    dataset: str | None
    source: str
    kind: str
    status: str
    received: int
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int
    waiting: int
    resolved: int
    format: dict[str, Any] | None
    notices: list[str]
    attempts: int
    errored_key: str | None
    restore_point: str | None
    correlation_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class RejectCounts:
    """The counts of a load's rejects. The fields have the names of columns of the table `loads`.

    `rejected` is the number of rejects, and `resolved` is how many of the rejected rows were loaded later. `reasons`
    are the counted reasons, the most frequent first. `errored_key` is the key of the reject file.
    """

    rejected: int
    resolved: int
    reasons: list[CountedReason]
    errored_key: str | None


@dataclass(frozen=True)
class RejectedFile:
    """The file or request from which the rejects of a load come. `file_columns` are the names in the header of the
    file, or None if it has no header. `tracked_rejects` is the number of tracked rejects. They are the first lines of
    the reject file, and the table `open_rejects` has those of them that are open."""

    dataset: str | None
    source: str
    delimiter: str
    file_columns: list[str] | None
    tracked_rejects: int


_LOAD = ", ".join(f"({{waiting}}) AS {c.name}" if c.name == "waiting" else c.name for c in fields(Load))
_CONTAINS = "strpos(lower(source), lower(:source)) > 0"
# This condition is for an ASCII text. It is much faster, which matters if few of a million loads contain the text.
_CONTAINS_ASCII = 'source COLLATE "C" ILIKE :source'
_SPECIAL, _ESCAPED = re.compile(r"[\\%_]"), r"\\\g<0>"  # the characters with a meaning in a pattern of LIKE
_CONDITIONS = {
    "with_rejects": "(rejected > 0) = CAST(:with_rejects AS boolean)",
}
_REJECT_COUNTS = ", ".join(column.name for column in fields(RejectCounts))


def listed(
    session: Session,
    filters: Mapping[str, str],
    *,
    limit: int,
    before: int | None,
    grace: timedelta | None = None,
) -> list[Load]:
    """Return at most `limit` loads, newest first, whose ids are below `before`.

    `filters` has the wanted values of columns. `source` is a part of the source, in any case. `with_rejects` is "true"
    for loads that rejected rows, and "false" for all others.

    `grace` is the grace period. Older waiting rows are not counted. If `grace` is None, all waiting rows are counted.
    """
    values = {name: value.replace("\0", "") for name, value in filters.items()}  # Postgres stores no NUL in a text
    known = {**_CONDITIONS, "source": _CONTAINS}
    if "source" in values and values["source"].isascii():
        known["source"] = _CONTAINS_ASCII
        values["source"] = f"%{_SPECIAL.sub(_ESCAPED, values['source'])}%"
    conditions = [known.get(name, f"{name} = :{name}") for name in values]
    below = {}
    if before is not None:
        conditions.append("id < :before")
        below["before"] = before
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = session.run(
        f"SELECT {_columns(grace)} FROM loads l{where} ORDER BY id DESC LIMIT :limit", **values, **below, limit=limit
    )
    return [Load(*row) for row in rows]


def get(session: Session, load_id: int, grace: timedelta | None = None) -> Load | None:
    """Return a load, or None if there is no such load. Its waiting rows are counted as in `listed`."""
    rows = session.run(f"SELECT {_columns(grace)} FROM loads l WHERE id = :id", id=load_id)
    return Load(*rows[0]) if rows else None


def _columns(grace: timedelta | None) -> str:
    """Return the list of columns that selects the fields of Load, as SQL."""
    return _LOAD.format(waiting=_waiting_rows("l.id", grace))


def waiting(session: Session, load_id: int, grace: timedelta) -> int:
    """Return how many rejected rows of a load wait for their parents now."""
    return int(session.scalar(_waiting_rows(":load_id", grace), load_id=load_id))


def _waiting_rows(load_id: str, grace: timedelta | None) -> str:
    """Return the query that counts the rejected rows of a load that wait for their parents. `load_id` is the id of the
    load, as SQL.

    Only the last row of an id is stored as an orphan. But all rows of this id wait, and healing resolves all of them.
    Some orphans have no open reject: those of a load of the previous release, and those beyond the first 100,000
    rejects of a load.
    """
    in_time = f" AND w.rejected_at > now() - interval '{grace.total_seconds()} seconds'" if grace is not None else ""
    rows = "SELECT count(*) FROM open_rejects o WHERE o.dataset = w.dataset AND o.id = w.id"
    rows = f"greatest(1, ({rows} AND o.load_id = w.load_id AND o.waits))"
    return f"SELECT CAST(coalesce(sum({rows}), 0) AS bigint) FROM orphans w WHERE w.load_id = {load_id}{in_time}"


def rejected_file(session: Session, load_id: int) -> RejectedFile:
    """Return the origin of the rejects of a load. The load must exist."""
    [row] = session.run(
        "SELECT dataset, source, coalesce(format->>'delimiter', ','), file_columns, tracked_rejects FROM loads"
        " WHERE id = :id",
        id=load_id,
    )
    return RejectedFile(*row)


def reject_counts(session: Session, load_id: int) -> RejectCounts | None:
    rows = session.run(f"SELECT {_REJECT_COUNTS} FROM loads WHERE id = :id", id=load_id)
    if not rows:
        return None
    counts = RejectCounts(*rows[0])
    reasons: list[CountedReason] = [{"code": None, **reason} for reason in counts.reasons]
    return replace(counts, reasons=reasons)


def is_restored(session: Session, restore_point: str) -> bool:
    """Return whether a restore from this restore point has succeeded."""
    found = session.scalar(
        "SELECT EXISTS (SELECT FROM loads WHERE kind = 'restore' AND status = 'succeeded' AND restore_point = :point)",
        point=restore_point,
    )
    return bool(found)
