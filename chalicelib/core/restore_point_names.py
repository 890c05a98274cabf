"""Makes and parses the names of restore points. A name is a UTC time, so the names sort by time.

A restore point contains every change that was committed before the time in its name. If the time in a name lies in the
future, a clock was wrong when the restore point was made.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chalicelib.core import timestamps

EXAMPLE = "20210727T160208.123456Z"
# This regular expression describes the format `timestamps.NAME`. The expression means the same in ECMA-262, Python and
# Rust. It accepts days that do not exist, such as 31 February, so `instant` also checks the calendar.
PATTERN = (
    "^[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"
    r"\.[0-9]{6}Z$"
)
RULE = f"a restore point has a name like {EXAMPLE}"  # for error messages
AHEAD = timedelta(minutes=5)  # the clocks of two machines may differ by this much


def instant(name: str) -> datetime:
    """Return the time in the name of a restore point. Raises ValueError for a malformed name."""
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
    """Return whether the time in the name is later than `now` by more than AHEAD. `now` is the current time if it is
    None."""
    return instant(name) > (now or datetime.now(UTC)) + AHEAD


def name_after(newest: str | None, now: datetime, taken: Sequence[str] = ()) -> str:
    """Return a new name that is not in `taken`. The name has the time `now`. If `newest` is not earlier than `now`,
    because a clock ran backwards, the name has the time just after `newest`."""
    step = timedelta(microseconds=1)
    at = now if newest is None else max(now, instant(newest) + step)
    while timestamps.name(at) in taken:
        at += step
    return timestamps.name(at)
