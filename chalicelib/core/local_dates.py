"""Parses dates that spreadsheets write in many countries: 27/07/2021, 27.07.2021 16:02 or 7-27-2021.

The text does not say whether its first number is the day or the month. Therefore such dates are valid only in files
whose sender declares the order (`dates=dmy` or `dates=mdy`). These dates have no time zone, and are read as UTC.
"""

import re
from datetime import UTC, datetime
from typing import Literal

from chalicelib.core.reasons import NOT_DMY, NOT_MDY, Reason

Order = Literal["dmy", "mdy"]
WRONG: dict[Order, Reason] = {"dmy": NOT_DMY, "mdy": NOT_MDY}
_DATE = re.compile(
    r"(?P<first>\d\d?)(?P<mark>[/.-])(?P<second>\d\d?)(?P=mark)(?P<year>\d{4})"
    r"(?:[ T](?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<sixtieth>\d\d))?)?",
    re.ASCII,
)


def parts(text: str) -> re.Match[str] | None:
    """Return the parts of a date in this form, or None if the text has another form."""
    return _DATE.fullmatch(text)


def utc(found: re.Match[str], order: Order) -> datetime:
    """Return the time for the result of `parts`, read in this order. Raises ValueError if there is no such day or
    time."""
    first, second, year = (int(found[name]) for name in ("first", "second", "year"))
    day, month = (first, second) if order == "dmy" else (second, first)
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "sixtieth"))
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
