"""A second parser of date-times. Tests compare its results with those of the product's parser. It splits the text and
counts days, and shares no code with the product. This module also has Hypothesis strategies that generate valid and
almost valid date-times."""

from hypothesis import strategies as st

MICROSECONDS_A_DAY = 86_400_000_000
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The beginning of the year 1 and the end of the year 9999, in microseconds since 1970-01-01.
_FIRST, _AFTER_LAST = -719_162 * MICROSECONDS_A_DAY, 2_932_897 * MICROSECONDS_A_DAY


def microseconds(text: str) -> int | None:
    """Return the microseconds since 1970-01-01 in UTC, or None if the text must be rejected."""
    extended = text[4:5] == "-"
    length = 10 if extended else 8
    days = _day(text[:length], extended)
    if days is None:
        return None
    rest = text[length:]
    if not rest:
        return days * MICROSECONDS_A_DAY
    if rest[0] not in "Tt ":
        return None
    clock, offset = _split_zone(rest[1:])
    at, ahead = _clock(clock, basic_too=not extended), _offset(offset)
    if at is None or ahead is None:
        return None
    instant = days * MICROSECONDS_A_DAY + at - ahead * 60_000_000
    return instant if _FIRST <= instant < _AFTER_LAST else None


def _number(text: str, digits: int) -> int | None:
    return int(text) if len(text) == digits and all(c in "0123456789" for c in text) else None


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_before(year: int) -> int:
    """Return the number of days from 1970-01-01 to 1 January of the year."""
    return 365 * (year - 1970) + sum((year - 1) // n - 1969 // n for n in (4, 400)) - ((year - 1) // 100 - 1969 // 100)


def _day(text: str, extended: bool) -> int | None:
    year = _number(text[:4], 4)
    if not year:
        return None
    rest = text[5:] if extended else text[4:]
    if rest[:1] == "W":
        return _week_day(year, rest[1:], extended)
    month = _number(rest[:2], 2)
    if extended and rest[2:3] != "-":
        return None
    day = _number(rest[3:] if extended else rest[2:], 2)
    if month is None or day is None or not 1 <= month <= 12:
        return None
    if not 1 <= day <= _DAYS[month - 1] + (month == 2 and _leap(year)):
        return None
    return _days_before(year) + sum(_DAYS[: month - 1]) + (month > 2 and _leap(year)) + day - 1


def _week_day(year: int, text: str, extended: bool) -> int | None:
    """Return the days since 1970-01-01 for an ISO week date, or None if this week date does not exist.

    Week 1 contains 4 January, and a week begins on Monday.
    """
    week = _number(text[:2], 2)
    if extended and text[2:3] != "-":
        return None
    weekday = _number(text[3:] if extended else text[2:], 1)
    if not week or not weekday or weekday > 7:
        return None

    def monday(of: int) -> int:
        fourth = _days_before(of) + 3
        return fourth - (fourth + 3) % 7  # 1970-01-01 was a Thursday

    day = monday(year) + 7 * (week - 1) + weekday - 1
    if not monday(year) <= day < monday(year + 1):
        return None
    return day if _FIRST <= day * MICROSECONDS_A_DAY < _AFTER_LAST else None


def _split_zone(text: str) -> tuple[str, str]:
    if text.endswith(" UTC"):
        return text[:-4], ""
    if text[-1:] in ("Z", "z"):
        return text[:-1], ""
    for at, character in enumerate(text):
        if character in "+-":
            return text[:at], text[at:]
    return text, ""


def _offset(text: str) -> int | None:
    """Return how many minutes local time is ahead of UTC, or None if the offset is not valid."""
    if not text:
        return 0
    hours, rest = _number(text[1:3], 2), text[3:].removeprefix(":")
    minutes = _number(rest, 2) if rest else (None if text.endswith(":") else 0)
    if hours is None or minutes is None or hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)


def _clock(text: str, basic_too: bool) -> int | None:
    """Return the microseconds since midnight, or None if the time of day is not valid.

    If `basic_too` is true, the basic format without colons is valid, too.
    """
    whole, fraction = text, ""
    for mark in (".", ","):
        if mark in text:
            whole, _, fraction = text.partition(mark)
            if not fraction or not all(c in "0123456789" for c in fraction):
                return None
            break
    parts = whole.split(":")
    if len(parts) == 1 and basic_too and len(whole) in (4, 6):
        parts = [whole[i : i + 2] for i in range(0, len(whole), 2)]
    numbers = [_number(part, 2) for part in parts]
    if len(numbers) not in (2, 3) or (fraction and len(numbers) == 2):
        return None
    hour, minute, second = (*numbers, 0)[:3]
    if hour is None or minute is None or second is None or hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + int(fraction[:6].ljust(6, "0"))


