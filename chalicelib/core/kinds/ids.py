"""The kind of primary keys and references: whole numbers from 1 to 2147483647."""

import re
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.core import json_numbers, json_patterns, reasons
from chalicelib.core.kinds.kind import Conversion, Json, Kind, same
from chalicelib.core.kinds.values import Broken, present
from chalicelib.core.value_limits import MAX_ID

# pandas and Excel write whole numbers with such decimals: 12.0
WHOLE = re.compile(r"(\d+)\.0+", re.ASCII)
CLEAN_DECIMALS = rb"(?:\.00?)?"


class Integer(Kind):
    """What the kinds of integers have in common. `low` and `high` are the smallest and the largest value."""

    low: int
    high: int

    def are_usual(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {int} and self.are_valid(values)

    def are_valid(self, stored: Sequence[Any]) -> bool:
        return bool(min(stored) >= self.low and max(stored) <= self.high)

    def clean(self, delimiter: bytes) -> bytes:
        return self.whole + CLEAN_DECIMALS

    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        return stored

    def written(self, field: memoryview) -> Sequence[int]:
        return integers(self.packing, field)

    @property
    def avro_readable(self) -> Mapping[str, Conversion]:
        return {"int": same, "long": same}


class Id(Integer):
    name, sql, example, athena = "id", "integer", 1, "int"
    low, high = 1, MAX_ID
    packing = "i"
    whole = rb"[1-9]\d{0,8}"
    avro, avro_plain, avro_wanted = "int", "int", "int or long"

    def check(self, value: Any) -> int:
        """Accept decimal digits, or an int that is not a bool, from 1 to 2147483647."""
        if type(value) is not int:
            if not _are_digits(value):  # most ids are digits, so this test comes first
                value = present(value)
                if isinstance(value, float):
                    value = json_numbers.whole(value)
                if isinstance(value, str) and (whole := WHOLE.fullmatch(value)):
                    value = whole[1]
            if _are_digits(value):
                digits = value.lstrip("0")
                value = int(digits) if 0 < len(digits) <= len(str(MAX_ID)) else 0
        if type(value) is not int or not 1 <= value <= MAX_ID:
            raise Broken(reasons.NOT_AN_ID)
        return value

    def aggregate(self, column: str) -> str:
        return f"string_agg(int4send({column}), '')"

    def schema(self) -> tuple[str, Json]:
        about = f"a whole number from 1 to {MAX_ID} such as 12 or 12.0, as a number or a string"
        digits = {"type": "string", "pattern": json_patterns.surrounded(json_patterns.up_to(MAX_ID) + r"(?:\.0+)?")}
        return about, {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_ID}, digits]}


def _are_digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def integers(typecode: str, field: memoryview) -> "array[int]":
    """Convert binary integers in network order to Python integers, at the speed of C. `typecode` is "i" for integers of
    4 bytes, and "q" for 8 bytes."""
    values = array(typecode)
    values.frombytes(field)
    if sys.byteorder == "little":
        values.byteswap()
    return values
