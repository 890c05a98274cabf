"""Tests the CSV for spreadsheets. The file has all rows, and no spreadsheet takes a text in the file for a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.formats.csv_export import csv_text

HEADER = ["name", "hired"]
FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x"]
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(FORMULAS)


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert read(csv_text([text], [[text]])) == [["'" + text], ["'" + text]]


def test_text_is_quoted_and_numbers_are_not() -> None:
    assert csv_text(HEADER, [["Ann;=1", -5], ['the "best"', 1.5], ["1,5", None]]) == (
        '"name","hired"\r\n"Ann;=1",-5\r\n"the ""best""",1.5\r\n"1,5",""\r\n'
    )


@given(st.lists(st.tuples(texts, st.integers())))
def test_all_rows_are_kept_and_no_cell_is_a_formula(rows: list[tuple[str, int]]) -> None:
    header, *found = read(csv_text(HEADER, rows))
    assert header == HEADER
    assert [int(number) for _, number in found] == [number for _, number in rows]
    for (text, _), (cell, _) in zip(rows, found, strict=True):
        assert cell in (text, "'" + text)
        assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
        assert cell == text or text.startswith(tuple("=+-@\t\r\n＝＋－＠"))
