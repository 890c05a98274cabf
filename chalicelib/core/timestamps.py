"""Writes times as text, for responses, logs and reports, and for the names of restore points and reject files."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Clock = Callable[[], datetime]
NAME = "%Y%m%dT%H%M%S.%fZ"  # the format of `name`, for strftime and strptime


def utc_now() -> datetime:
    return datetime.now(UTC)


def text(at: datetime, timespec: str = "microseconds") -> str:
    """Return the time in the format of ISO 8601, in UTC with a Z. `timespec` is passed to `datetime.isoformat`."""
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def name(at: datetime) -> str:
    """Return the time as text for a part of an S3 key. These texts sort by time."""
    return at.astimezone(UTC).strftime(NAME)


def shown(row: Mapping[str, object]) -> dict[str, object]:
    """Return a database row with its times as text, for JSON."""
    return {column: text(value) if isinstance(value, datetime) else value for column, value in row.items()}
