"""Declares the statuses and counts of loads, and the callback that is called at the end of a load. Inserts the loads of
API requests, which are finished at once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

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


class Recorded(NamedTuple):
    """The recorded load of an API request: its id, its start time, and its counts."""

    load_id: int
    at: datetime
    counts: Counts


@dataclass(frozen=True)
class RequestLoad:
    """The finished load of an API request. `source` is the name of the request in the history."""

    dataset: Dataset
    source: str
    received: int
    rejected: int
    correlation_id: str | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the statement `recording`."""
        return {**vars(self), "dataset": self.dataset.name}

    def recorded(self, rows: list[list[Any]]) -> Recorded:
        """Return the load from the result of the statement `recording`."""
        [[load_id, at, inserted, updated, unchanged, superseded]] = rows
        counts = Counts(self.received, inserted, updated, unchanged, superseded, self.rejected)
        return Recorded(load_id, at, counts)


def recording(merged: str) -> str:
    """Return the statement that inserts a RequestLoad, in the transaction of the request. `merged` stands in FROM, and
    has the counts `distinct_ids`, `inserted` and `updated` of the merge. The other counts follow from them."""
    received, rejected = "CAST(:received AS bigint)", "CAST(:rejected AS bigint)"
    return (
        "INSERT INTO loads (dataset, source, kind, status, received, inserted, updated, unchanged, superseded,"
        " rejected, correlation_id, attempts, started_at, finished_at)"
        f" SELECT :dataset, :source, 'api', 'succeeded', {received}, inserted, updated,"
        f" distinct_ids - inserted - updated, {received} - {rejected} - distinct_ids,"
        f" {rejected}, :correlation_id, 1, now(), clock_timestamp() FROM {merged}"
        " RETURNING id, started_at, inserted, updated, unchanged, superseded"
    )


def record_unmerged(session: Session, load: RequestLoad) -> Recorded:
    """Record a load all of whose rows were rejected."""
    nothing = "(SELECT 0 AS distinct_ids, 0 AS inserted, 0 AS updated) _merged"
    return load.recorded(session.run(recording(nothing), **load.params))


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
