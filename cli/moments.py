"""Formats times as the API writes them and as people read them."""

from datetime import UTC, datetime, timedelta

_RESTORE_POINT = "%Y%m%dT%H%M%S.%fZ"


def text(at: datetime) -> str:
    """Return a time in ISO 8601, in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_restore_point(name: str) -> str:
    """Return the next possible name after a restore point's name. Raises ValueError, OverflowError."""
    at = datetime.strptime(name, _RESTORE_POINT).replace(tzinfo=UTC)
    return (at + timedelta(microseconds=1)).strftime(_RESTORE_POINT)


def age(moment: str | None) -> str:
    """Return roughly how long ago a time in ISO 8601 was, as in "3h". Empty without a time."""
    if not moment:
        return ""
    seconds = max((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds(), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"
