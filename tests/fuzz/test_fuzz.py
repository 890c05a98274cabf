"""Runs a short form of `make fuzz`, and tests that the checks of `make fuzz` notice errors."""

import io
from random import Random

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.datasets import DATASETS
from chalicelib.formats.avro import schema
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.pg_copy import text_format
from tests.fuzz.campaign import run
from tests.fuzz.check import Unaccounted, check_avro, check_csv, staged
from tests.fuzz.generate import TOKENS, avro_files, mutated
from tests.fuzz.oracle import csv_records

EMPLOYEES, JOBS = DATASETS["hired_employees"], DATASETS["jobs"]


def test_thousands_of_inputs_from_a_seed_are_accounted_for() -> None:
    inputs, records, refused, crashes, unaccounted = run("short", 5000)
    assert (inputs, crashes, unaccounted) == (5000, 0, 0)
    assert records > 5000
    assert 0 < refused < 500


@given(st.binary(max_size=300), st.sampled_from([1, 3, 64]))
def test_any_bytes_are_accounted_for(data: bytes, drip: int) -> None:
    check_csv(JOBS, data, drip)


@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=8), max_size=40).map(b"".join), st.sampled_from([1, 64]))
def test_mixtures_of_difficult_bytes_are_accounted_for(data: bytes, drip: int) -> None:
    check_csv(EMPLOYEES, data, drip)


@given(st.sampled_from(avro_files()), st.integers(0, 2**32))
def test_damaged_avro_files_are_refused_or_read_as_the_oracle_reads_them(file: tuple[object, bytes], seed: int) -> None:
    dataset, data = file
    check_avro(dataset, mutated(Random(seed), data, TOKENS))  # type: ignore[arg-type]


def test_valid_avro_files_are_read() -> None:
    assert [check_avro(dataset, data) for dataset, data in avro_files()] == [5, *[12] * 5, 4, 3, *[6] * 5, 2]


def test_a_block_that_claims_to_be_empty_but_has_rows_fails_the_file() -> None:
    """The block says in its header that it has no rows. If the Avro reader relied on this number, the rows would be
    lost without an error."""
    file = io.BytesIO()
    fastavro.writer(file, schema(JOBS), [{"id": 1, "job": "Clerk"}, {"id": 2, "job": "Smith"}], sync_interval=1)
    data = file.getvalue()
    # The file's header ends at `at`. There the first block has its number of rows.
    at = data.index(data[-16:]) + 16
    assert data[at] == 2
    assert check_avro(JOBS, data) == 2
    assert check_avro(JOBS, data[:at] + b"\0" + data[at + 1 :]) == 0


def test_a_lost_record_is_noticed() -> None:
    class Forgetful(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size).replace(b"2,Ops\n", b"")

    data = b"1,Sales\n2,Ops\n"
    expected, lines = csv_records(data, JOBS.column_names)
    found = staged(JOBS, Reader(JOBS, Forgetful(data)), text_format(CsvLayout.by_position(JOBS)))
    assert (len(expected), lines) == (2, 2)
    assert (found.received, len(found.rows)) == (1, 1)


def test_a_difference_from_the_oracle_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.check.csv_records", lambda *_: ([], 1))
    with pytest.raises(Unaccounted, match="records: 1 instead of 0"):
        check_csv(JOBS, b"1,Clerk\n")
