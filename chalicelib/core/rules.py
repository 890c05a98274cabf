"""The rules that every row has to keep. They are the same for CSV, API and restore.

A rule converts a sent value to the value that is stored, or gives the reason why it cannot. The database accepts the
results in text form: `int` for ids, `str` for texts, ISO 8601 in UTC for instants.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from chalicelib.core import datetimes
from chalicelib.core.datasets import MAX_ID, MAX_TEXT, Dataset, Kind

Value = int | str
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A part of the grammar of `datetimes`. Python's own parser gives the same results, and is much faster.
_USUAL_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):\d\d:\d\d)Z?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Soft hyphen, zero-width characters, direction marks, invisible operators, byte order mark: programs leave them behind.
INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_DROPPED = "".join(c for c in map(chr, range(0x10000)) if c.isspace() or re.match(f"[{INVISIBLE}]", c))
_DECIMALS = re.compile(r"(\d+)\.0+", re.ASCII)  # of whole numbers, as pandas and Excel write them
_EXCEL_ERRORS = frozenset({"#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"})


class Problem(NamedTuple):
    """One reason to reject a row. `field` is None if the problem concerns the row as a whole.

    If the reason quotes a value of the row, `general` is the reason without that value. Loads count general reasons,
    because only few different ones exist.
    """

    field: str | None
    reason: str
    general: str | None = None

    @property
    def text(self) -> str:
        return f"{self.field} {self.reason}" if self.field else self.reason


class Checked(NamedTuple):
    """The result for one row: one value per column (None if it is invalid or missing) and all problems."""

    values: tuple[Value | None, ...]
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return not self.problems


class _Broken(ValueError):
    """A rule was broken; the message is the reason."""


def check_fields(dataset: Dataset, fields: Sequence[bytes]) -> Checked:
    """Check one CSV record that was split into as many fields as the dataset has columns."""
    return _check(dataset, map(_decoded, fields))


def check_objects(dataset: Dataset, rows: Sequence[Any]) -> list[Checked]:
    """Check the rows of a request, as `check_object` does. Their ids may be left out.

    First, loops in C check whole columns. Single rows are checked only if a row is incomplete, invalid or not in the
    usual form.
    """
    width, columns = len(dataset.columns), itemgetter(*dataset.column_names)
    if all(type(row) is dict and len(row) == width for row in rows):
        with suppress(KeyError):
            whole = list(map(columns, rows))
            if all(_USUAL[c.kind](values) for c, values in zip(dataset.columns, zip(*whole, strict=True), strict=True)):
                return [Checked(values, ()) for values in whole]
    return [check_object(dataset, row, id_optional=True) for row in rows]


def _usual_ids(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {int} and _ids_are_valid(values)


def _usual_texts(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {str} and _texts_are_valid(values)


def _usual_instants(values: Sequence[Any]) -> bool:
    """Whether all values have the most common form, which Postgres (in UTC) and Python parse in the same way."""
    if set(map(type, values)) != {str} or not all(map(_USUAL_INSTANT.fullmatch, values)):
        return False
    try:
        return all(map(datetime.fromisoformat, values))
    except ValueError:
        return False


def check_unsplit(raw: bytes, problem: Problem) -> tuple[Problem, ...]:
    """Return all problems of a record that could not be split into columns because of `problem`."""
    problems = [problem]
    if isinstance(_decoded(raw), _Broken):
        problems.append(Problem(None, "the record is not valid UTF-8"))
    if b"\0" in raw:
        problems.append(Problem(None, "the record contains a NUL character"))
    return tuple(problems)


def check_object(dataset: Dataset, row: Any, *, id_optional: bool = False) -> Checked:
    """Check one JSON value. With `id_optional`, a missing id is not a problem: its value is None, and the caller has
    to choose an id."""
    if not isinstance(row, Mapping):
        return Checked((None,) * len(dataset.columns), (Problem(None, "the row is not an object"),))
    checked = _check(dataset, map(row.get, dataset.column_names), optional="id" if id_optional else None)
    if len(row) <= len(dataset.columns) and all(map(dataset.column_names.__contains__, row)):
        return checked
    unknown = [
        Problem(None, f"{_shown(name)} is not a column", "a key is not a column")
        for name in row
        if name not in dataset.column_names
    ]
    return Checked(checked.values, checked.problems + tuple(unknown))


def check_stored(dataset: Dataset, row: Sequence[Any], *, is_trusted: bool = False) -> Checked:
    """Check one row of an Avro file: ids as int, texts as str, instants as microseconds since 1970 UTC, None for null.

    A trusted row was in the table once, so its texts are taken as they are.
    """
    return _check(dataset, map(_readable, shown_stored(dataset, row)), is_trusted=is_trusted)


def all_stored_are_valid(dataset: Dataset, columns: Sequence[Sequence[Any]], *, is_trusted: bool = False) -> bool:
    """Whether all rows of an Avro file are valid without any change. `columns` has their values by column.

    Loops in C check each column as a whole. False does not say which row is invalid: use `check_stored` for that.
    """
    whole_columns = _WHOLE_TRUSTED_COLUMN if is_trusted else _WHOLE_COLUMN
    with suppress(TypeError):  # a value is None
        return all(whole_columns[c.kind](values) for c, values in zip(dataset.columns, columns, strict=True) if values)
    return False


def _ids_are_valid(values: Sequence[int]) -> bool:
    return min(values) >= 1 and max(values) <= MAX_ID


def _texts_are_valid(values: Sequence[str]) -> bool:
    """Check all texts with one search, after NULs have joined them. The search finds white space and invisible
    characters at either end of a text, an empty text, a NUL inside a text, and half of a surrogate pair."""
    joined = "\0".join(("", *values, ""))
    return (
        joined.count("\0") == len(values) + 1
        and max(map(len, values)) <= MAX_TEXT
        and not _UNCLEAN.search(joined)
        and ("\0#" not in joined or _EXCEL_ERRORS.isdisjoint(values))
    )


def _texts_can_be_stored(values: Sequence[str]) -> bool:
    joined = "\0".join(values)
    return joined.count("\0") == len(values) - 1 and (joined.isascii() or not _SURROGATE.search(joined))


def _instants_are_valid(values: Sequence[int]) -> bool:
    return min(values) >= _FIRST_INSTANT and max(values) <= _LAST_INSTANT


_UNCLEAN = re.compile(f"\0[\0\\s{INVISIBLE}]|[\\s{INVISIBLE}]\0|[\ud800-\udfff]")
_FIRST_INSTANT, _LAST_INSTANT = (
    (at - _EPOCH) // timedelta(microseconds=1)
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
)
_USUAL: dict[Kind, Callable[[Any], bool]] = {
    Kind.ID: _usual_ids,
    Kind.TEXT: _usual_texts,
    Kind.INSTANT: _usual_instants,
}
_WHOLE_COLUMN: dict[Kind, Callable[[Any], bool]] = {
    Kind.ID: _ids_are_valid,
    Kind.TEXT: _texts_are_valid,
    Kind.INSTANT: _instants_are_valid,
}
_WHOLE_TRUSTED_COLUMN = _WHOLE_COLUMN | {Kind.TEXT: _texts_can_be_stored}


def shown_stored(dataset: Dataset, row: Sequence[Any]) -> list[Any]:
    """A row of an Avro file with its instants in ISO 8601."""
    return [
        _instant_text(v) if c.kind is Kind.INSTANT and v is not None else v
        for c, v in zip(dataset.columns, row, strict=True)
    ]


def _instant_text(microseconds: int) -> str:
    """Return ISO 8601, or only the number if it lies outside the years 1 to 9999. The rules reject such a number."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return str(microseconds)


