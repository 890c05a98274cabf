"""Tests the check of rows of Avro files: files of other programs, and files of our own restore points."""

import io
import struct

import pytest

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import all_stored_are_valid, check_stored
from chalicelib.formats import avro
from chalicelib.formats.avro_rows import AvroRows, StoredRows
from chalicelib.formats.csv_tokens import Record, Token

EMPLOYEES, JOBS = DATASETS["hired_employees"], DATASETS["jobs"]
NOTES = Dataset("notes", "note", (Column("id", Kind.ID), Column("note", Kind.TEXT, optional=True)))
ODD = ["#REF!", "#N/A", "\u200b", "\u200bClerk", "Clerk\u00ad", "Clerk\ufeff", " Clerk", "", "x" * 10_001]


def tokens(rows: list[tuple[int, str]], *, is_trusted: bool, dataset: Dataset = JOBS) -> list[Token]:
    file = io.BytesIO()
    avro.write(dataset, [tuple(zip(*rows, strict=True))], file)
    return list(AvroRows(dataset, io.BytesIO(file.getvalue()), is_trusted=is_trusted))


@pytest.mark.parametrize("text", ODD)
def test_a_text_that_the_rules_change_or_reject_is_no_valid_column_of_others(text: str) -> None:
    for texts in ((text,), ("Clerk", text), (text, "Clerk")):
        columns = (tuple(range(1, len(texts) + 1)), texts)
        assert not all_stored_are_valid(JOBS, columns)
        assert all_stored_are_valid(JOBS, columns, is_trusted=True)


@pytest.mark.parametrize("text", ["", " \t", "\u200b", "\u00a0"])
def test_a_text_of_others_of_which_nothing_is_left_is_null_in_an_optional_column(text: str) -> None:
    [run] = tokens([(7, text)], is_trusted=False, dataset=NOTES)
    assert run.for_copy() == struct.pack("!hiii", 2, 4, 7, -1)
    [kept] = tokens([(7, text)], is_trusted=True, dataset=NOTES)
    assert kept.for_copy() == struct.pack("!hiii", 2, 4, 7, len(text.encode())) + text.encode()


def test_texts_that_only_look_odd_are_valid() -> None:
    assert all_stored_are_valid(JOBS, ((1, 2, 3), ("# of REF!", "a\u200bb", "#REF! twice")))


def test_a_trusted_batch_of_odd_texts_is_one_run() -> None:
    rows = list(enumerate(ODD, 1))
    [run] = tokens(rows, is_trusted=True)
    assert isinstance(run, StoredRows)
    assert run.rows == rows


def test_a_trusted_row_with_a_wrong_key_is_rejected_and_the_others_are_kept_as_they_are() -> None:
    *kept, rejected = tokens([*enumerate(ODD, 1), (0, "#REF!")], is_trusted=True)
    assert [(token.rows if isinstance(token, StoredRows) else None) for token in kept] == [
        [row] for row in enumerate(ODD, 1)
    ]
    assert [token.for_copy() for token in kept] == [
        tokens([row], is_trusted=True)[0].for_copy() for row in enumerate(ODD, 1)
    ]
    assert isinstance(rejected, Record)
    assert rejected.checked is not None
    assert [problem.text for problem in rejected.checked.problems] == ["id is not a whole number from 1 to 2147483647"]


@pytest.mark.parametrize("text", ["a\0b", "\udcff"])
def test_a_trusted_text_that_postgres_cannot_hold_is_rejected(text: str) -> None:
    assert not all_stored_are_valid(JOBS, ((1,), (text,)), is_trusted=True)


@pytest.mark.parametrize("microseconds", [2**62, -(2**62), 253_402_300_800_000_000, -62_135_596_800_000_001])
@pytest.mark.parametrize("is_trusted", [False, True])
def test_an_instant_outside_the_years_1_to_9999_is_rejected_as_such(microseconds: int, is_trusted: bool) -> None:
    [problem] = check_stored(EMPLOYEES, (1, "Ann", microseconds, 1, 1), is_trusted=is_trusted).problems
    assert (problem.code, problem.text) == ("out_of_range", "datetime is outside the years 1 to 9999")
