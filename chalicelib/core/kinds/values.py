"""Defines the types of values, and the exceptions that the rules of all kinds raise."""

from datetime import date
from decimal import Decimal
from typing import Any

from chalicelib.core import reasons
from chalicelib.core.reasons import Reason
from chalicelib.core.texts import SURROGATE, stripped

Value = int | str | bool
ABSENT: Any = object()  # stands for a column that a row leaves out
Cell = Value | Decimal | date  # a datetime is a date, too


class InvalidDeclaration(ValueError):
    """A dataset is declared in a way that cannot work. The message says what to change."""


class Broken(ValueError):
    """A rule was broken, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Missing(Exception):
    """The value is null, or a text of white space only."""


def present(value: Any) -> Any:
    """Return the value without surrounding white space. Raises Missing if nothing is left. If the value is an
    exception, raises this exception."""
    if isinstance(value, Exception):
        raise value
    found = stripped(value) if isinstance(value, str) else value
    if found is None or found == "":
        raise Missing
    return found


def as_text(value: Value) -> str:
    """Return a value as a text that a file may contain and that Postgres can convert to the type of the column."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def decoded(field: bytes) -> str | Broken:
    """Return the text of a CSV field, or an error if the field is not valid UTF-8."""
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return Broken(reasons.NOT_UTF8)


def readable(value: Any) -> Any:
    """Return the value unchanged, or an error if the value contains a lone surrogate. In a value from a backup, a lone
    surrogate stands for a byte that was not valid UTF-8."""
    if isinstance(value, str) and not value.isascii() and SURROGATE.search(value):
        return Broken(reasons.NOT_UTF8)
    return value
