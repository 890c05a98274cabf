"""Checks rows with the rules. The rules are the same for CSV files, API requests and restores.

A rule converts a sent value to the value that is stored, or gives the reason why the value is rejected. An id becomes
an `int`. A text becomes a `str`. An instant becomes a `str` in ISO 8601, in UTC.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

from chalicelib.core import datetimes, local_dates, reasons, whole_columns
from chalicelib.core.datasets import MAX_ID, MAX_TEXT, Dataset, Kind
from chalicelib.core.declarations import Dates
from chalicelib.core.reasons import Problem, Reason
from chalicelib.core.texts import EXCEL_ERRORS, SURROGATE, stripped
from chalicelib.core.whole_columns import EPOCH, USUAL_INSTANT

Value = int | str
_Checks = tuple[tuple[str, Callable[[Any], Value]], ...]  # a rule for each column, with its name
_DECIMALS = re.compile(r"(\d+)\.0+", re.ASCII)  # a whole number with decimals (12.0), as pandas and Excel write it


class Checked(NamedTuple):
    """The result for one row: a value for each column, and all problems. An invalid or missing value is None."""

    values: tuple[Value | None, ...]
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return not self.problems


class _Broken(ValueError):
    """A rule was broken, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def check_fields(dataset: Dataset, fields: Sequence[bytes], dates: Dates = "iso") -> Checked:
    """Check one CSV record that was split into as many fields as the dataset has columns.

    `dates` is the declared order of day and month. Dates such as 27/07/2021 are valid only if an order was declared.
    """
    return _check(_checks_of_files(dataset, dates), map(_decoded, fields))


def check_objects(dataset: Dataset, rows: Sequence[Any]) -> list[Checked]:
    """Check the rows of a request, as `check_object` does. A row may have no id.

    First, loops in C check whole columns. If any row is incomplete, invalid or not in the most common form, the rows
    are checked one by one.
    """
    width, columns = len(dataset.columns), itemgetter(*dataset.column_names)
    if all(type(row) is dict and len(row) == width for row in rows):
        with suppress(KeyError):
            whole = list(map(columns, rows))
            if all(
                whole_columns.USUAL[c.kind](values)
                for c, values in zip(dataset.columns, zip(*whole, strict=True), strict=True)
            ):
                return [Checked(values, ()) for values in whole]
    return [check_object(dataset, row, id_optional=True) for row in rows]


def check_unsplit(raw: bytes, problem: Problem) -> tuple[Problem, ...]:
    """Return all problems of a record that could not be split into columns because of `problem`."""
    problems = [problem]
    if isinstance(_decoded(raw), _Broken):
        problems.append(reasons.RECORD_NOT_UTF8.of())
    if b"\0" in raw:
        problems.append(reasons.RECORD_WITH_NUL.of())
    return tuple(problems)


def check_object(dataset: Dataset, row: Any, *, id_optional: bool = False) -> Checked:
    """Check one JSON value. With `id_optional`, a missing id is not a problem: its value is None, and the caller has
    to choose an id."""
    if not isinstance(row, Mapping):
        return Checked((None,) * len(dataset.columns), (reasons.NOT_AN_OBJECT.of(),))
    checked = _check(_checks(dataset), map(row.get, dataset.column_names), optional="id" if id_optional else None)
    if len(row) <= len(dataset.columns) and all(map(dataset.column_names.__contains__, row)):
        return checked
    unknown = [reasons.UNKNOWN_COLUMN.of(name=_shown(name)) for name in row if name not in dataset.column_names]
    return Checked(checked.values, checked.problems + tuple(unknown))


def check_stored(dataset: Dataset, row: Sequence[Any], *, is_trusted: bool = False) -> Checked:
    """Check one row of an Avro file: ids as int, texts as str, instants as microseconds since 1970 UTC, None for null.

    A trusted row comes from one of our restore points, so it was in the table before. The rules for texts do not apply
    to it.
    """
    return _check(_checks_of_stored(dataset, is_trusted), map(_readable, shown_stored(dataset, row)))


