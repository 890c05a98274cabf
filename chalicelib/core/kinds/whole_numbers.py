"""The kind of whole numbers: from -9223372036854775808 to 9223372036854775807, which 64 bits hold."""

import re
from typing import Any

from chalicelib.core import json_numbers, json_patterns, reasons
from chalicelib.core.kinds.ids import Integer
from chalicelib.core.kinds.kind import Json
from chalicelib.core.kinds.values import Broken, present
from chalicelib.core.value_limits import MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER

# pandas and Excel write whole numbers with such decimals: 12.0
_DIGITS = re.compile(r"([+-]?)0*(\d+)(?:\.0+)?", re.ASCII)


class WholeNumber(Integer):
    name, sql, example, athena = "whole number", "bigint", 12, "bigint"
    low, high = MIN_WHOLE_NUMBER, MAX_WHOLE_NUMBER
    packing = "q"
    whole = rb"[+-]?\d{1,18}"
    avro, avro_plain, avro_wanted = "long", "long", "int or long"

    def check(self, value: Any) -> int:
        """Accept decimal digits with an optional sign, or an int that is not a bool."""
        if type(value) is not int:
            value = present(value)
            if isinstance(value, float):
                value = json_numbers.whole(value)
            elif isinstance(value, str) and (parts := _DIGITS.fullmatch(value)):
                sign, digits = parts.groups()
                value = int(sign + digits[: len(str(MAX_WHOLE_NUMBER)) + 1])
        if type(value) is not int:
            raise Broken(reasons.NOT_A_WHOLE_NUMBER)
        if not MIN_WHOLE_NUMBER <= value <= MAX_WHOLE_NUMBER:
            raise Broken(reasons.WHOLE_NUMBER_OUT_OF_RANGE)
        return value

    def aggregate(self, column: str) -> str:
        return f"string_agg(int8send({column}), '')"

    def schema(self) -> tuple[str, Json]:
        about = (
            f"a whole number from {MIN_WHOLE_NUMBER} to {MAX_WHOLE_NUMBER} such as 12, -12 or 12.0, as a number or a"
            " string"
        )
        positive, negative = json_patterns.up_to(MAX_WHOLE_NUMBER), json_patterns.up_to(-MIN_WHOLE_NUMBER)
        pattern = json_patterns.surrounded(rf"(?:[+-]?0+|\+?{positive}|-{negative})(?:\.0+)?")
        number = {"type": "integer", "minimum": MIN_WHOLE_NUMBER, "maximum": MAX_WHOLE_NUMBER}
        return about, {"anyOf": [number, {"type": "string", "pattern": pattern}]}
