"""Tests that columns of every kind are read from text files and workbooks."""

import io
from collections.abc import Sequence
from datetime import date, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.template_files import csv_template, xlsx_template
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import check_fields
from chalicelib.core.streams import Peekable
from chalicelib.formats.csv_patterns import clean_lines
from chalicelib.formats.csv_tokens import Clean, Record
from chalicelib.formats.file_format import describe
from chalicelib.ingest.file_reading import FileReading
from tests import dialects
from tests.kinds import SAMPLES, texts
from tests.workbooks import table

PRICES = Dataset(
    "prices",
    "price",
    (
        Column("id", Kind.ID),
        Column("label", Kind.TEXT),
        Column("price", Kind.decimal(12, 2)),
        Column("sold", Kind.WHOLE_NUMBER),
        Column("active", Kind.BOOLEAN),
        Column("since", Kind.DATE),
    ),
)
ROW = (1, "Job", "12.5", 7, True, "2021-07-27")


def read(dataset: Dataset, data: bytes, declared: Declarations = UNDECLARED) -> list[Any]:
    """Return the checked values of each row, or the reasons of a reject. A clean line is checked, too."""
    file, found = FileReading.of_file(dataset, Peekable(io.BytesIO(data)), declared), list[Any]()
    layout = file.file_format.layout
    for token in file.tokens(io.BytesIO(data)):
        records: list[Sequence[bytes | None]] = []
        if isinstance(token, Clean):
            lines = token.for_copy().splitlines()
            records = [layout.values(dataset, line.split(layout.delimiter)) for line in lines]
        elif isinstance(token, Record):
            assert token.fields is not None, token.problem
            records = [token.fields]
        for fields in records:
            checked = check_fields(dataset, fields, declared.dates)
            found.append(checked.values if checked.valid else [problem.text for problem in checked.problems])
    return found


# --- text


@pytest.mark.parametrize(
    "line", [b"1,Job,12.5,7,true,2021-07-27", b"1;Job;12.5;7;t;20210727", b"1\tJob\t12.5\t7\t1\t2021-W30-2"]
)
def test_a_first_record_of_values_is_a_row(line: bytes) -> None:
    """The text `Job` is also the name of a column of another dataset."""
    assert not describe(PRICES, line, complete=True).layout.has_header
    assert read(PRICES, line) == [ROW]


@pytest.mark.parametrize(
    "line", [b"x,Ann,12.50,a,b,c", b"x,Ann,a,b,yes,c", b"x,Ann,a,b,c,2021-07-27", b"x,Ann,.5,a,b,c"]
)
def test_a_first_record_without_an_id_may_be_a_row_if_it_holds_a_value_of_a_column(line: bytes) -> None:
    assert describe(PRICES, line, complete=True).notices == ()


@pytest.mark.parametrize("line", [b"Nr,Text,Preis,Menge,Aktiv,Seit", b"no,yes,12e3,-,on,27/07/2021"])
def test_a_first_record_that_holds_no_value_gets_a_notice(line: bytes) -> None:
    [notice] = describe(PRICES, line, complete=True).notices
    assert "neither a header nor a row" in notice


def test_columns_of_every_kind_are_taken_by_their_names() -> None:
    for order in list(permutations(range(6)))[::67]:
        fields = ["1", "Job", "12.5", "7", "yes", "2021-07-27"]
        lines = [",".join(str(row[at]) for at in order) for row in (PRICES.column_names, fields)]
        assert read(PRICES, "\n".join(lines).encode()) == [ROW]


def test_whole_numbers_with_decimals_are_clean() -> None:
    data = b"1,a,12.00,7.0,true,2021-07-27\n2.0,b,5.0,-8.00,F,2021-07-28\n"
    file = FileReading.of_file(PRICES, Peekable(io.BytesIO(data)))
    [clean] = file.tokens(io.BytesIO(data))
    assert isinstance(clean, Clean)
    assert clean.for_copy() == b"1,a,12.00,7,true,2021-07-27\n2,b,5.0,-8,F,2021-07-28\n"


def test_declared_dates_are_read() -> None:
    data = b"1,Job,12.5,7,y,27/07/2021\n2,Job,12.5,7,y,07/27/2021\n"
    first, second = read(PRICES, data, Declarations.of({"dates": "dmy"}))
    assert (first, second) == (
        ROW,
        ["since is not a date: write 27/07/2021, as dates=dmy is declared, or 2021-07-27"],
    )


@given(data=st.data())
def test_valid_rows_of_every_kind_are_read_from_a_file_in_any_dialect(data: st.DataObject) -> None:
    rows = data.draw(dialects.rows(SAMPLES))
    dialect = data.draw(dialects.dialects(SAMPLES, dialects.FOUND))
    expected = [check_fields(SAMPLES, [value.encode() for value in row]).values for row in rows]
    assert read(SAMPLES, dialects.written(SAMPLES, rows, dialect)) == expected