def all_stored_are_valid(dataset: Dataset, columns: Sequence[Sequence[Any]], *, is_trusted: bool = False) -> bool:
    """Return whether all rows of an Avro file are valid without any change. `columns` has a sequence of values for each
    column.

    Loops in C check each column as a whole. If the result is False, `check_stored` finds the invalid rows.
    """
    checks = whole_columns.TRUSTED if is_trusted else whole_columns.VALID
    with suppress(TypeError):  # a value is None
        return all(checks[c.kind](values) for c, values in zip(dataset.columns, columns, strict=True) if values)
    return False


def shown_stored(dataset: Dataset, row: Sequence[Any]) -> list[Any]:
    """Return a row of an Avro file with its instants in ISO 8601."""
    return [
        _instant_text(v) if c.kind is Kind.INSTANT and v is not None else v
        for c, v in zip(dataset.columns, row, strict=True)
    ]


def _instant_text(microseconds: int) -> str:
    """Return the instant in ISO 8601. If it lies outside the years 1 to 9999, return the number as text, which the
    rules reject."""
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return str(microseconds)


def is_undecodable(problem: Problem) -> bool:
    """Return whether a problem says that bytes are not valid in the encoding."""
    return problem.code == reasons.NOT_UTF8.code


def missing_parent(field: str, parent_id: Value) -> Problem:
    return reasons.UNKNOWN_PARENT.of(field, parent=parent_id)


def _check(checks: _Checks, sent: Iterable[Any], optional: str | None = None) -> Checked:
    values: list[Value | None] = []
    problems: list[Problem] = []
    for (name, check), value in zip(checks, sent, strict=True):
        try:
            values.append(check(value))
        except _Missing:
            values.append(None)
            if name != optional:
                problems.append(reasons.MISSING.of(name))
        except _Broken as broken:
            values.append(None)
            problems.append(broken.reason.of(name))
    return Checked(tuple(values), tuple(problems))


@cache
def _checks(dataset: Dataset) -> _Checks:
    return tuple((column.name, _CHECKS[column.kind]) for column in dataset.columns)


@cache
def _checks_of_stored(dataset: Dataset, is_trusted: bool) -> _Checks:
    checks = _CHECKS | {Kind.INSTANT: _check_stored_instant}
    checks |= {Kind.TEXT: _check_stored_text} if is_trusted else {}
    return tuple((column.name, checks[column.kind]) for column in dataset.columns)


@cache
def _checks_of_files(dataset: Dataset, dates: Dates) -> _Checks:
    checks = _CHECKS | {Kind.INSTANT: partial(check_instant_of_file, dates)}
    return tuple((column.name, checks[column.kind]) for column in dataset.columns)


class _Missing(Exception):
    """The value is absent or consists of white space only."""


def _present(value: Any) -> Any:
    """Return the value without surrounding white space. Raises _Missing if nothing is left. If the value is an
    exception, raises this exception."""
    if isinstance(value, Exception):
        raise value
    present = stripped(value) if isinstance(value, str) else value
    if present is None or present == "":
        raise _Missing
    return present


def _decoded(field: bytes) -> str | _Broken:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return _Broken(reasons.NOT_UTF8)


def _readable(value: Any) -> Any:
    """Return the value unchanged, or an error if the value contains a lone surrogate. In a value from a backup, a lone
    surrogate stands for a byte that was not valid UTF-8."""
    if isinstance(value, str) and not value.isascii() and SURROGATE.search(value):
        return _Broken(reasons.NOT_UTF8)
    return value


# A check runs for every value, so each check first tests the form that nearly every value has.


