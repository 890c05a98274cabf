"""Tests the rules that decide whether a record becomes a row or is rejected."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import remembered
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.table import Kind
from chalicelib.core.reasons import NOT_A_DATETIME
from chalicelib.core.rules import (
    _rules_of_files,
    all_stored_are_valid,
    check_fields,
    check_object,
    check_objects,
    check_stored,
)
from chalicelib.core.texts import INVISIBLE
from chalicelib.core.value_limits import MAX_ID, MAX_TEXT
from tests.other.declaration import OTHERS
from tests.values import sent as sent_texts

DEPARTMENTS, EMPLOYEES = DATASETS["departments"], DATASETS["hired_employees"]
GOOD = {"id": 7, "name": "Ann Lee", "datetime": "2021-07-27T16:02:08Z", "department_id": 2, "job_id": 3}


def problems(**changes: object) -> list[str]:
    return [problem.text for problem in check_object(EMPLOYEES, {**GOOD, **changes}).problems]


def stored(**changes: object) -> dict[str, object]:
    checked = check_object(EMPLOYEES, {**GOOD, **changes})
    assert checked.valid, checked.problems
    return dict(zip(EMPLOYEES.column_names, checked.values, strict=True))


@pytest.mark.parametrize("value", [1, "1", "  1\t", "0001", "0" * 5000 + "1"])
def test_ids_are_decimal_digits(value: object) -> None:
    assert stored(id=value)["id"] == 1


def test_the_largest_id_fits() -> None:
    assert stored(id=MAX_ID)["id"] == stored(id=str(MAX_ID))["id"] == MAX_ID


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, MAX_ID + 1, str(MAX_ID + 1), "0", "1.5", 1.5, "1.", ".0", "0.0", float("inf"), "1e3", "+1", "1_000"),
        *("١", "²", True, [1], {}, "x"),
    ],
)
def test_other_values_are_not_ids(value: object) -> None:
    assert problems(id=value) == [f"id is not a whole number from 1 to {MAX_ID}"]


@pytest.mark.parametrize("column", EMPLOYEES.column_names)
@pytest.mark.parametrize("value", [None, "", " \t\u00a0\u2003\u3000"])
def test_every_column_is_mandatory(column: str, value: object) -> None:
    assert problems(**{column: value}) == [f"{column} is missing"]


def test_only_a_missing_id_may_be_left_to_the_caller() -> None:
    row = {**GOOD, "id": None}
    checked = check_object(EMPLOYEES, row, id_optional=True)
    assert checked.valid
    assert checked.values[0] is None
    assert not check_object(EMPLOYEES, {**row, "id": "x"}, id_optional=True).valid


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2021-07-27T16:02:08Z", "2021-07-27T16:02:08+00:00"),
        ("2021-07-27T16:02:08", "2021-07-27T16:02:08+00:00"),
        ("2021-07-27T16:02:08+05:30", "2021-07-27T10:32:08+00:00"),
        ("2021-07-27", "2021-07-27T00:00:00+00:00"),
        ("20210727T160208Z", "2021-07-27T16:02:08+00:00"),
        ("2021-W30-2T16:02", "2021-07-27T16:02:00+00:00"),
        ("2020-02-29 23:59:59.123456", "2020-02-29T23:59:59.123456+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_instants_are_stored_in_utc(text: str, utc: str) -> None:
    assert stored(datetime=text)["datetime"] == utc


@pytest.mark.parametrize("value", ["yesterday", "2021-02-29T00:00:00Z", "2021-07-27T25:00:00Z", 20210727, "16:02:08"])
def test_other_values_are_not_instants(value: object) -> None:
    assert problems(datetime=value) == [f"datetime {NOT_A_DATETIME}"]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_an_instant_must_lie_in_the_years_1_to_9999_in_utc(text: str) -> None:
    assert problems(datetime=text) == ["datetime is outside the years 1 to 9999"]


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), None])))
def test_every_instant_is_stored_exactly(instant: datetime) -> None:
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    try:
        expected = aware.astimezone(UTC).isoformat()
    except OverflowError:
        assert problems(datetime=instant.isoformat()) == ["datetime is outside the years 1 to 9999"]
    else:
        assert stored(datetime=instant.isoformat())["datetime"] == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50))
def test_any_text_is_stored_without_surrounding_white_space_and_invisible_characters(text: str) -> None:
    kept = re.sub(rf"^[\s\x1c-\x1f\x85{INVISIBLE}]+|[\s\x1c-\x1f\x85{INVISIBLE}]+$", "", text)
    if kept:
        assert stored(name=text)["name"] == kept
    else:
        assert problems(name=text) == ["name is missing"]


@pytest.mark.parametrize("value", ["12.0", " 12.00\u200b", "\ufeff12", "\u202d12\u202c", 12.0])
def test_whole_numbers_are_ids_however_programs_write_them(value: object) -> None:
    assert stored(id=value)["id"] == 12


@pytest.mark.parametrize("value", ["#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"])
def test_an_error_of_excel_is_not_a_text(value: str) -> None:
    assert problems(name=value) == ["name is an error of Excel: correct the formula in its cell"]


@pytest.mark.parametrize("value", ["# 7", "#REF", "NULL", "None", "NaN"])
def test_words_that_may_be_names_are_texts(value: str) -> None:
    assert stored(name=value)["name"] == value


def test_text_has_a_length_limit() -> None:
    assert stored(name=" " + "é" * MAX_TEXT + " ")["name"] == "é" * MAX_TEXT
    assert problems(name="é" * (MAX_TEXT + 1)) == ["name is longer than 10000 characters"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\0b", "name contains a NUL character"),
        ("a\ud800b", "name contains half of a surrogate pair"),
        (5, "name is not text"),
        (True, "name is not text"),
        (["Ann"], "name is not text"),
    ],
)
def test_invalid_texts_are_rejected(value: object, reason: str) -> None:
    assert problems(name=value) == [reason]


def test_all_reasons_are_reported() -> None:
    row = {"id": "x", "name": "", "datetime": "never", "department_id": 0, "colour": "red"}
    assert [(p.field, p.text) for p in check_object(EMPLOYEES, row).problems] == [
        ("id", f"id is not a whole number from 1 to {MAX_ID}"),
        ("name", "name is missing"),
        ("datetime", f"datetime {NOT_A_DATETIME}"),
        ("department_id", f"department_id is not a whole number from 1 to {MAX_ID}"),
        ("job_id", "job_id is missing"),
        (None, "'colour' is not a column"),
    ]


@pytest.mark.parametrize("row", [None, 1, "x", [1, "Sales"], True])
def test_a_row_must_be_an_object(row: object) -> None:
    assert [p.text for p in check_object(DEPARTMENTS, row).problems] == ["the row is not an object"]


def test_fields_are_decoded_one_by_one() -> None:
    checked = check_fields(DEPARTMENTS, (b"\xff", b"Sales\xe9"))
    assert [p.text for p in checked.problems] == ["id is not valid UTF-8", "department is not valid UTF-8"]


STORED_TEXT = st.text(st.characters(codec=None), max_size=4) | st.sampled_from(
    [
        "",
        " x",
        "x\u3000",
        "a b",
        "\x1c",
        "a\0b",
        "\u200bx",
        "x\ufeff",
        "a\u00adb",
        "#REF!",
        "#N/A",
        "# 7",
        "\u2066#REF!",
    ]
)
STORED = st.tuples(
    st.sampled_from([1, 7, MAX_ID, MAX_ID + 1, 0, -1]) | st.integers(1, 99),
    STORED_TEXT,
    st.sampled_from(
        [-62_135_596_800_000_000, 253_402_300_799_999_999, 253_402_300_800_000_000, -(2**63), 2**63 - 1, 0]
    ),
    st.integers(1, 9),
    st.integers(1, 9),
)


@given(st.lists(STORED, min_size=1, max_size=6))
def test_whole_columns_are_valid_if_and_only_if_all_their_rows_are(rows: list[tuple[int, str, int, int, int]]) -> None:
    """`all_stored_are_valid` is true if every row is valid and is stored without a change."""

    def is_stored_unchanged(row: tuple[int, str, int, int, int]) -> bool:
        checked = check_stored(EMPLOYEES, row)
        return checked.valid and checked.values[1] == row[1]

    assert all_stored_are_valid(EMPLOYEES, tuple(zip(*rows, strict=True))) == all(map(is_stored_unchanged, rows))


@pytest.mark.parametrize("text", ["\u200bx", "x\ufeff", "#REF!"])
def test_texts_that_an_earlier_release_has_stored_stay_valid_in_our_own_backups(text: str) -> None:
    columns = ((1, 2), ("a", text))
    assert all_stored_are_valid(DEPARTMENTS, columns, is_trusted=True)
    assert not all_stored_are_valid(DEPARTMENTS, columns)


def test_the_length_limit_also_holds_for_whole_columns() -> None:
    departments = DATASETS["departments"]
    assert all_stored_are_valid(departments, ((1, 2), ("a" * MAX_TEXT, "b")))
    assert not all_stored_are_valid(departments, ((1, 2), ("a" * (MAX_TEXT + 1), "b")))


SENT = st.fixed_dictionaries(
    {
        "id": st.sampled_from([1, 7, MAX_ID, 0, "5", True, 1.5]) | st.integers(1, 9),
        "name": STORED_TEXT | st.sampled_from(["Ann", 5, None]),
        "datetime": st.sampled_from(
            ["2021-07-27T16:02:08Z", "2021-07-27 16:02:08", "2021-02-30T00:00:00", "2021-07-27", 5]
        ),
        "department_id": st.integers(1, 3),
        "job_id": st.integers(1, 3),
    },
    optional={"colour": st.just("red")},
)


@given(st.lists(SENT, min_size=1, max_size=4), st.sampled_from([None, "id", "name"]))
def test_rows_get_the_same_result_in_a_batch_as_alone(rows: list[dict[str, object]], left_out: str | None) -> None:
    if left_out:
        rows[0].pop(left_out)
    alone = [check_object(EMPLOYEES, row, id_optional=True) for row in rows]
    together = check_objects(EMPLOYEES, rows)
    assert [checked.problems for checked in together] == [checked.problems for checked in alone]
    for one, other in zip(together, alone, strict=True):
        if one.valid:
            assert (*one.values[:2], *one.values[3:]) == (*other.values[:2], *other.values[3:])
            assert at_utc(one.values[2]) == at_utc(other.values[2])


def sent(column: Column) -> st.SearchStrategy[object]:
    values = sent_texts(column.kind) | st.just(column.example)
    return values | st.none() if column.optional else values


@pytest.mark.parametrize("dataset", OTHERS, ids=lambda d: d.name)
@given(data=st.data())
def test_rows_that_leave_columns_out_get_the_same_result_in_a_batch_as_alone(
    dataset: Dataset, data: st.DataObject
) -> None:
    absent = data.draw(st.sets(st.sampled_from([c.name for c in dataset.columns if c.may_be_absent])))
    columns = {c.name: sent(c) for c in dataset.columns if c.name not in absent}
    rows = data.draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=3))
    if data.draw(st.booleans()):
        rows[-1].pop(data.draw(st.sampled_from(dataset.column_names)), None)
    alone = [check_object(dataset, row, id_optional=True) for row in rows]
    together = check_objects(dataset, rows)
    assert [(c.problems, c.left_out) for c in together] == [(c.problems, c.left_out) for c in alone]
    if not any(checked.problems for checked in alone):
        for position, column in enumerate(dataset.columns):
            one, other = ([comparable(column, checked.values[position]) for checked in w] for w in (together, alone))
            assert one == other, column.name


def comparable(column: Column, value: object) -> object:
    """Return a checked value in a form that is the same for all spellings of an instant."""
    return at_utc(value) if column.kind is Kind.INSTANT and value is not None else value


def at_utc(value: object) -> datetime:
    at = datetime.fromisoformat(str(value))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# --- Faulty fields that are remembered

FIELDS = st.sampled_from([None, b"", b" ", b"7", b"x", b"soon", b"\xff", b"\0", b"1.5", b"2021-07-27T16:02:08Z"])
FIELDS |= st.binary(max_size=remembered.LONGEST + 2)


@given(st.lists(st.tuples(*[FIELDS] * len(EMPLOYEES.columns)), max_size=6), st.sampled_from(["iso", "dmy", "mdy"]))
def test_a_field_is_checked_alike_however_often_it_comes(rows: list[tuple[bytes | None, ...]], dates: Dates) -> None:
    """A row of a single faulty field in a fresh memory must get the same result as among many others."""
    for row in [*rows, *rows]:
        remembered = check_fields(EMPLOYEES, row, dates)
        _rules_of_files.cache_clear()
        assert check_fields(EMPLOYEES, row, dates) == remembered
        for before in rows:
            check_fields(EMPLOYEES, before, dates)


def test_few_faulty_fields_are_remembered() -> None:
    _rules_of_files.cache_clear()
    for at in range(2 * remembered.MOST + 5):
        row = (b"x%d" % at, b"", b"soon", b"1", b"y" * (remembered.LONGEST + 1))
        first = check_fields(EMPLOYEES, row)
        assert check_fields(EMPLOYEES, row) == first
        assert [p.field for p in first.problems] == ["id", "name", "datetime", "job_id"]
    sizes = [len(faults) for _, faults in _rules_of_files(EMPLOYEES, "iso")]
    assert sizes == [5, 1, 1, 0, 0]