def missing_parent(field: str, parent_id: Value) -> Problem:
    return Problem(field, f"{parent_id} does not exist", "does not exist")


def _check(dataset: Dataset, sent: Iterable[Any], optional: str | None = None, *, is_trusted: bool = False) -> Checked:
    values: list[Value | None] = []
    problems: list[Problem] = []
    for (name, check), value in zip(_checks(dataset, is_trusted), sent, strict=True):
        try:
            values.append(check(value))
        except _Missing:
            values.append(None)
            if name != optional:
                problems.append(Problem(name, "is missing"))
        except _Broken as broken:
            values.append(None)
            problems.append(Problem(name, str(broken)))
    return Checked(tuple(values), tuple(problems))


@cache
def _checks(dataset: Dataset, is_trusted: bool) -> tuple[tuple[str, Callable[[Any], Value]], ...]:
    checks = _TRUSTED_CHECKS if is_trusted else _CHECKS
    return tuple((column.name, checks[column.kind]) for column in dataset.columns)


class _Missing(Exception):
    """The value is absent or consists of white space only."""


def _present(value: Any) -> Any:
    """Return the value without surrounding white space. Raises _Missing if nothing is left, and the value itself if it
    is an exception."""
    if isinstance(value, Exception):
        raise value
    stripped = _stripped(value) if isinstance(value, str) else value
    if stripped is None or stripped == "":
        raise _Missing
    return stripped


