"""Declares the statuses and counts of loads, and the callback that is called at the end of a load. Inserts the loads of
API requests, which are finished at once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from chalicelib.cloud.database import Session
from chalicelib.core.dataset import Dataset


class CountedReason(TypedDict):
    """A reason to reject records, and how many records were rejected for this reason. The database and the responses
    use this form. In loads of version 1.0, the code is None."""

    reason: str
    code: str | None
    count: int


UNFINISHED, FINAL = ("queued", "running"), ("succeeded", "failed", "skipped")
STATUSES = (*UNFINISHED, *FINAL)
KINDS = ("csv", "avro", "xlsx", "api", "restore")
IS_UNFINISHED = "status IN ('{}', '{}')".format(*UNFINISHED)  # SQL


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
    """The end of a load. `seconds` is the duration of the last attempt, or None if the load had no attempt."""

    dataset: str | None
    status: str
    seconds: float | None = None
    counts: Counts = Counts()


Watch = Callable[[Ended], None]


def unwatched(_: Ended) -> None:
    """Do nothing. Callers that measure nothing pass this function as their Watch."""


def record_request(
    session: Session, dataset: Dataset, source: str, counts: Counts, correlation_id: str | None = None
) -> tuple[int, datetime]:
    """Insert the finished load of an API request, in the request's transaction. Returns the load's id and start
    time."""
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


def record_rejects(session: Session, load_id: int, key: str, reasons: Sequence[CountedReason], *, tracked: int) -> None:
    """Record the key of the reject file of an API request, its counted reasons, and the number of its tracked rejects,
    in the request's transaction."""
    session.run(
        "UPDATE loads SET errored_key = :key, reasons = CAST(:reasons AS jsonb), tracked_rejects = :tracked"
        " WHERE id = :id",
        id=load_id,
        key=key,
        reasons=json.dumps(reasons),
        tracked=tracked,
    )
