"""The history of loads as it is shown: a page of loads, one load, and what is known of its rejects."""

from collections.abc import Mapping
from typing import Any

from chalicelib.cloud.database import Session

_SHOWN = (
    "id, dataset, source, kind, status, received, inserted, updated, unchanged, superseded, rejected, resolved,"
    " attempts, errored_key, restore_point, correlation_id, created_at, started_at, finished_at, error"
)


def listed(session: Session, filters: Mapping[str, str], *, limit: int, before: int | None) -> list[dict[str, Any]]:
    """Loads, newest first, whose columns equal `filters`, with ids below `before`."""
    conditions = [f"{column} = :{column}" for column in filters]
    if before is not None:
        conditions.append("id < :before")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    params: dict[str, Any] = {**filters, "limit": limit} | ({"before": before} if before is not None else {})
    return session.records(f"SELECT {_SHOWN} FROM loads{where} ORDER BY id DESC LIMIT :limit", **params)


def get(session: Session, load_id: int) -> dict[str, Any] | None:
    rows = session.records(f"SELECT {_SHOWN} FROM loads WHERE id = :id", id=load_id)
    return rows[0] if rows else None


def rejected(session: Session, load_id: int) -> dict[str, Any] | None:
    """What is known of a load's rejects: rejected, resolved, reasons (most first), errored_key."""
    rows = session.records("SELECT rejected, resolved, reasons, errored_key FROM loads WHERE id = :id", id=load_id)
    return rows[0] if rows else None
