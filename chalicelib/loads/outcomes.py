"""The statuses and counts of loads, how they are told to those who watch, and the finished loads of API requests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from chalicelib.cloud.database import Session
from chalicelib.core.datasets import Dataset


class CountedReason(TypedDict):
    """A reason to reject rows, and how many rows have it: as the database keeps it and answers show it."""

    reason: str
    count: int


UNFINISHED, FINAL = ("queued", "running"), ("succeeded", "failed", "skipped")
STATUSES = (*UNFINISHED, *FINAL)
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
    """How a load ended. `seconds` is the time of its last attempt, None if there was none."""

    dataset: str | None
    status: str
    seconds: float | None = None
    counts: Counts = Counts()


Watch = Callable[[Ended], None]


def unwatched(_: Ended) -> None:
    """For callers that measure nothing."""


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


def record_rejects(session: Session, load_id: int, key: str, reasons: Sequence[CountedReason]) -> None:
    """Where the rejects of an API request are, and their reasons, counted. Part of the request's transaction."""
    session.run(
        "UPDATE loads SET errored_key = :key, reasons = CAST(:reasons AS jsonb) WHERE id = :id",
        id=load_id,
        key=key,
        reasons=json.dumps(reasons),
    )
