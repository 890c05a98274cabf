"""Checks whole columns of values with loops that run in C. The result does not say which value is invalid.

Each of these mappings has a function for every kind of column. The function returns whether the values are as follows:

- `USUAL`: all values of a JSON request are valid, and have the most common form.
- `VALID`: all values of an Avro file are valid without any change.
- `TRUSTED`: all values of a file from our restore points can be stored. The rules for texts do not apply, because these
  texts were in the table before.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.datasets import MAX_ID, MAX_TEXT, Kind
from chalicelib.core.texts import EXCEL_ERRORS, INVISIBLE, SURROGATE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The most common form of an instant. For this form, Python's own parser gives the same results as `datetimes`, and is
# much faster.
USUAL_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):\d\d:\d\d)Z?", re.ASCII)
_UNCLEAN = re.compile("\0[\0\\s]|\\s\0|[\ud800-\udfff]")
_INVISIBLE_END = re.compile(f"\0[{INVISIBLE}]|[{INVISIBLE}]\0")
_FIRST_INSTANT, _LAST_INSTANT = (
    (at - EPOCH) // timedelta(microseconds=1)
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
)


def _usual_ids(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {int} and _ids_are_valid(values)


def _usual_texts(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {str} and _texts_are_valid(values)


def _usual_instants(values: Sequence[Any]) -> bool:
    """Return whether all values are valid instants in the most common form. Postgres (in UTC) and Python parse this
    form in the same way."""
    if set(map(type, values)) != {str} or not all(map(USUAL_INSTANT.fullmatch, values)):
        return False
    try:
        return all(map(datetime.fromisoformat, values))
    except ValueError:
        return False


def _ids_are_valid(values: Sequence[int]) -> bool:
    return min(values) >= 1 and max(values) <= MAX_ID


def _texts_are_valid(values: Sequence[str]) -> bool:
    """Return whether all texts are valid.

    Checking one long string is faster than checking every text. So the texts are joined, with a NUL between them. If a
    text contains a NUL, the string has too many NULs. `_UNCLEAN` matches at an empty text, at white space at either end
    of a text, and at half of a surrogate pair. `_INVISIBLE_END` matches at an invisible character at either end.
    """
    joined = "\0".join(("", *values, ""))
    return (
        joined.count("\0") == len(values) + 1
        and max(map(len, values)) <= MAX_TEXT
        and not _UNCLEAN.search(joined)
        and (joined.isascii() or not _INVISIBLE_END.search(joined))
        and ("\0#" not in joined or EXCEL_ERRORS.isdisjoint(values))
    )


def _texts_can_be_stored(values: Sequence[str]) -> bool:
    """Return whether Postgres can hold all texts."""
    joined = "\0".join(values)
    return joined.count("\0") == len(values) - 1 and (joined.isascii() or not SURROGATE.search(joined))


def _instants_are_valid(values: Sequence[int]) -> bool:
    return min(values) >= _FIRST_INSTANT and max(values) <= _LAST_INSTANT


Checks = Mapping[Kind, Callable[[Any], bool]]
USUAL: Checks = {Kind.ID: _usual_ids, Kind.TEXT: _usual_texts, Kind.INSTANT: _usual_instants}
VALID: Checks = {Kind.ID: _ids_are_valid, Kind.TEXT: _texts_are_valid, Kind.INSTANT: _instants_are_valid}
TRUSTED: Checks = {**VALID, Kind.TEXT: _texts_can_be_stored}
