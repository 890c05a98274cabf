"""The kind of booleans: true or false."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.core import json_numbers, json_patterns, reasons
from chalicelib.core.kinds.kind import Conversion, Json, Kind, same
from chalicelib.core.kinds.values import Broken, Value, present

# Postgres reads all these words in the same way.
WORDS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


class Boolean(Kind):
    name, sql, example, athena = "boolean", "boolean", True, "boolean"
    packing = "?"
    avro, avro_plain, avro_wanted = "boolean", "boolean", "boolean"

    def check(self, value: Any) -> bool:
        """Accept a bool, one of WORDS in any case, or the number 1 or 0."""
        if type(value) is bool:
            return value
        value = present(value)
        if isinstance(value, float):
            value = json_numbers.whole(value)
        if type(value) in (str, int):
            known = WORDS.get(value.lower()) if isinstance(value, str) else {1: True, 0: False}.get(value)
            if known is not None:
                return known
        raise Broken(reasons.NOT_A_BOOLEAN)

    def are_usual(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {bool}

    def are_valid(self, stored: Sequence[Any]) -> bool:
        return set(map(type, stored)) == {bool}

    def clean(self, delimiter: bytes) -> bytes:
        return rb"(?i:true|false|yes|no|[tfyn01])"

    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        return stored

    def aggregate(self, column: str) -> str:
        return f"string_agg(boolsend({column}), '')"

    def written(self, field: memoryview) -> Sequence[bool]:
        return list(map(bool, field))

    def cell(self, value: Value) -> bool:
        return self.check(value)

    @property
    def avro_readable(self) -> Mapping[str, Conversion]:
        return {"boolean": same}

    def schema(self) -> tuple[str, Json]:
        about = "true or false, yes or no, t or f, y or n, 1 or 0, in any case, as a boolean, a number or a string"
        words = "|".join("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word) for word in WORDS)
        texts = {"type": "string", "pattern": json_patterns.surrounded(words)}
        return about, {"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": 1}, texts]}
