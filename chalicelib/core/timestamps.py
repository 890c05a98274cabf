"""How moments of our own are written: in answers, logs and reports, and in names of files."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Clock = Callable[[], datetime]
NAME = "%Y%m%dT%H%M%S.%fZ"  # the form of `name`, to read it with strptime


def utc_now() -> datetime:
    return datetime.now(UTC)


def text(at: datetime, timespec: str = "microseconds") -> str:
    """ISO 8601 in UTC with a Z; `timespec` is isoformat's."""
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def name(at: datetime) -> str:
    """A part of a key; names sort as their times do."""
    return at.astimezone(UTC).strftime(NAME)


def shown(row: Mapping[str, object]) -> dict[str, object]:
    """A row of the database with its times as text, for JSON."""
    return {column: text(value) if isinstance(value, datetime) else value for column, value in row.items()}
