"""Tests that the format of a file is found from its beginning. The same rows are read from files of any dialect: with
any delimiter, encoding, line end and header."""

import gzip
import io
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.rules import check_fields
from chalicelib.formats.containers import HEAD
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.formats.csv_tokens import Clean, Record
from chalicelib.formats.file_format import Format, describe
from chalicelib.formats.pg_copy import LineFormat
from tests.dialects import Dialect, dialects, in_order, rows, written

DEPARTMENTS, EMPLOYEES = DATASETS["departments"], DATASETS["hired_employees"]
STAFF = [("1", "Ada Lund", "2021-07-27T16:02:08Z", "3", "4"), ("2", "Bo Ek", "2021-05-30T05:43:46Z", "5", "6")]


def described(dataset: Dataset, data: bytes, declared: Declarations = UNDECLARED) -> Format:
    return describe(dataset, data[: HEAD + 1], complete=len(data) <= HEAD, declared=declared)


def loaded(dataset: Dataset, data: bytes, declared: Declarations = UNDECLARED, *, fast: bool = True) -> Any:
    """Return the valid rows in the form for COPY, and the reasons of the rejects."""
    file_format = described(dataset, data, declared)
    lines, reasons = LineFormat(file_format.layout), []
    copied = b""
    for token in Reader(dataset, file_format.text(io.BytesIO(data)), file_format.layout, fast=fast):
        if isinstance(token, Clean):
            copied += token.for_copy()
        elif isinstance(token, Record):
            checked = check_fields(dataset, token.fields) if token.fields is not None else None
            if checked is not None and checked.valid:
                copied += lines.row(checked.values)
            else:
                reasons.append(token.problem.text if token.problem else [p.text for p in checked.problems])  # type: ignore[union-attr]
    delimiter = file_format.layout.delimiter.decode()
    sent = [_fields(line, delimiter) for line in copied.decode().split("\n")[:-1]]
    return [tuple(in_order(file_format.layout, fields)) for fields in sent], reasons


