"""The kind of dates: days without a time, from year 1 to 9999."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from chalicelib.core import datetimes, json_patterns, reasons
from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.ids import integers
from chalicelib.core.kinds.instants import CLEAN_DAY, PointInTime, in_declared_order
from chalicelib.core.kinds.kind import Conversion, Json, same
from chalicelib.core.kinds.values import Broken, Value, present

EPOCH = date(1970, 1, 1)
POSTGRES_EPOCH = (date(2000, 1, 1) - EPOCH).days  # Postgres's binary formats count from 2000
USUAL_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FIRST, _LAST = ((day - EPOCH).days for day in (date.min, date.max))
_WRONG: Mapping[Dates, reasons.Reason] = {
    "iso": reasons.UNDECLARED_ORDER,
    "dmy": reasons.DATE_NOT_DMY,
    "mdy": reasons.DATE_NOT_MDY,
}
_AVRO = {"type": "int", "logicalType": "date"}


class Date(PointInTime):
    name, sql, example, athena = "date", "date", "2021-07-27", "date"
    usual, parse, first, last = USUAL_DATE, date.fromisoformat, _FIRST, _LAST
    packing = "i"
    cell_format = "yyyy-mm-dd"
    avro: Any = _AVRO
    avro_plain, avro_wanted = "int", "date"

    def check(self, value: Any) -> str:
        """Accept a date without a time, in the grammar of `datetimes`."""
        value = present(value)
        if not isinstance(value, str):
            raise Broken(reasons.NOT_A_DATE)
        try:
            if USUAL_DATE.fullmatch(value):
                date.fromisoformat(value)
                return value
            return datetimes.day(value).isoformat()
        except ValueError:
            raise Broken(reasons.NOT_A_DATE) from None

    def check_in_file(self, dates: Dates, value: Any) -> str:
        """Also accept dates such as 27/07/2021, if `dates` declares the order of day and month. The reason for any
        other text then shows the declared form."""
        try:
            return self.check(value)
        except Broken as broken:
            if not isinstance(value, str) or broken.reason is not reasons.NOT_A_DATE:
                raise
            return in_declared_order(value, dates, _WRONG, broken, may_have_time=False).date().isoformat()

    def shown(self, stored: Any) -> Any:
        """Return the date in ISO 8601. If it lies outside the years 1 to 9999, return the number as text, which the
        rules reject."""
        try:
            return (EPOCH + timedelta(days=stored)).isoformat()
        except OverflowError:
            return str(stored)

    def stored(self, checked: Value) -> int:
        return (date.fromisoformat(str(checked)) - EPOCH).days

    def clean(self, delimiter: bytes) -> bytes:
        return CLEAN_DAY

    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        return [day - POSTGRES_EPOCH for day in stored]

    def aggregate(self, column: str) -> str:
        return f"string_agg(date_send({column}), '')"

    def written(self, field: memoryview) -> Sequence[int]:
        return [day + POSTGRES_EPOCH for day in integers("i", field)]

    def cell(self, value: Value) -> date:
        return date.fromisoformat(self.check(value))

    @property
    def avro_readable(self) -> Mapping[str, Conversion]:
        return {"int date": same}

    def schema(self) -> tuple[str, Json]:
        about = "a date without a time, such as 2021-07-27. Basic and week dates (20210727, 2021-W30-2) are valid, too"
        return about, {"type": "string", "pattern": json_patterns.surrounded(json_patterns.DATE)}
