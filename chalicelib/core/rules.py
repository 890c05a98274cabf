"""Checks rows with the rules. The rules are the same for CSV files, API requests and restores.

A rule converts a sent value to the value that is stored, or gives the reason why the value is rejected. Each kind of
column has its rule (see `core.kinds`).

A row may leave out a column that is optional or has a default. An optional column may also be null: its value is an
empty field of a CSV file, or null in JSON.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from chalicelib.core import reasons
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import ABSENT, Broken, Missing, Value, decoded, readable
from chalicelib.core.reasons import Problem
from chalicelib.core.remembered import Remembered

MOST_UNKNOWN_KEYS = 20  # the reasons of a row name at most this many unknown keys
_NOTHING = frozenset[int]()
# The fields of a column that have no valid value, each with its problem, or with None for null. A file of garbage has
# the same few fields in very many rows, and an exception for each of them would take most of the time of the load.
_Faults = Remembered[bytes, Problem | None]
_UNKNOWN = Problem(None, "", "")  # stands for the problem of a field that is not remembered
_HAS_DIGIT = re.compile("[1-9]").search


class Checked(NamedTuple):
    """The result for one row: a value for each column, and all problems. An invalid, missing or null value is None.

    `left_out` has the indexes of the columns that the row leaves out, besides the id.
    """

    values: tuple[Value | None, ...]
    problems: tuple[Problem, ...]
    left_out: frozenset[int] = _NOTHING

    @property
    def valid(self) -> bool:
        return not self.problems


class _Rule(NamedTuple):
    """The rule of a column. `may_be_absent` is true if a row may leave the column out."""

    column: str
    check: Callable[[Any], Value]
    may_be_null: bool
    may_be_absent: bool

    @classmethod
    def of(cls, column: Column, check: Callable[[Any], Value]) -> "_Rule":
        return cls(column.name, check, column.optional, column.may_be_absent)


def check_fields(dataset: Dataset, fields: Sequence[bytes | None], dates: Dates = "iso") -> Checked:
    """Check one CSV record. `fields` has a field for each column of the dataset, and None for a column that the record
    leaves out.

    `dates` is the declared order of day and month. Dates such as 27/07/2021 are valid only if an order was declared.
    """
    values: list[Value | None] = []
    problems: list[Problem] = []
    left_out: list[int] = []
    for at, ((rule, faults), field) in enumerate(zip(_rules_of_files(dataset, dates), fields, strict=True)):
        if field is None:
            problem = None if rule.may_be_absent else reasons.MISSING.of(rule.column)
            if at:  # a row without an id gets a new id
                left_out.append(at)
        elif (problem := faults.get(field, _UNKNOWN)) is _UNKNOWN:
            try:
                values.append(rule.check(decoded(field)))
                continue
            except (Missing, Broken) as fault:
                problem = _problem(rule, fault)
                faults.remember(field, problem, len(field))
        values.append(None)
        if problem:
            problems.append(problem)
    return Checked(tuple(values), tuple(problems), frozenset(left_out) if left_out else _NOTHING)


def check_objects(dataset: Dataset, rows: Sequence[Any]) -> list[Checked]:
    """Check the rows of a request, as `check_object` does. A row may have no id.

    First, loops in C check whole columns. If the rows do not all have the same columns, or if any row is invalid or not
    in the most common form, the rows are checked one by one.
    """
    names = _common_columns(dataset, rows)
    if len(names) > 1:
        with suppress(KeyError):
            whole = list(map(itemgetter(*names), rows))
            columns = [column for column in dataset.columns if column.name in names]
            if all(_are_usual(c, values) for c, values in zip(columns, zip(*whole, strict=True), strict=True)):
                if len(names) == len(dataset.columns):
                    return list(map(Checked, whole, repeat(())))
                left_out = frozenset(at for at, name in enumerate(dataset.column_names) if name not in names)
                return [Checked(tuple(map(row.get, dataset.column_names)), (), left_out) for row in rows]
    return [check_object(dataset, row, id_optional=True) for row in rows]


def _common_columns(dataset: Dataset, rows: Sequence[Any]) -> list[str]:
    """Return the columns of the first row, or no columns if not all rows can have exactly these columns. The caller
    checks whether the other rows have them."""
    first = rows[0] if rows and type(rows[0]) is dict else {}
    names = [column.name for column in dataset.columns if column.name in first]
    width = len(first)
    if len(names) < width or not all(column.may_be_absent or column.name in first for column in dataset.columns):
        return []
    return names if set(map(type, rows)) == {dict} and set(map(len, rows)) == {width} else []


def _are_usual(column: Column, values: Sequence[Any]) -> bool:
    given = [value for value in values if value is not None] if column.optional else values
    return not given or column.kind.are_usual(given)


def check_unsplit(raw: bytes, problem: Problem) -> tuple[Problem, ...]:
    """Return all problems of a record that could not be split into columns because of `problem`."""
    problems = [problem]
    if isinstance(decoded(raw), Broken):
        problems.append(reasons.RECORD_NOT_UTF8.of())
    if b"\0" in raw:
        problems.append(reasons.RECORD_WITH_NUL.of())
    return tuple(problems)


def check_object(dataset: Dataset, row: Any, *, id_optional: bool = False) -> Checked:
    """Check one JSON value. With `id_optional`, a missing id is not a problem: its value is None, and the caller has
    to choose an id."""
    if not isinstance(row, Mapping):
        return Checked((None,) * len(dataset.columns), (reasons.NOT_AN_OBJECT.of(),))
    sent = (row.get(name, ABSENT) for name in dataset.column_names)
    checked = _check(_rules(dataset, id_optional), sent)
    if len(row) <= len(dataset.columns) and all(map(dataset.column_names.__contains__, row)):
        return checked
    return checked._replace(problems=checked.problems + tuple(_unknown_keys(dataset, row)))


def _unknown_keys(dataset: Dataset, row: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each of the first unknown keys, and one for all others together. A row may have hundreds of
    thousands of them."""
    unknown = [name for name in row if name not in dataset.column_names]
    for name in unknown[:MOST_UNKNOWN_KEYS]:
        yield reasons.UNKNOWN_COLUMN.of(name=_shown(name))
    if len(unknown) > MOST_UNKNOWN_KEYS:
        yield reasons.FURTHER_UNKNOWN_COLUMNS.of(number=len(unknown) - MOST_UNKNOWN_KEYS)