@given(data=st.data())
def test_values_that_the_rules_refuse_are_never_clean(data: st.DataObject) -> None:
    fields = [
        data.draw(texts(column.kind).filter(lambda text: not set(text) & {'"', "\t"})) for column in PRICES.columns
    ]
    line = "\t".join(field.replace("\n", " ").replace("\r", " ") for field in fields).encode() + b"\n"
    layout = describe(PRICES, b"1\ta\t1\t1\t1\t2021-07-27\n", complete=True).layout
    if clean_lines(PRICES, layout).fullmatch(line):
        assert check_fields(PRICES, line[:-1].split(b"\t")).valid


# --- workbooks


@pytest.mark.parametrize(
    ("price", "read_as"),
    [
        (0.1 + 0.2, "0.3"),
        (19.99 * 100, "1999"),
        (1.1 * 1.1, "1.21"),
        (1.005, "price has more than 2 digits after the point"),
        (12.5, "12.5"),
        (-0.07, "-0.07"),
        (1e-5, "price has more than 2 digits after the point"),
        (9999999999.99, "9999999999.99"),
        (1234567.005 * 2, "2469134.01"),
        ("12.50", "12.50"),
        (1e15, "price has more than 10 digits before the point"),
    ],
)
def test_a_decimal_of_a_cell_has_the_digits_that_excel_shows(price: Any, read_as: str) -> None:
    [row] = read(PRICES, table([[1, "a", price, 7, True, date(2021, 7, 27)]]))
    assert (row[2] if isinstance(row, tuple) else row[0]) == read_as


@pytest.mark.parametrize("small", [1e-5, 1.5e-7, 123e-12])
def test_a_small_number_of_a_cell_has_no_exponent(small: float) -> None:
    rates = Dataset("rates", "rate", (Column("id", Kind.ID), Column("rate", Kind.decimal(38, 20))))
    [(_, found)] = read(rates, table([[1, small]]))
    assert "e" not in found
    assert float(found) == small


def test_cells_of_every_kind_are_read() -> None:
    rows: list[list[object]] = [
        ["id", "label", "price", "sold", "active", "since"],
        [1, "Job", 12.5, 7, True, date(2021, 7, 27)],
        [2, "Job", "12.5", "7.0", "no", datetime(2021, 7, 27)],
        [3, "Job", 12, -7.0, 0, "20210727"],
        [4, "Job", 12, 123456789012345, False, datetime(2021, 7, 27, 16, 2)],
        [5, "Job", True, 1.5, 2, 44404],
    ]
    assert read(PRICES, table(rows)) == [
        ROW,
        (2, "Job", "12.5", 7, False, "2021-07-27"),
        (3, "Job", "12", -7, False, "2021-07-27"),
        ["since is not a date: write 2021-07-27, without a time"],
        [
            "price is not a decimal number: write digits and a point, as in 1234.5, without other characters",
            "sold is not a whole number: write digits only, as in 12 or -12",
            "active is neither true nor false: write true or false, yes or no, 1 or 0",
            "since is not a date: write 2021-07-27, without a time",
        ],
    ]


# --- templates


@pytest.mark.parametrize("dataset", [PRICES, SAMPLES], ids=lambda dataset: dataset.name)
def test_the_templates_of_a_dataset_can_be_loaded_unchanged(dataset: Dataset) -> None:
    [from_text], [from_workbook] = read(dataset, csv_template(dataset).encode()), read(dataset, xlsx_template(dataset))
    examples = [9001 if column.kind is Kind.ID else column.kind.check(column.example) for column in dataset.columns]
    stored = [column.kind.stored(value) for column, value in zip(dataset.columns, examples, strict=True)]
    for row in (from_text, from_workbook):
        assert isinstance(row, tuple), row
        assert [column.kind.stored(value) for column, value in zip(dataset.columns, row, strict=True)] == stored


def test_a_negative_example_and_a_boolean_are_written_as_a_load_reads_them() -> None:
    dataset = Dataset(
        "t",
        "t",
        (
            Column("id", Kind.ID),
            Column("change", Kind.decimal(5, 2), example="-1.50"),
            Column("active", Kind.BOOLEAN, example="yes"),
        ),
    )
    assert csv_template(dataset) == '"id","change","active"\r\n9001,-1.50,"true"\r\n'
    assert read(dataset, csv_template(dataset).encode()) == [(9001, "-1.50", True)]
    assert read(dataset, xlsx_template(dataset)) == [(9001, "-1.5", True)]
