"""The kind of instants: date-times, stored in UTC with microseconds."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core import datetimes, json_patterns, local_dates, reasons
from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.ids import integers
from chalicelib.core.kinds.kind import Conversion, Json, Kind, same
from chalicelib.core.kinds.values import Broken, Value, present
from chalicelib.core.texts import stripped

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Microseconds from 1970 to 2000. Postgres's binary formats count from 2000.
POSTGRES_EPOCH = 946_684_800_000_000
# The most common form of an instant. For this form, Python's own parser gives the same results as `datetimes`, and is
# much faster.
USUAL_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):\d\d:\d\d)Z?", re.ASCII)
_FIRST, _LAST = (
    (at - EPOCH) // timedelta(microseconds=1)
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
)
CLEAN_DAY = (
    rb"(?:19|20)\d\d-"
    rb"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME = rb"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_OFFSET = rb"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?"

_WRONG: Mapping[Dates, reasons.Reason] = {
    "iso": reasons.UNDECLARED_DATE,
    "dmy": local_dates.WRONG["dmy"],
    "mdy": local_dates.WRONG["mdy"],
}
_AVRO = {"type": "long", "logicalType": "timestamp-micros"}


class PointInTime(Kind):
    """What the kinds of dates and of instants have in common.

    `usual` matches the most common form of a sent value, which Postgres (in UTC) and `parse` read in the same way.
    `parse` raises ValueError. `first` and `last` are the stored forms of the first and the last valid value.
    """

    usual: re.Pattern[str]
    parse: Callable[[str], object]
    first: int
    last: int

    @abstractmethod
    def check(self, value: Any) -> str: ...

    def check_stored(self, value: Any, *, is_trusted: bool) -> str:
        if isinstance(value, str) and value.removeprefix("-").isdigit():
            raise Broken(reasons.OUT_OF_RANGE)
        return self.check(value)

    def are_usual(self, values: Sequence[Any]) -> bool:
        if set(map(type, values)) != {str} or not all(map(self.usual.fullmatch, values)):
            return False
        try:
            return all(map(self.parse, values))
        except ValueError:
            return False

    def are_valid(self, stored: Sequence[Any]) -> bool:
        return bool(min(stored) >= self.first and max(stored) <= self.last)


class Instant(PointInTime):
    name, sql, example = "instant", "timestamptz", "2021-07-27T16:02:08Z"
    athena, athena_unit = "bigint", ", in microseconds since 1970 UTC"
    usual, parse, first, last = USUAL_INSTANT, datetime.fromisoformat, _FIRST, _LAST
    packing = "q"
    cell_format = "yyyy-mm-dd hh:mm:ss"
    avro: Any = _AVRO
    avro_plain, avro_wanted = "long", "timestamp-micros or timestamp-millis"

    def check(self, value: Any) -> str:
        """Accept a date-time in the grammar of `datetimes`. A date-time without an offset is in UTC."""
        value = present(value)
        if not isinstance(value, str):
            raise Broken(reasons.NOT_A_DATETIME)
        try:
            if usual := USUAL_INSTANT.fullmatch(value):
                datetime.fromisoformat(value)
                return f"{usual[1]}T{usual[2]}+00:00"  # the text that isoformat() returns, in half the time
            return datetimes.utc(value).isoformat()
        except datetimes.NotADateTime as error:
            raise Broken(error.reason) from None
        except ValueError:
            raise Broken(reasons.NOT_A_DATETIME) from None

    def check_in_file(self, dates: Dates, value: Any) -> str:
        """Also accept dates such as 27/07/2021, if `dates` declares the order of day and month. The reason for any
        other text then shows the declared form."""
        try:
            return self.check(value)
        except Broken as broken:
            if not isinstance(value, str) or broken.reason.code != reasons.NOT_A_DATETIME.code:
                raise
            return in_declared_order(value, dates, _WRONG, broken).isoformat()

    def shown(self, stored: Any) -> Any:
        """Return the instant in ISO 8601. If it lies outside the years 1 to 9999, return the number as text, which the
        rules reject."""
        try:
            return (EPOCH + timedelta(microseconds=stored)).isoformat()
        except OverflowError:
            return str(stored)

    def stored(self, checked: Value) -> int:
        return (datetime.fromisoformat(str(checked)) - EPOCH) // timedelta(microseconds=1)

    def clean(self, delimiter: bytes) -> bytes:
        return CLEAN_DAY + rb"[T ]" + _TIME + _OFFSET

    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        return [instant - POSTGRES_EPOCH for instant in stored]

    def aggregate(self, column: str) -> str:
        return f"string_agg(timestamptz_send({column}), '')"

    def written(self, field: memoryview) -> Sequence[int]:
        return [value + POSTGRES_EPOCH for value in integers("q", field)]

    def cell(self, value: Value) -> datetime:
        """Return the instant in UTC, without a time zone: spreadsheets have no time zones, and a load reads an instant
        without an offset as UTC."""
        return datetime.fromisoformat(str(self.check(value))).replace(tzinfo=None)

    @property
    def avro_readable(self) -> Mapping[str, Conversion]:
        units: tuple[tuple[str, Conversion], ...] = (
            ("millis", _multiplied(1000)),
            ("micros", same),
            ("nanos", lambda value: value // 1000),
        )
        return {
            "int date": _multiplied(86_400_000_000),
            **{f"long {zone}timestamp-{unit}": convert for zone in ("", "local-") for unit, convert in units},
        }

    def schema(self) -> tuple[str, Json]:
        about = (
            "a date, which means midnight UTC, or a date, `T` or one space, a time, and `Z`, ` UTC` or an"
            " offset. Basic dates and week dates (20210727T160208Z, 2021-W30-2) are"
            " valid, too. The year in UTC must be from 1 to 9999"
        )
        return about, {"type": "string", "pattern": json_patterns.surrounded(json_patterns.INSTANT)}


def in_declared_order(
    value: str, dates: Dates, wrong: Mapping[Dates, reasons.Reason], broken: Broken, *, may_have_time: bool = True
) -> datetime:
    """Read a date such as 27/07/2021, in UTC. `broken` says why it is not a date in ISO 8601. Raises Broken, with the
    reason in `wrong` for the declared order, or `broken` if no order was declared and the text has another form."""
    parts = local_dates.parts(stripped(value))
    is_local = parts is not None and (may_have_time or parts["hour"] is None)
    if dates == "iso":
        raise Broken(wrong[dates]) if is_local else broken from None
    try:
        if parts and is_local:
            return local_dates.utc(parts, dates)
    except ValueError:
        pass  # there is no such day or time
    raise Broken(wrong[dates]) from broken


def _multiplied(factor: int) -> Callable[[Any], Any]:
    return lambda value: value * factor
