"""Compares every parser of date-times in the product with an independent parser that shares no code with them."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core import datetimes, json_patterns
from chalicelib.core.datasets import DATASETS
from chalicelib.core.reasons import NOT_A_DATETIME
from chalicelib.core.rules import check_object, check_objects
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.pg_copy import text_format
from tests.datetimes import ANY, EDGES, REFUSED, WRITTEN, microseconds
from tests.fuzz.staged import staged

EMPLOYEES = DATASETS["hired_employees"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def since_1970(at: object) -> int:
    """Return the microseconds since 1970 of a value that is meant for Postgres. Python parses a text in the same way as
    Postgres; tests/integration/core/test_datetimes.py proves this."""
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


def by_grammar(text: str) -> int | None:
    found: list[int | None] = []
    for read in (datetimes.utc, datetimes.by_grammar):
        try:
            found.append(since_1970(read(text)))
        except datetimes.NotADateTime:
            found.append(None)
    assert found[0] == found[1], "the faster parser gives another result"
    return found[0]


def by_file(text: str, *, fast: bool) -> int | None:
    field = '"' + text.replace('"', '""') + '"'
    line = f"1,Ann,{field},1,1\n".encode()
    [row, *_] = staged(
        EMPLOYEES, Reader(EMPLOYEES, io.BytesIO(line), fast=fast), text_format(CsvLayout.by_position(EMPLOYEES))
    ).rows
    return None if row is None else since_1970(row[2])


def by_request(text: str, *others: str) -> int | None:
    """Parse `text` in the first row of a batch. The other rows have the texts `others`."""
    row = {"id": 1, "name": "Ann", "datetime": text, "department_id": 1, "job_id": 1}
    [checked, *_] = check_objects(EMPLOYEES, [row, *({**row, "datetime": other} for other in others)])
    return since_1970(checked.values[2]) if checked.valid else None


@given(WRITTEN)
@example("2021-07-27T16:02:08Z")
def test_every_reader_accepts_the_date_times_of_the_grammar(text: str) -> None:
    expected = microseconds(text)
    assert by_grammar(text) == expected
    assert by_file(text, fast=True) == by_file(text, fast=False) == expected
    assert by_request(text) == by_request(text, "2021-07-27T16:02:08Z") == by_request(text, "2021-07-27") == expected


@given(ANY)
def test_all_readers_agree_on_texts_that_are_nearly_date_times(text: str) -> None:
    assert by_grammar(text) == microseconds(text)
    expected = microseconds(text.strip())  # white space around a value is dropped
    assert by_file(text, fast=True) == by_file(text, fast=False) == expected
    assert by_request(text) == by_request(text, "2021-07-27T16:02:08Z") == by_request(text, "2021-07-27") == expected


@given(st.datetimes(), st.sampled_from(["", "Z", "+05:30", "-23:59"]), st.sampled_from("T "))
def test_python_and_the_second_reader_agree_if_both_accept_a_text(at: datetime, zone: str, join: str) -> None:
    text = at.isoformat(join) + zone
    try:
        expected = since_1970(datetime.fromisoformat(text).astimezone(UTC) if zone else at)
    except OverflowError:
        expected = None
    assert microseconds(text) == expected


@pytest.mark.parametrize("text", EDGES)
def test_every_form_is_accepted(text: str) -> None:
    assert microseconds(text) is not None
    assert by_grammar(text) == by_file(text, fast=True) == by_request(text) == microseconds(text)


@pytest.mark.parametrize("text", REFUSED)
def test_texts_that_could_be_misread_are_refused(text: str) -> None:
    assert microseconds(text) is None
    assert by_grammar(text) is by_file(text, fast=True) is by_file(text, fast=False) is by_request(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("20211205213214Z", f"datetime {NOT_A_DATETIME}"),
        ("9999-12-31T23:59:59-00:01", "datetime is outside the years 1 to 9999"),
    ],
)
def test_a_bad_date_time_is_rejected_with_a_helpful_reason(text: str, reason: str) -> None:
    row = {"id": 1, "name": "Ann", "datetime": text, "department_id": 1, "job_id": 1}
    assert [problem.text for problem in check_object(EMPLOYEES, row).problems] == [reason]


@given(ANY)
def test_the_published_pattern_matches_every_date_time_and_little_else(text: str) -> None:
    """The pattern describes only the form of a date-time. The rules refuse a few texts that match the pattern: their
    date does not exist, or is outside the years 1 to 9999."""
    import re

    shaped = re.fullmatch(json_patterns.INSTANT, text, re.ASCII) is not None
    assert shaped == (datetimes.GRAMMAR.fullmatch(text) is not None and not _impossible(text))
    assert shaped or microseconds(text) is None


def _impossible(text: str) -> bool:
    """Return whether the number of a month, a day or a week is impossible, such as the month 13. The pattern does not
    match such a number. The grammar matches it, and the calendar refuses it."""
    found = datetimes.GRAMMAR.fullmatch(text)
    assert found is not None
    month, day, week = (found[name] or found[f"b_{name}"] for name in ("month", "day", "week"))
    if week:
        return not 1 <= int(week) <= 53
    return not (1 <= int(month) <= 12 and 1 <= int(day) <= 31)
