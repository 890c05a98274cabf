"""How a restore point is named: by a UTC time. Every change committed before it is in the restore point, and
names sort by time.

A name that lies ahead of the clock was given while a clock was wrong.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chalicelib.core import timestamps

EXAMPLE = "20210727T160208.123456Z"
# The shape, as ECMA-262, Python and Rust read it alike: of `timestamps.NAME`, which also knows the calendar.
PATTERN = (
    "^[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"
    r"\.[0-9]{6}Z$"
)
RULE = f"a restore point is named like {EXAMPLE}"  # what an error says
AHEAD = timedelta(minutes=5)  # clocks may differ by this much


def instant(name: str) -> datetime:
    """The time a restore point is named by; ValueError for a malformed name."""
    if not re.fullmatch(PATTERN, name):
        raise ValueError("not the name of a restore point")
    return datetime.strptime(name, timestamps.NAME).replace(tzinfo=UTC)


def is_name(text: str) -> bool:
    try:
        instant(text)
    except ValueError:
        return False
    return True


def is_ahead(name: str, now: datetime | None = None) -> bool:
    """Whether the name lies ahead of the clock."""
    return instant(name) > (now or datetime.now(UTC)) + AHEAD


def name_after(newest: str | None, now: datetime, taken: Sequence[str] = ()) -> str:
    """A new name for `now`, or the first name after `newest` if a clock ran backwards. It is never one of `taken`."""
    step = timedelta(microseconds=1)
    at = now if newest is None else max(now, instant(newest) + step)
    while timestamps.name(at) in taken:
        at += step
    return timestamps.name(at)