_TWO = st.integers(0, 60).map("{:02}".format)
_HOURS, _SIXTY = st.integers(0, 23).map("{:02}".format), st.integers(0, 59).map("{:02}".format)
_YEARS = (st.integers(1, 9999) | st.sampled_from([1, 1582, 1970, 2000, 2020, 2021, 9999])).map("{:04}".format)
_MONTHS = st.integers(1, 12).map("{:02}".format)
_MONTH_DAYS = st.integers(1, 31).map("{:02}".format)
_WEEKS, _WEEKDAYS = st.integers(1, 53).map("W{:02}".format), st.integers(1, 7).map(str)
_FRACTIONS = st.just("") | st.tuples(st.sampled_from(".,"), st.text("0123456789", min_size=1, max_size=9)).map("".join)
_OFFSETS = st.tuples(st.sampled_from("+-"), _HOURS, st.sampled_from(["", ":"]), _SIXTY).map("".join)
_ZONES = st.sampled_from(["", "Z", "z", " UTC", "+05", "-0000"]) | _OFFSETS
_JOINS = st.sampled_from("Tt ")


def _joined(separator: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(separator.join)


def _timed(dates: st.SearchStrategy[str], separators: str) -> st.SearchStrategy[str]:
    clocks = st.one_of(
        *(_joined(s, _HOURS, _SIXTY) for s in separators.split("|")),
        *(st.tuples(_joined(s, _HOURS, _SIXTY, _SIXTY), _FRACTIONS).map("".join) for s in separators.split("|")),
    )
    return dates | st.tuples(dates, _JOINS, clocks, _ZONES).map("".join)


WRITTEN = st.one_of(
    _timed(_joined("-", _YEARS, _MONTHS, _MONTH_DAYS), ":"),
    _timed(_joined("-", _YEARS, _WEEKS, _WEEKDAYS), ":"),
    _timed(_joined("", _YEARS, _MONTHS, _MONTH_DAYS), ":|"),
    _timed(_joined("", _YEARS, _WEEKS, _WEEKDAYS), ":|"),
)
"""Date-times in every format. Some of them do not exist, for example 31 February."""

_STRAY = st.sampled_from([*"0123456789TtZzW+-:., UC", "\t", "\u00a0", "\u0664", "\u2212", "\n", "_", "é", "  "])


@st.composite
def nearly(draw: st.DrawFn) -> str:
    """Draw a date-time, and insert, delete or replace one to three of its characters."""
    text = draw(WRITTEN)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.just("") | _STRAY) + text[at + draw(st.integers(0, 2)) :]
    return text


DIGITS = st.text("0123456789", min_size=6, max_size=17).flatmap(
    lambda digits: st.sampled_from(["", "Z", "+0000", "+02:00", "-05"]).map(lambda zone: digits + zone)
)
"""Timestamps without a separator between date and time, Unix times, and plain numbers."""

ANY = WRITTEN | nearly() | DIGITS
EDGES = (
    "2021-07-27",
    "20210727",
    "2021-W30-2",
    "2021W302",
    "2021-07-27T16:02",
    "20210727T1602",
    "20210727 160208,5Z",
    "2021-07-27t16:02:08z",
    "2021-07-27 16:02:08 UTC",
    "2021-07-27T16:02:08.1234567-23:59",
    "2020-02-29T00:00:00+0530",
    "0001-01-01",
    "9999-12-31T23:59:59.999999Z",
)
"""A parser must accept all of these."""

REFUSED = (
    "20211205213214Z",
    "202107301236Z",
    "20210420211342+0000",
    "1612101202030",
    "1627401728",
    "2021-01-01+02:00",
    "2021-01-01Z",
    "2021-01-01 UTC",
    "2021-07-27\t16:02:08",
    "2021-07-27  16:02:08",
    "2021-07-27x16:02:08",
    "2021-07-27\u00a016:02:08",
    "2021-07-27T24:00:00",
    "20210727T24",
    "2021-07-27T16:02:60",
    "2021-07-27T16:60:00",
    "2021-07-27T16",
    "2021-07-27T160208",
    "2021-07-27T16:02.5",
    "2021-07-27T16:02:08.",
    "2021-07-27T16:02:08 +02:00",
    "2021-07-27T16:02:08+24:00",
    "2021-07-27T16:02:08+02:60",
    "2021-07-27T16:02:08+02:00:30",
    "2021-07-27T16:02:08\u221202:00",
    "2021-07-27T16:02:08 utc",
    "2021-07-27T16:02:08GMT",
    "2021-W30",
    "2021-W54-1",
    "2021-208",
    "2021208",
    "2021-7-27",
    "21-07-27",
    "2021-07",
    "0000-01-01",
    "2021-02-29",
    "2021-07-27T16:02:08Z2",
    "\u0662\u0660\u0662\u0661-07-27",
    "27/07/2021",
    "44404",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
)
"""A parser must reject all of these."""
