"""The kinds of decimal numbers. Each pair of a precision and a scale is a kind of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import chain, repeat
from struct import Struct, iter_unpack
from typing import Any

from chalicelib.core import json_numbers, json_patterns, reasons
from chalicelib.core.kinds.kind import Conversion, Json, Kind
from chalicelib.core.kinds.values import Broken, InvalidDeclaration, Value, present

MAX_PRECISION = 38  # Athena has no larger decimals, and 16 bytes hold no more digits
_SHORT = 18  # eight bytes hold every whole number with this many digits
_NUMBER = re.compile(r"([+-]?)(?:0*(\d+)(?:\.(\d*))?|\.(\d+))", re.ASCII)
_NEGATIVE = 0x4000  # the sign in Postgres's binary format
_BASE, _BASE_DIGITS = 10_000, 4  # Postgres's binary format has digits from 0 to 9999


class DecimalNumber(Kind):
    """The kind of decimal numbers with at most `precision` digits, of which `scale` stand after the point.

    The stored form is the number times 10 to the power of `scale`. If a number of an Avro file has too many digits
    after the point, its stored form is a text with all digits, which `check_stored` rejects.
    """

    avro_plain = "bytes"

    def __init__(self, precision: int, scale: int) -> None:
        self.scale, self.before = scale, precision - scale
        self.name, self.sql = f"decimal({precision}, {scale})", f"numeric({precision}, {scale})"
        self.athena = f"decimal({precision},{scale})"
        self.avro = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        self.avro_wanted = f"decimal (bytes or fixed) with precision {precision} and scale {scale}, int or long"
        self.example = ("1234"[: self.before] or "0") + ("." + "5".ljust(scale, "0") if scale else "")
        self._too_many = reasons.TOO_MANY_DECIMALS.filled(scale=scale)
        self._too_large = reasons.DECIMAL_OUT_OF_RANGE.filled(digits=self.before)
        self._beyond, self._size = 10**precision, 8 if precision <= _SHORT else 16
        self._fraction = -(-scale // _BASE_DIGITS)
        self._digits = -(-self.before // _BASE_DIGITS) + self._fraction
        self._usual = re.compile(_canonical(self.before, scale), re.ASCII)
        self._numeric = Struct(f"!hhHh{self._digits}H").pack
        self.cell_format = "0." + "0" * scale if scale else "0"
        self.packing = f"{8 + 2 * self._digits}s"

    def check(self, value: Any) -> str:
        """Accept an int, or a text with a sign, digits and a point, in which the sign and the point are optional.

        A JSON number counts by its value, so 1.50 and 1.5e0 are the same number.
        """
        value = present(value)
        if type(value) is int:
            if not -(10**self.before) < value < 10**self.before:
                raise Broken(self._too_large)
            return str(value)
        if isinstance(value, float):
            value = self._written_out(json_numbers.exact(value))
        parts = _NUMBER.fullmatch(value) if isinstance(value, str) else None
        if parts is None:
            raise Broken(reasons.NOT_A_DECIMAL)
        sign, whole, fraction = parts[1], parts[2] or "0", parts[3] or parts[4] or ""
        if len(whole) > self.before and whole != "0":
            raise Broken(self._too_large)
        if len(fraction) > self.scale:
            raise Broken(self._too_many)
        number = f"{whole}.{fraction}" if fraction else whole
        return f"-{number}" if sign == "-" and number.strip("0.") else number

    def _written_out(self, number: Decimal) -> str:
        """Return a JSON number as text without an exponent, and without zeros beyond the scale. Raises Broken."""
        if not number.is_finite():
            raise Broken(reasons.NOT_A_DECIMAL)
        if not number:
            return "0"
        if number.adjusted() >= self.before:
            raise Broken(self._too_large)
        if number.adjusted() < -self.scale:
            raise Broken(self._too_many)
        whole, _, fraction = f"{number:f}".partition(".")
        return f"{whole}.{fraction[: self.scale]}{fraction[self.scale :].rstrip('0')}" if fraction else whole

    def shown(self, stored: Any) -> Any:
        return _text(stored, self.scale) if isinstance(stored, int) else stored

    def stored(self, checked: Value) -> int:
        whole, _, fraction = str(checked).partition(".")
        return int(whole + fraction.ljust(self.scale, "0"))

    def are_usual(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {str} and all(map(self._usual.fullmatch, values))

    def are_valid(self, stored: Sequence[Any]) -> bool:
        return bool(min(stored) > -self._beyond and max(stored) < self._beyond)

    def clean(self, delimiter: bytes) -> bytes:
        whole = rb"\d{1,%d}" % self.before if self.before else rb"0"
        if not self.scale:
            return rb"[+-]?" + whole + rb"\.?"
        return rb"[+-]?(?:" + whole + rb"(?:\.\d{0,%d})?|\.\d{1,%d})" % (self.scale, self.scale)

    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        """Return the numbers in Postgres's binary format, which has digits to the base of 10,000. All numbers get the
        same number of digits. Postgres removes the zeros at both ends."""
        aligned = 10 ** (self._fraction * _BASE_DIGITS - self.scale)
        rest = [abs(value) * aligned for value in stored]
        digits: list[list[int]] = []
        for _ in range(self._digits - 1):
            digits.append([value % _BASE for value in rest])
            rest = [value // _BASE for value in rest]
        weight = repeat(self._digits - self._fraction - 1)
        signs = [_NEGATIVE if value < 0 else 0 for value in stored]
        return map(self._numeric, repeat(self._digits), weight, signs, repeat(self.scale), rest, *reversed(digits))

    def aggregate(self, column: str) -> str:
        if self._size == 8:
            return f"string_agg(int8send(({column} * {10**self.scale})::bigint), '')"
        return f"string_agg(textsend({column}::text), '\\x00')"

    def written(self, field: memoryview) -> Sequence[bytes]:
        if self._size == 8:
            return list(chain.from_iterable(iter_unpack("8s", field)))
        numbers = str(field, "ascii").replace(".", "").split("\0")
        return [int(number).to_bytes(self._size, "big", signed=True) for number in numbers]

    def cell(self, value: Value) -> Decimal:
        return Decimal(self.check(value))

    @property
    def avro_readable(self) -> Mapping[str, Conversion]:
        return {name: self._converted(name, self.scale) for name in ("bytes decimal", "fixed decimal", "int", "long")}

    def avro_conversion(self, name: str, scale: int) -> Conversion | None:
        return self._converted(name, scale) if name in self.avro_readable else None

    def _converted(self, name: str, scale: int) -> Conversion:
        """Return the conversion to the stored form: from bytes with this scale, or from a whole number."""
        if not name.endswith(" decimal"):
            return lambda value: value * 10**self.scale
        if scale == self.scale:
            return _signed
        if scale < self.scale:
            return lambda value: _signed(value) * 10 ** (self.scale - scale)
        return lambda value: self._rescaled(_signed(value), scale)

    def _rescaled(self, unscaled: int, scale: int) -> int | str:
        whole, rest = divmod(unscaled, 10 ** (scale - self.scale))
        return _text(unscaled, scale) if rest else whole

    def avro_default(self, checked: Value) -> str:
        return self.stored(checked).to_bytes(self._size, "big", signed=True).decode("latin-1")

    def schema(self) -> tuple[str, Json]:
        before, after = self.before, self.scale
        about = (
            f"a decimal number such as {self.example}, as a number or a string, with at most {before} digits before and"
            f" {after} digits after the point, without an exponent or separators"
        )
        whole = rf"0*[0-9]{{1,{before}}}" if before else "0+"
        pattern = rf"[+-]?(?:{whole}(?:\.[0-9]{{0,{after}}})?" + (rf"|\.[0-9]{{1,{after}}})" if after else ")")
        number = {"type": "number", "exclusiveMinimum": -(10**before), "exclusiveMaximum": 10**before}
        return about, {"anyOf": [number, {"type": "string", "pattern": json_patterns.surrounded(pattern)}]}


@cache
def decimal(precision: int, scale: int) -> Kind:
    """Return the kind of decimal numbers with at most `precision` digits, of which `scale` stand after the point. Equal
    numbers give the same kind. Raises InvalidDeclaration if no such kind is possible."""
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise InvalidDeclaration(
            f"Kind.decimal({precision}, {scale}) is not possible: the precision is from 1 to {MAX_PRECISION}, and the"
            " scale is from 0 to the precision"
        )
    return DecimalNumber(precision, scale)


def _canonical(before: int, scale: int) -> str:
    """Return the pattern of a checked form that is not a negative zero."""
    whole = rf"(?:0|[1-9]\d{{0,{before - 1}}})" if before else "0"
    return rf"(?!-[0.]*\Z)-?{whole}" + (rf"(?:\.\d{{1,{scale}}})?" if scale else "")


def _text(unscaled: int, scale: int) -> str:
    """Return a number as text. `unscaled` is the number times 10 to the power of `scale`."""
    sign, digits = "-" if unscaled < 0 else "", str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def _signed(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)
