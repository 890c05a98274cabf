"""Tests values in the forms that programs write. The fast path, the slow path and requests must treat each value in the
same way."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.datasets import DATASETS
from chalicelib.core.rules import check_object, check_objects
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.file_format import describe
from chalicelib.formats.pg_copy import text_format
from tests.fuzz.staged import staged

DEPARTMENTS, EMPLOYEES = DATASETS["departments"], DATASETS["hired_employees"]
HIDDEN = [chr(c) for c in (0xAD, 0x200B, 0x200F, 0x202A, 0x202E, 0x2060, 0x2064, 0x2066, 0x2069, 0xFEFF)]
SEEN = [
    chr(c) for c in (0x200A, 0x2010, 0x2029, 0x202F, 0x205F, 0x2065, 0x206A, 0xFEFE, 0xAE)
]  # not hidden, but beside hidden characters in Unicode


def loaded(data: bytes, *, fast: bool = True, dataset: str = "departments") -> tuple[list[Any], list[str]]:
    """Return the rows of a file, and the codes of its rejects."""
    declared = DATASETS[dataset]
    found = describe(declared, data, complete=True)
    tokens = Reader(declared, found.text(io.BytesIO(data)), found.layout, fast=fast)
    result = staged(declared, tokens, text_format(found.layout))
    return [row for row in result.rows if row is not None], [code for r in result.rejects for code in r.codes]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("1,A\n2,B\n", 2),
        ("1.0,A\n2.00,B\n", 2),
        ("1,A\r\r\n2,B\r\r\n", 2),
        ('1,"A"\r\r\n2,"B"\r\r\n', 2),
        ("1,A\r2,B\r", 2),
        ("1,A\r\r2,B", 2),
        ("1,A,,\n2,B, ,\t\n", 2),
        (",\n1,A\n , \n,,,\n2,B\n,", 2),
        ("id,department\n1,A\nid,department\n2,B\nID, Department \n", 2),
        ("\ufeffid,department\n1,A\n\ufeffid,department\n2,B\n", 2),
        ("\u202d1\u202c,\u200bA\u00ad\n\ufeff2,B\u2069\n", 2),
        ("1,A,\u00a0\n2,B,\u200b, \ufeff\n", 2),
        ("\ufeff\n1,A\n\u00a0\n\ufeff\r\n\u200b,\u3000 \n2,B\n\ufeff", 2),
        ("1,A,x\n2,B\n", 1),
    ],
)
def test_files_as_programs_write_them(data: str, rows: int) -> None:
    expected = [(1, "A"), (2, "B")][-rows:]
    for fast in (True, False):
        assert loaded(data.encode(), fast=fast) == (expected, [] if rows == 2 else ["wrong_field_count"])


@pytest.mark.parametrize(
    ("value", "code"),
    [
        *((error, "excel_error") for error in ("#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!")),
        ("\u200b #REF!\ufeff", "excel_error"),
        ("\u200b", "missing"),
        (" \u00ad\u2066\t", "missing"),
        ("a\0b", "nul"),
        ("x" * 10_001, "too_long"),
    ],
)
def test_an_invalid_value_is_rejected_in_files_and_requests(value: str, code: str) -> None:
    for fast in (True, False):
        assert loaded(f"1,{value}\n2,B\n".encode(), fast=fast) == ([(2, "B")], [code])
    row = {"id": 1, "department": value}
    for checked in (check_object(DEPARTMENTS, row), *check_objects(DEPARTMENTS, [row])):
        assert [problem.code for problem in checked.problems] == [code]


@pytest.mark.parametrize("text", ["2021-07-27 16:02:08 UTC", "2021-07-27T16:02 UTC", "2021-07-27T16:02:08.000Z"])
def test_a_time_with_its_zone_is_read_in_files_and_requests(text: str) -> None:
    for fast in (True, False):
        [[row], codes] = loaded(f"1,Ann,{text},1,1\n".encode(), fast=fast, dataset="hired_employees")
        assert (str(row[2])[:16], codes) == ("2021-07-27 16:02", [])
    row = {"id": 1, "name": "Ann", "datetime": text, "department_id": 1, "job_id": 1}
    assert check_object(EMPLOYEES, row).valid


@pytest.mark.parametrize("value", [12.0, "12.0", " 12.00 ", "12", 12])
def test_a_whole_number_is_an_id_in_a_batch_however_it_is_written(value: object) -> None:
    assert [c.values[0] for c in check_objects(DEPARTMENTS, [{"id": value, "department": "A"}])] == [12]


ENDS = st.text(st.sampled_from([*HIDDEN, *SEEN, " ", "\t", "a", "#", "é"]), max_size=4)


@given(ENDS, ENDS, st.sampled_from(["", "Ann", "12", "#REF!", "NULL", "é"]), st.booleans())
def test_both_paths_and_requests_agree_on_invisible_characters(
    before: str, after: str, middle: str, is_quoted: bool
) -> None:
    text = before + middle + after
    field = f'"{text}"' if is_quoted else text
    data = f"7,first\n1,{field}\n8,last\n".encode()
    fast = loaded(data)
    assert fast == loaded(data, fast=False)
    row = {"id": 1, "department": text}
    for checked in (check_object(DEPARTMENTS, row), *check_objects(DEPARTMENTS, [row])):
        found = [(1, checked.values[1])] if checked.valid else []
        assert fast == ([(7, "first"), *found, (8, "last")], [problem.code for problem in checked.problems])


@given(ENDS, ENDS, st.sampled_from(["12", "12.0", "012", "1 2"]))
def test_both_paths_and_requests_agree_on_ids_beside_invisible_characters(before: str, after: str, digits: str) -> None:
    text = before + digits + after
    data = f"7,first\n{text},A\n8,last\n".encode()
    assert loaded(data) == loaded(data, fast=False)
    row = {"id": text, "department": "A"}
    checked = check_object(DEPARTMENTS, row)
    assert checked == check_objects(DEPARTMENTS, [row])[0]
    assert loaded(data)[1] == [problem.code for problem in checked.problems]