def _stripped(text: str) -> str:
    """The text without white space and invisible characters at its ends."""
    stripped = text.strip()
    return stripped if stripped.isascii() else stripped.strip(_DROPPED)


def _decoded(field: bytes) -> str | _Broken:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return _Broken("is not valid UTF-8")


def _readable(value: Any) -> Any:
    """Return a value of a backup, or an error for a lone surrogate, which stands for a byte that is not UTF-8."""
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        return _Broken("is not valid UTF-8")
    return value


# A check runs for every value of a request, so each begins with the form that nearly every value has.


def check_id(value: Any) -> int:
    """Accept decimal digits, or an int that is not a bool, from 1 to 2147483647."""
    if type(value) is not int:
        value = _present(value)
        if type(value) is float and value.is_integer():  # `12.0` is an integer to JSON Schema, too
            value = int(value)
        if isinstance(value, str) and (whole := _DECIMALS.fullmatch(value)):
            value = whole[1]
        if isinstance(value, str) and value.isascii() and value.isdigit():
            digits = value.lstrip("0")
            value = int(digits) if 0 < len(digits) <= len(str(MAX_ID)) else 0
    if type(value) is not int or not 1 <= value <= MAX_ID:
        raise _Broken(f"is not a whole number from 1 to {MAX_ID}")
    return value


def check_text(value: Any) -> str:
    value = _present(value)
    if not isinstance(value, str):
        raise _Broken("is not text")
    if value in _EXCEL_ERRORS:
        raise _Broken("is an error of Excel: correct the formula in its cell")
    if "\0" in value:
        raise _Broken("contains a NUL character")
    if not value.isascii() and _SURROGATE.search(value):
        raise _Broken("contains half of a surrogate pair")
    if len(value) > MAX_TEXT:
        raise _Broken(f"is longer than {MAX_TEXT} characters")
    return value


def _check_stored_text(value: Any) -> str:
    """Accept any text that Postgres can hold."""
    if isinstance(value, Exception):
        raise value
    if not isinstance(value, str):
        raise _Missing
    if "\0" in value:
        raise _Broken("contains a NUL character")
    return value


def check_instant(value: Any) -> str:
    """Accept a date-time in the grammar of `datetimes`. Without an offset it is UTC."""
    value = _present(value)
    if not isinstance(value, str):
        raise _Broken(datetimes.WANTED)
    try:
        if usual := _USUAL_INSTANT.fullmatch(value):
            datetime.fromisoformat(value)
            return f"{usual[1]}T{usual[2]}+00:00"  # the text that isoformat() returns, in half the time
        return datetimes.utc(value).isoformat()
    except datetimes.NotADateTime as error:
        raise _Broken(str(error)) from None
    except ValueError:
        raise _Broken(datetimes.WANTED) from None


def is_instant(text: str) -> bool:
    """Return whether a text is a valid date-time."""
    try:
        check_instant(text)
    except (_Broken, _Missing):
        return False
    return True


_CHECKS: dict[Kind, Callable[[Any], Value]] = {Kind.ID: check_id, Kind.TEXT: check_text, Kind.INSTANT: check_instant}
_TRUSTED_CHECKS = _CHECKS | {Kind.TEXT: _check_stored_text}


def _shown(name: Any) -> str:
    """Return a key that a client sent, quoted and shortened for a message."""
    return repr(str(name)[:60])
