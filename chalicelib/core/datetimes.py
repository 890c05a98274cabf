"""Parses date-times and converts them to UTC. This is the grammar of the date-times that Hireflow accepts:

    date-time      = extended-date [ join time [ zone ] ]
                   / basic-date [ join ( time / basic-time ) [ zone ] ]
    extended-date  = YYYY "-" MM "-" DD  /  YYYY "-W" week "-" weekday
    basic-date     = YYYY MM DD          /  YYYY "W" week weekday
    join           = "T" / "t" / one space
    time           = HH ":" MM [ ":" SS [ fraction ] ]
    basic-time     = HH MM [ SS [ fraction ] ]
    fraction       = ( "." / "," ) 1*digit       ; digits after the sixth are dropped
    zone           = "Z" / "z" / " UTC" / ( "+" / "-" ) HH [ [ ":" ] MM ]

Digits are ASCII digits. Hours go from 00 to 23, minutes and seconds from 00 to 59, years from 0001 to 9999. Weeks and
weekdays are numbered as in ISO 8601. A time without a zone is in UTC. A date without a time means midnight in UTC.

The grammar is a subset of ISO 8601 and includes RFC 3339. It leaves out forms that could be misread. A digit cannot
join date and time: otherwise `2021073010123` would be the time 01:23, joined by the digit 1. A date without a time
cannot have a zone. There is no hour 24, because parsers disagree on its meaning.

`datetime.fromisoformat` accepts more texts than the grammar, and each version of Python accepts different texts. But
`fromisoformat` is several times faster. So it parses the texts that match COMMON. A property test compares its results
with those of the grammar.
"""

import re
from datetime import UTC, date, datetime, timedelta

from chalicelib.core.reasons import NOT_A_DATE, NOT_A_DATETIME, OUT_OF_RANGE, Reason

_HOUR, _SIXTY = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_FRACTION = r"(?:[.,](?P<{0}fraction>\d+))?"
_TIME = rf"(?P<hour>{_HOUR}):(?P<minute>{_SIXTY})(?::(?P<second>{_SIXTY}){_FRACTION.format('')})?"
_BASIC_TIME = rf"(?P<b_hour>{_HOUR})(?P<b_minute>{_SIXTY})(?:(?P<b_second>{_SIXTY}){_FRACTION.format('b_')})?"
_ZONE = rf"(?:[Zz]|[ ]UTC|(?P<sign>[+-])(?P<hours>{_HOUR})(?::?(?P<minutes>{_SIXTY}))?)"
GRAMMAR = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?:(?P<month>\d\d)-(?P<day>\d\d)|W(?P<week>\d\d)-(?P<weekday>[1-7]))"
    r"|(?P<basic>(?P<b_month>\d\d)(?P<b_day>\d\d)|W(?P<b_week>\d\d)(?P<b_weekday>[1-7])))"
    rf"(?:[Tt ](?:{_TIME}|(?(basic){_BASIC_TIME}|(?!))){_ZONE}?)?",
    re.ASCII,
)
# The part of the grammar that every version of Python parses in the same way.
COMMON = re.compile(
    rf"\d{{4}}-\d\d-\d\d(?:[T ]{_HOUR}:{_SIXTY}(?::{_SIXTY}(?:\.\d{{1,6}})?)?(?:Z|[+-]{_HOUR}:{_SIXTY})?)?", re.ASCII
)


class NotADateTime(ValueError):
    """A text is not an accepted date-time. `reason` says what is wrong without quoting the text."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def utc(text: str) -> datetime:
    """Parse `text` and return its time in UTC. Raises NotADateTime."""
    if not COMMON.fullmatch(text):
        return by_grammar(text)
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except ValueError:
        raise NotADateTime(NOT_A_DATETIME) from None
    except OverflowError:
        raise NotADateTime(OUT_OF_RANGE) from None


def day(text: str) -> date:
    """Parse a date that has no time. Raises NotADateTime."""
    parts = GRAMMAR.fullmatch(text)
    if parts is None or parts["hour"] or parts["b_hour"]:
        raise NotADateTime(NOT_A_DATE)
    return by_grammar(text).date()


def by_grammar(text: str) -> datetime:
    """Parse `text` by the grammar, even if it matches COMMON, and return its time in UTC. Raises NotADateTime."""
    parts = GRAMMAR.fullmatch(text)
    if parts is None:
        raise NotADateTime(NOT_A_DATETIME)

    def number(name: str) -> int:
        return int(parts[name] or parts[f"b_{name}"] or 0)

    fraction = (parts["fraction"] or parts["b_fraction"] or "")[:6]
    try:
        day = (
            date.fromisocalendar(int(parts["year"]), number("week"), number("weekday"))
            if number("weekday")
            else date(int(parts["year"]), number("month"), number("day"))
        )
        at = datetime(day.year, day.month, day.day, number("hour"), number("minute"), number("second"), tzinfo=UTC)
    except ValueError:
        raise NotADateTime(NOT_A_DATETIME) from None
    ahead = timedelta(hours=int(parts["hours"] or 0), minutes=int(parts["minutes"] or 0))
    try:
        moment = at - ahead if parts["sign"] != "-" else at + ahead
    except OverflowError:
        raise NotADateTime(OUT_OF_RANGE) from None
    return moment.replace(microsecond=int(fraction.ljust(6, "0")))
