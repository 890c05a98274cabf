"""Runs a short form of `make fuzz`, and tests that the checks of `make fuzz` notice errors."""

import io
from random import Random

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.formats.avro import schema
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.pg_copy import text_format
from tests.dialects import DECLARED, FOUND
from tests.fuzz.campaign import run
from tests.fuzz.check import check_csv, names_of
from tests.fuzz.check_avro import check_avro
from tests.fuzz.generate import TOKENS, csv_input
from tests.fuzz.generate_avro import avro_files
from tests.fuzz.mutate import mutated
from tests.fuzz.oracle import HEAD, Aside, Refused, Understood, understood
from tests.fuzz.staged import Unaccounted, staged

EMPLOYEES, JOBS = DATASETS["hired_employees"], DATASETS["jobs"]
ALIASES = [alias.encode() for dataset in DATASETS.values() for c in dataset.columns for alias in c.aliases]
DECLARATIONS = [UNDECLARED, *(Declarations.of({"encoding": name}) for name in ("utf-16", *DECLARED))]


def read(
    data: bytes, dataset: str = "jobs", encoding: str | None = None, delimiter: str | None = None
) -> tuple[Understood, list[tuple[int, object]]]:
    """The oracle's format, and (line, fields or None) of each of its records."""
    found = understood(data, names_of(DATASETS[dataset]), encoding, delimiter)
    return found, [(record.line, record.fields) for record in found.records]


def test_thousands_of_inputs_from_a_seed_are_accounted_for() -> None:
    inputs, records, refused, crashes, unaccounted = run("short", 3000)
    assert (inputs, crashes, unaccounted) == (3000, 0, 0)
    assert records > 6000
    assert 0 < refused < 900


@given(st.binary(max_size=300), st.sampled_from([1, 3, 64]), st.sampled_from(DECLARATIONS))
def test_any_bytes_are_accounted_for(data: bytes, drip: int, declared: Declarations) -> None:
    check_csv(JOBS, data, drip, declared)


@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=8), max_size=40).map(b"".join), st.sampled_from([1, 64]))
def test_mixtures_of_difficult_bytes_are_accounted_for(data: bytes, drip: int) -> None:
    check_csv(EMPLOYEES, data, drip)


def test_the_generator_writes_every_dialect() -> None:
    random, seen, with_aliases = Random("dialects"), set[object](), 0
    for _ in range(3000):
        sent = csv_input(random)
        try:
            found = understood(sent.data, names_of(sent.dataset), sent.declared.encoding, sent.declared.delimiter)
        except Refused as refusal:
            seen.add(str(refusal))
            continue
        except Aside:
            continue
        seen |= {found.encoding, found.delimiter, ("header", found.has_header), ("sep", found.has_sep_line)}
        seen |= {("ignored", len(found.ignored)), ("permuted", found.positions[0] != 0)}
        with_aliases += found.has_header and any(alias in sent.data for alias in ALIASES)
    encodings = {*FOUND, *DECLARED} - {"utf-8-sig", "utf-16"} | {"utf-16le"}
    assert seen >= {"the header names ", *encodings, b",", b";", b"\t", b"|", ("header", True), ("header", False)}
    assert seen >= {("sep", True), ("ignored", 1), ("ignored", 2), ("permuted", True)}
    assert with_aliases > 150  # some texts contain such a name by chance


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1,A\n2;B\n", [(1, (b"1", b"A")), (2, None)]),
        (b"1;A\n2;B\n3|C\n", [(1, (b"1", b"A")), (2, (b"2", b"B")), (3, None)]),
        (b"x,y\n1\tA\r\n", [(1, None), (2, (b"1", b"A"))]),
        (b"sep=|\n1;A\n2|B\n", [(2, None), (3, (b"2", b"B"))]),
        (b'1;"A\n2;B\n', [(1, None), (2, (b"2", b"B"))]),
        (b"1,A,,\n2,B,C\n,,,\n\n", [(1, (b"1", b"A")), (2, None)]),
        (b'1,"A"\r\r\n2,"B"\r\r\r\n', [(1, (b"1", b"A")), (2, None)]),
        (b'1,A\r2,"B\rC"\r', [(1, (b"1", b"A")), (2, (b"2", b"B\nC"))]),
        ("1,A\n".encode("utf-16"), [(1, (b"1", b"A"))]),
        (b"\xfe\xff" + "1,é\n".encode("utf-16be"), [(1, (b"1", "é".encode()))]),
        (b"\xff\xfe1\0,\0A\0\n\0x", [(1, (b"1", b"A")), (2, None)]),
        (b"job,note,id\nA,x,1\njob,note,id\nB,y,2\n", [(2, (b"A", b"x", b"1")), (4, (b"B", b"y", b"2"))]),
    ],
)
def test_the_oracle_reads_by_the_words_of_the_contract(data: bytes, expected: object) -> None:
    assert read(data)[1] == expected
    check_csv(JOBS, data)


def test_the_oracle_knows_a_format() -> None:
    found, _ = read(b"Job Title; Note ;ID;;\nA;x;1\n")
    assert (found.delimiter, found.positions, found.ignored) == (b";", (1, None, 0), ("Note",))
    assert read(b"1|A\n", delimiter=";")[0].delimiter == b";"
    assert read("1,é\n".encode("cp1252"), encoding="windows-1252")[1] == [(1, (b"1", "é".encode()))]


@pytest.mark.parametrize(
    "data",
    [b"id,department\n1,A\n", b"id,job,job\n", b"1,A\njob,id\n", b"id;job\njob,id\n", b"\n" * HEAD + b"id,job\n"],
)
def test_the_oracle_refuses_other_headers(data: bytes) -> None:
    with pytest.raises(Refused):
        read(data)
    assert check_csv(JOBS, data) == 0


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
    expected, records = read(data)
    found = staged(JOBS, Reader(JOBS, Forgetful(data)), text_format(CsvLayout.by_position(JOBS)))
    assert (len(records), expected.lines) == (2, 2)
    assert (found.received, len(found.rows)) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"records": []}, "records: 1 instead of 0"),
        ({"delimiter": b";"}, "format: .* instead of"),
        ({"positions": (1, 0)}, "format: .* instead of"),
        ({"lines": 2}, "lines: 1 instead of 2"),
    ],
)
def test_a_difference_from_the_oracle_is_reported(changed: dict[str, object], message: str) -> None:
    def wrong(data: bytes, *declared: object) -> Understood:
        found = read(data)[0]
        for name, value in changed.items():
            setattr(found, name, value)
        return found

    with pytest.raises(Unaccounted, match=message):
        check_csv(JOBS, b"1,Clerk\n", oracle=wrong)
    assert check_csv(JOBS, b"1,Clerk\n") == 1