def check_stored(dataset: Dataset, row: Sequence[Any], *, is_trusted: bool = False) -> Checked:
    """Check one row of an Avro file, in the stored form of the kinds, with None for null, and ABSENT for a column that
    the file lacks.

    A trusted row comes from one of our restore points, so it was in the table before. The rules for texts do not apply
    to it.
    """
    return _check(_rules_of_stored(dataset, is_trusted), map(readable, shown_stored(dataset, row)))


def all_stored_are_valid(dataset: Dataset, columns: Sequence[Sequence[Any]], *, is_trusted: bool = False) -> bool:
    """Return whether all rows of an Avro file are valid without any change. `columns` has a sequence of values for each
    column, at least one. The values of a column that the file lacks are all ABSENT.

    Loops in C check each column as a whole. If the result is False, `check_stored` finds the invalid rows.
    """
    with suppress(TypeError):  # a value of a mandatory column is None
        for column, values in zip(dataset.columns, columns, strict=True):
            if values[0] is ABSENT:
                continue
            given = [value for value in values if value is not None] if column.optional else values
            check = column.kind.can_be_stored if is_trusted else column.kind.are_valid
            if given and not check(given):
                return False
        return True
    return False


def shown_stored(dataset: Dataset, row: Sequence[Any]) -> list[Any]:
    """Return a row of an Avro file with its values in the sent form. None and ABSENT stay."""
    return [v if v is None or v is ABSENT else c.kind.shown(v) for c, v in zip(dataset.columns, row, strict=True)]


def is_undecodable(problem: Problem) -> bool:
    """Return whether a problem says that bytes are not valid in the encoding."""
    return problem.code == reasons.NOT_UTF8.code


def missing_parent(field: str, parent_id: Value) -> Problem:
    return reasons.UNKNOWN_PARENT.of(field, parent=parent_id)


def readable_id(text: str | None) -> int | None:
    """Return the id in a text, or None if the text is not a valid id."""
    if text is None or not _HAS_DIGIT(text):  # an exception for each text of a file of garbage would take long
        return None
    try:
        return int(Kind.ID.check(text))
    except (Broken, Missing):
        return None


def holds_a_value(dataset: Dataset, texts: Sequence[str], dates: Dates = "iso") -> bool:
    """Return whether one of the texts is a valid value of the column in the same place. Columns for texts do not count,
    because nearly every text is valid for them."""
    return any(
        not column.kind.takes_any_text and _is_valid(column.kind, text, dates)
        for column, text in zip(dataset.columns, texts, strict=False)
    )


def is_instant(text: str, dates: Dates = "iso") -> bool:
    """Return whether a text is a valid date-time in a file with these declared dates."""
    return _is_valid(Kind.INSTANT, text, dates)


def _is_valid(kind: Kind, text: str, dates: Dates) -> bool:
    try:
        kind.check_in_file(dates, text)
    except (Broken, Missing):
        return False
    return True


def _check(rules: tuple[_Rule, ...], sent: Iterable[Any]) -> Checked:
    values: list[Value | None] = []
    problems: list[Problem] = []
    left_out: list[int] = []
    for at, (rule, value) in enumerate(zip(rules, sent, strict=True)):
        if value is ABSENT:
            values.append(None)
            if at:  # a row without an id gets a new id
                left_out.append(at)
            if not rule.may_be_absent:
                problems.append(reasons.MISSING.of(rule.column))
            continue
        try:
            values.append(rule.check(value))
        except (Missing, Broken) as fault:
            values.append(None)
            if problem := _problem(rule, fault):
                problems.append(problem)
    return Checked(tuple(values), tuple(problems), frozenset(left_out) if left_out else _NOTHING)


def _problem(rule: _Rule, fault: Missing | Broken) -> Problem | None:
    """Return the problem of a value that is not valid, or None for null if the column allows it."""
    if isinstance(fault, Broken):
        return fault.reason.of(rule.column)
    return None if rule.may_be_null else reasons.MISSING.of(rule.column)


@cache
def _rules(dataset: Dataset, id_optional: bool) -> tuple[_Rule, ...]:
    first, *others = (_Rule.of(column, column.kind.check) for column in dataset.columns)
    if id_optional:
        first = first._replace(may_be_null=True, may_be_absent=True)
    return (first, *others)


@cache
def _rules_of_stored(dataset: Dataset, is_trusted: bool) -> tuple[_Rule, ...]:
    return tuple(_Rule.of(c, partial(c.kind.check_stored, is_trusted=is_trusted)) for c in dataset.columns)


@cache
def _rules_of_files(dataset: Dataset, dates: Dates) -> tuple[tuple[_Rule, _Faults], ...]:
    return tuple((_Rule.of(column, partial(column.kind.check_in_file, dates)), _Faults()) for column in dataset.columns)


def _shown(name: Any) -> str:
    """Return a key that a client sent, quoted and shortened for a message."""
    return repr(str(name)[:60])
