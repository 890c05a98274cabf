"""The rules every row has to meet, the same for CSV, API and restore.

A rule turns what was sent into the value that is stored, or says why it cannot. Values are what the
database takes as text: `int` for ids, `str` for texts, ISO 8601 in UTC for instants.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.datasets import MAX_ID, MAX_TEXT, Column, Dataset, Kind

Value = int | str
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_24 = re.compile(r"(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(?:-?\d)?).24", re.ASCII | re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """One reason to reject a row; `field` is None where the row as a whole is at fault."""

    field: str | None
    reason: str

    @property
    def text(self) -> str:
        return f"{self.field} {self.reason}" if self.field else self.reason


@dataclass(frozen=True)
class Checked:
    """The outcome for one row: a value per column (None where it is bad or absent) and all problems."""

    values: tuple[Value | None, ...]
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return not self.problems


class _Broken(ValueError):
    """A rule was broken; the message is the reason."""


def check_fields(dataset: Dataset, fields: Sequence[bytes]) -> Checked:
    """Check one CSV record that was split into as many fields as the dataset has columns."""
    return _check(dataset.columns, [_decoded(field) for field in fields])


def check_unsplit(raw: bytes, problem: str) -> tuple[Problem, ...]:
    """All that is wrong with a record that could not be split into columns for `problem`."""
    found = [problem]
    if isinstance(_decoded(raw), _Broken):
        found.append("the record is not valid UTF-8")
    if b"\0" in raw:
        found.append("the record contains a NUL character")
    return tuple(Problem(None, reason) for reason in found)


def check_object(dataset: Dataset, row: Any, *, id_optional: bool = False) -> Checked:
    """Check one JSON value; `id_optional` leaves a missing id to the caller (its value is None)."""
    if not isinstance(row, Mapping):
        return Checked((None,) * len(dataset.columns), (Problem(None, "the row is not an object"),))
    sent = [row.get(column.name) for column in dataset.columns]
    unknown = [Problem(None, f"{_shown(name)} is not a column") for name in row if name not in dataset.column_names]
    checked = _check(dataset.columns, sent, optional=("id",) if id_optional else ())
    return Checked(checked.values, checked.problems + tuple(unknown))


def check_stored(dataset: Dataset, row: Sequence[Any]) -> Checked:
    """Check one row of a backup: ids as int, texts as str, instants as microseconds since 1970 UTC."""
    return _check(dataset.columns, shown_stored(dataset, row))


def shown_stored(dataset: Dataset, row: Sequence[Any]) -> list[Any]:
    """A row of a backup with its instants in ISO 8601."""
    return [_instant_text(v) if c.kind is Kind.INSTANT else v for c, v in zip(dataset.columns, row, strict=True)]


def _instant_text(microseconds: int) -> str:
    """ISO 8601, or the bare number where it lies outside the years 1 to 9999 (no rule lets it pass)."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return str(microseconds)


def missing_parent(field: str, parent_id: Value) -> Problem:
    return Problem(field, f"{parent_id} does not exist")


def _check(columns: Sequence[Column], sent: Sequence[Any], optional: Sequence[str] = ()) -> Checked:
    values: list[Value | None] = []
    problems: list[Problem] = []
    for column, value in zip(columns, sent, strict=True):
        try:
            values.append(_CHECKS[column.kind](_present(value)))
        except _Missing:
            values.append(None)
            if column.name not in optional:
                problems.append(Problem(column.name, "is missing"))
        except _Broken as broken:
            values.append(None)
            problems.append(Problem(column.name, str(broken)))
    return Checked(tuple(values), tuple(problems))


class _Missing(Exception):
    """Nothing, or nothing but white space, was sent."""


def _present(value: Any) -> Any:
    """The value without surrounding white space; raises _Missing for none at all."""
    if isinstance(value, Exception):
        raise value
    stripped = value.strip() if isinstance(value, str) else value
    if stripped is None or stripped == "":
        raise _Missing
    return stripped


def _decoded(field: bytes) -> str | _Broken:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return _Broken("is not valid UTF-8")


def check_id(value: Any) -> int:
    """Decimal digits, or an int that is not a bool, from 1 to 2147483647."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        digits = value.lstrip("0")
        value = int(digits) if 0 < len(digits) <= len(str(MAX_ID)) else 0
    if type(value) is not int or not 1 <= value <= MAX_ID:
        raise _Broken(f"is not a whole number from 1 to {MAX_ID}")
    return value


def check_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Broken("is not text")
    if "\0" in value:
        raise _Broken("contains a NUL character")
    if _SURROGATE.search(value):
        raise _Broken("contains half of a surrogate pair")
    if len(value) > MAX_TEXT:
        raise _Broken(f"is longer than {MAX_TEXT} characters")
    return value


def check_instant(value: Any) -> str:
    """ISO 8601 as `datetime.fromisoformat` reads it; UTC where there is no offset."""
    if not isinstance(value, str):
        raise _Broken("is not an ISO 8601 date-time")
    try:
        if _HOUR_24.match(value):  # Python 3.14 reads it as midnight, earlier ones do not
            raise ValueError
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise _Broken("is not an ISO 8601 date-time") from None
    try:
        instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except OverflowError:
        raise _Broken("is outside the years 1 to 9999") from None
    return instant.isoformat()


_CHECKS: dict[Kind, Callable[[Any], Value]] = {Kind.ID: check_id, Kind.TEXT: check_text, Kind.INSTANT: check_instant}


def _shown(name: Any) -> str:
    """A key of the sender's, fit for a message."""
    return repr(str(name)[:60])
