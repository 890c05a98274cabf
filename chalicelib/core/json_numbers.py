"""Keeps the digits of JSON numbers. A float would change them: 0.1 is not a tenth."""

import sys
from decimal import Decimal, InvalidOperation

_MOST_DIGITS = 60  # a whole number with more digits is outside the range of every kind of column
_BEYOND = 10**_MOST_DIGITS


class JsonNumber(float):
    """A JSON number with a fraction or an exponent. `text` has its digits as they were sent.

    A number that is too large for a float becomes the largest float, so that a response can quote it. JSON cannot
    express infinity.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "JsonNumber":
        number = super().__new__(cls, max(-sys.float_info.max, min(sys.float_info.max, float(text))))
        number.text = text
        return number


def exact(number: float) -> Decimal:
    """Return the exact value of a JSON number, or NaN if even a Decimal cannot express it."""
    try:
        return Decimal(number.text if isinstance(number, JsonNumber) else repr(number))
    except InvalidOperation:  # its exponent has some twenty digits
        return Decimal("NaN")


def whole(number: float) -> int | None:
    """Return a JSON number as an integer, or None if it is not a whole number. For JSON Schema, 12.0 is an integer.

    A number with very many digits becomes some other very large number, because computing it would take long.
    """
    value = exact(number)
    if not value.is_finite() or value != value.to_integral_value():
        return None
    return int(value) if value.adjusted() < _MOST_DIGITS or not value else _BEYOND
