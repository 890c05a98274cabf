"""Keeps the digits of JSON numbers. A float would change them: the float 0.1 is not exactly a tenth."""

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
    """Return the exact value of a JSON number, or NaN if not even a Decimal can express it."""
    try:
        return Decimal(number.text if isinstance(number, JsonNumber) else repr(number))
    except InvalidOperation:  # its exponent has some twenty digits
        return Decimal("NaN")


def whole(number: float) -> int | None:
    """Return a JSON number as an integer, or None if it is not a whole number. For JSON Schema, 12.0 is an integer.

    A number with more than 60 digits becomes 10 to the power of 60, because it would take long to compute its digits.
    """
    value = exact(number)
    if not value.is_finite() or value != value.to_integral_value():
        return None
    return int(value) if value.adjusted() < _MOST_DIGITS or not value else _BEYOND