def _fields(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line in COPY's text format."""
    fields, escaped = [""], False
    for character in line:
        if escaped:
            fields[-1] += {"n": "\n", "r": "\r", "t": "\t"}.get(character, character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == delimiter:
            fields.append("")
        else:
            fields[-1] += character
    return fields


def expected(dataset: Dataset, sent: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [tuple(map(str, check_fields(dataset, [v.encode() for v in row]).values)) for row in sent]


def same_instants(found: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [tuple(value.replace("+00:00", "Z") for value in row) for row in found]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@given(st.data())
def test_the_same_rows_in_any_dialect_are_the_same_rows(dataset: Dataset, data: st.DataObject) -> None:
    sent = data.draw(rows(dataset))
    dialect = data.draw(dialects(dataset))
    file = written(dataset, sent, dialect)
    for fast in (True, False):
        found, reasons = loaded(dataset, file, dialect.declarations, fast=fast)
        assert (same_instants(found), reasons) == (same_instants(expected(dataset, sent)), [])


@given(st.data())
def test_records_are_found_again_in_any_dialect(data: st.DataObject) -> None:
    sent = data.draw(rows(EMPLOYEES))
    dialect = data.draw(dialects(EMPLOYEES))
    file = written(EMPLOYEES, sent, dialect)
    file_format = described(EMPLOYEES, file, dialect.declarations)
    records = [
        token
        for token in Reader(EMPLOYEES, file_format.text(io.BytesIO(file)), file_format.layout, fast=False)
        if isinstance(token, Record)
    ]
    seeker = Seeker(EMPLOYEES, file_format.text(io.BytesIO(file)), file_format.layout)
    for record in records:
        assert seeker.record(record.line) == record


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found_with_and_without_a_header(delimiter: str) -> None:
    for has_header in (False, True):
        file = written(EMPLOYEES, STAFF, Dialect(delimiter=delimiter, has_header=has_header))
        found = described(EMPLOYEES, file)
        assert (found.layout.delimiter.decode(), found.layout.has_header) == (delimiter, has_header)


def test_a_comma_that_fits_once_wins_over_other_delimiters() -> None:
    file = b"1,Sales; Marketing\n2;Legal\n3;Staff\n"
    assert loaded(DEPARTMENTS, file) == ([("1", "Sales; Marketing")], ["expected 2 fields, found 1"] * 2)


def test_a_record_that_the_first_bytes_cut_off_does_not_count() -> None:
    text = b'1;"' + b"x" * (HEAD - 6) + b"\n2,Sales\n"
    assert described(DEPARTMENTS, text + b'"\n3;Legal\n').layout.delimiter == b","  # no record is complete
    assert described(DEPARTMENTS, b"1;Sales\n2,L" + b"x" * HEAD).layout.delimiter == b";"


def test_columns_are_taken_by_name() -> None:
    columns = ("job_id", "note_1", "department_id", "name", "id", "datetime")
    file = written(EMPLOYEES, STAFF, Dialect(columns=columns, has_header=True, aliases={"datetime": "Hire Date"}))
    found = described(EMPLOYEES, file)
    assert found.shown() == {
        "type": "csv",
        "delimiter": ",",
        "encoding": "utf-8",
        "header": True,
        "ignored_columns": ["note_1"],
    }
    assert same_instants(loaded(EMPLOYEES, file)[0]) == STAFF


@pytest.mark.parametrize(
    ("dataset", "header", "fault"),
    [
        (
            "departments",
            "id,job",
            "the header names id, job: department is missing; this file must have id, department",
        ),
        ("departments", "id,ID,department", "the header names id, ID, department: id is named twice"),
        ("hired_employees", "id,name,job_id", "datetime and department_id are missing"),
        ("departments", "id,name,datetime,department_id,job_id", "department is missing, and id is named twice"),
    ],
)
def test_a_header_that_lacks_a_column_or_has_it_twice_fails_the_file(dataset: str, header: str, fault: str) -> None:
    with pytest.raises(LoadError) as raised:
        described(DATASETS[dataset], f"{header}\n1,2,3,4,5\n".encode())
    assert fault in raised.value.detail


def test_a_header_in_the_middle_is_skipped_if_it_is_equal_and_fails_the_file_if_not() -> None:
    assert loaded(DEPARTMENTS, b"id,department\n1,A\nID;Department\nid,department\n2,B\n")[0] == [
        ("1", "A"),
        ("2", "B"),
    ]
    assert loaded(DEPARTMENTS, b"1,A\nid,department\n2,B\n") == ([("1", "A"), ("2", "B")], [])
    with pytest.raises(LoadError, match="in another order than the rows above it: put the header in the first line"):
        loaded(DEPARTMENTS, b"id,department\n1,A\ndepartment,id\nB,2\n")


def test_a_first_record_that_cannot_be_data_gets_a_notice() -> None:
    found = described(DEPARTMENTS, b"Nummer;Bezeichnung\n1;Vertrieb\n")
    assert (found.layout.delimiter, found.layout.has_header) == (b";", False)
    assert found.notices == (
        "the first record is neither a header nor a row: columns were taken by their position, in the order id,"
        " department",
    )
    assert described(DEPARTMENTS, b"1;Vertrieb\n").notices == ()


def test_a_first_record_with_a_date_in_the_declared_order_may_be_data() -> None:
    data = b"x,Ann,27/07/2021,a,b\n1,Bo,27/07/2021,1,1\n"
    assert described(EMPLOYEES, data, Declarations.of({"dates": "dmy"})).notices == ()
    assert described(EMPLOYEES, data, Declarations.of({"dates": "mdy"})).notices != ()


@pytest.mark.parametrize("mark", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_sep_line_says_the_delimiter(mark: str) -> None:
    assert loaded(DEPARTMENTS, f"{mark}\r\nx;A\r\n2;B\r\n".encode()) == (
        [("2", "B")],
        [["id is not a whole number from 1 to 2147483647"]],
    )


def test_cr_ends_lines_if_lf_stands_only_inside_quotes() -> None:
    """Excel for Macintosh writes such files."""
    data = b'id;department\r1;"two\nlines"\r2;B\r'
    assert loaded(DEPARTMENTS, data) == ([("1", "two\nlines"), ("2", "B")], [])
    rows = [(str(i), f"the {i}th\nline") for i in range(1, 3500)]  # the first bytes end in the middle of a text
    file = b"".join(f'{row_id},"{text}"\r'.encode() for row_id, text in rows)
    for shift in range(30):
        assert loaded(DEPARTMENTS, b" " * shift + file) == (rows, [])


@pytest.mark.parametrize(
    "data", [b'1,"a\r\nb\r\n2,B\r\n', b'1,"a\rb"\n2,B', b'"1","a\r\nb"\r\n2,B\r', b"1,A\r2,B\r\n3,C"]
)
def test_cr_ends_no_line_if_lf_stands_outside_quotes(data: bytes) -> None:
    assert not described(DEPARTMENTS, data).coding.has_bare_cr
    assert not describe(DEPARTMENTS, data, complete=False).coding.has_bare_cr


def test_declarations_take_precedence_over_the_file() -> None:
    declared = Declarations.of({"delimiter": "pipe", "encoding": "windows-1252"})
    assert loaded(DEPARTMENTS, "1|Café;x,y\n".encode("cp1252"), declared)[0] == [("1", "Café;x,y")]
    assert loaded(DEPARTMENTS, b"1,A\n", declared)[0] == []


def test_bytes_that_mean_nothing_in_the_encoding_reject_their_record_alone() -> None:
    data = "1,A\n2,B\n".encode("utf-16")[:-4] + b"\x00\xd8" + "\n3,C\n".encode("utf-16-le")
    found, [reasons] = loaded(DEPARTMENTS, data)
    assert (found, reasons) == ([("1", "A"), ("3", "C")], ["department is not valid UTF-8"])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PK\x03\x04" + b"\0" * 30 + b"departments.csv", "a zip archive"),
        (b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml", "a Word document"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file"),
        (b"\n<!DOCTYPE html><html>", "an HTML page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>', "an XML file"),
        (b'[{"id": 1, "department": "A"}]', "JSON"),
        (b'{"data": []}', "JSON"),
        (b'[1, "A"]\n[2, "B"]\n', "JSON"),
        (b'["id", "department"]\n', "JSON"),
        (b"<meta charset=utf-8><table>", "an HTML page"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "an XML file"),
        (b"<rows>\n  <row id='1'/>", "an XML file"),
        (b'<Workbook xmlns="urn:x">', "an XML file"),
        (b"departments.csv".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 248 + b"1,A\n2,B\n", "a tar archive"),
        (gzip.compress(b"departments.csv".ljust(257, b"\0") + b"ustar  \0" + b"\0" * 248, mtime=0), "a tar archive"),
        ("1,A\n".encode("utf-32"), "text in UTF-32"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_name(data: bytes, kind: str) -> None:
    with pytest.raises(LoadError) as raised:
        described(DEPARTMENTS, data)
    assert raised.value.detail.startswith(f"the file is {kind}")


@pytest.mark.parametrize(
    "data",
    [
        b"PAR1,A\n1,B\n",
        b"ORC,A\n",
        b"[1],A\n",
        b"{x},A\n",
        b"<1>,A\n",
        b"<none>,<x>\n",
        b"x" * 257 + b"ustar,A\n",
        b"",
        b"\n\n",
    ],
)
def test_text_that_only_looks_like_another_kind_is_read(data: bytes) -> None:
    described(DEPARTMENTS, data)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_understood_or_refused(data: bytes, complete: bool) -> None:
    for dataset in DATASETS.values():
        with suppress(LoadError):
            describe(dataset, data, complete=complete)