def check_id(value: Any) -> int:
    """Accept decimal digits, or an int that is not a bool, from 1 to 2147483647."""
    if type(value) is not int:
        value = _present(value)
        if type(value) is float and value.is_integer():  # for JSON Schema, 12.0 is an integer
            value = int(value)
        if isinstance(value, str) and (whole := _DECIMALS.fullmatch(value)):
            value = whole[1]
        if isinstance(value, str) and value.isascii() and value.isdigit():
            digits = value.lstrip("0")
            value = int(digits) if 0 < len(digits) <= len(str(MAX_ID)) else 0
    if type(value) is not int or not 1 <= value <= MAX_ID:
        raise _Broken(reasons.NOT_AN_ID)
    return value


def check_text(value: Any) -> str:
    value = _present(value)
    if not isinstance(value, str):
        raise _Broken(reasons.NOT_TEXT)
    if value in EXCEL_ERRORS:
        raise _Broken(reasons.EXCEL_ERROR)
    if "\0" in value:
        raise _Broken(reasons.NUL)
    if not value.isascii() and SURROGATE.search(value):
        raise _Broken(reasons.HALF_SURROGATE)
    if len(value) > MAX_TEXT:
        raise _Broken(reasons.TOO_LONG)
    return value


def _check_stored_text(value: Any) -> str:
    """Accept any text that Postgres can hold."""
    if isinstance(value, Exception):
        raise value
    if not isinstance(value, str):
        raise _Missing
    if "\0" in value:
        raise _Broken(reasons.NUL)
    return value


def _check_stored_instant(value: Any) -> str:
    """Accept an instant as `shown_stored` shows it: in ISO 8601, or as a number outside the years 1 to 9999."""
    if isinstance(value, str) and value.removeprefix("-").isdigit():
        raise _Broken(reasons.OUT_OF_RANGE)
    return check_instant(value)


def check_instant(value: Any) -> str:
    """Accept a date-time in the grammar of `datetimes`. A date-time without an offset is in UTC."""
    value = _present(value)
    if not isinstance(value, str):
        raise _Broken(reasons.NOT_A_DATETIME)
    try:
        if usual := USUAL_INSTANT.fullmatch(value):
            datetime.fromisoformat(value)
            return f"{usual[1]}T{usual[2]}+00:00"  # the text that isoformat() returns, in half the time
        return datetimes.utc(value).isoformat()
    except datetimes.NotADateTime as error:
        raise _Broken(error.reason) from None
    except ValueError:
        raise _Broken(reasons.NOT_A_DATETIME) from None


def readable_id(text: str | None) -> int | None:
    """Return the id in a text, or None if the text is not a valid id."""
    try:
        return check_id(text)
    except (_Broken, _Missing):
        return None


def check_instant_of_file(dates: Dates, value: Any) -> str:
    """Check an instant as `check_instant` does. Also accept dates such as 27/07/2021, if `dates` declares the order of
    day and month. The reason for any other text then shows the declared form."""
    try:
        return check_instant(value)
    except _Broken as broken:
        if not isinstance(value, str) or broken.reason.code != reasons.NOT_A_DATETIME.code:
            raise
        parts = local_dates.parts(stripped(value))
        if dates == "iso":
            raise _Broken(reasons.UNDECLARED_DATE) if parts else broken from None
        try:
            if parts:
                return local_dates.utc(parts, dates).isoformat()
        except ValueError:
            pass  # there is no such day or time
        raise _Broken(local_dates.WRONG[dates]) from broken


def is_instant(text: str, dates: Dates = "iso") -> bool:
    """Return whether a text is a valid date-time in a file with these declared dates."""
    try:
        check_instant_of_file(dates, text)
    except (_Broken, _Missing):
        return False
    return True


_CHECKS: dict[Kind, Callable[[Any], Value]] = {Kind.ID: check_id, Kind.TEXT: check_text, Kind.INSTANT: check_instant}


def _shown(name: Any) -> str:
    """Return a key that a client sent, quoted and shortened for a message."""
    return repr(str(name)[:60])
