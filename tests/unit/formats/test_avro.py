"""Tests the Avro files of a dataset. Other programs can read the files that Hireflow writes. Hireflow reads or refuses
the files of other programs."""

import io
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import avro.datafile
import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.table import Kind
from chalicelib.formats import avro as ours

EMPLOYEES = DATASETS["hired_employees"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROWS = [
    (1, "Harold Vogt", 1_627_401_728_000_000, 2, 96),
    (2_147_483_647, "", 0, -2_147_483_648, 1),
    (-5, 'ünïcödé 🎉, "quoted"\n\x01', -62_135_596_800_000_000, 7, 7),
    (7, "late", 253_402_300_799_999_999, 7, 7),
]

int4 = st.integers(-(2**31), 2**31 - 1)
micros = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
employees = st.lists(st.tuples(int4, texts, micros, int4, int4), max_size=30)


def written(rows: list[tuple[Any, ...]], dataset: Dataset = EMPLOYEES) -> bytes:
    file = io.BytesIO()
    ours.write(dataset, [tuple(zip(*rows[i : i + 7], strict=True)) for i in range(0, len(rows), 7)], file)
    return file.getvalue()


def read(data: bytes, dataset: Dataset = EMPLOYEES) -> list[tuple[Any, ...]]:
    return [row for rows in ours.records(dataset, io.BytesIO(data)) for row in rows]


def by_others(schema: Any, rows: list[dict[str, Any]], codec: str = "null") -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, schema, rows, codec=codec)
    return file.getvalue()


@given(employees)
def test_rows_are_read_exactly_as_they_were_written(rows: list[tuple[Any, ...]]) -> None:
    assert read(written(rows)) == rows


def test_an_independent_reader_reads_our_files() -> None:
    with avro.datafile.DataFileReader(io.BytesIO(written(ROWS)), avro.io.DatumReader()) as reader:
        found = [tuple(cast(dict[str, Any], row).values()) for row in reader]
        assert json.loads(reader.schema) == ours.schema(EMPLOYEES)
    assert found == [(a, b, EPOCH + timedelta(microseconds=at), c, d) for a, b, at, c, d in ROWS]


def test_the_schema_documents_itself_and_has_logical_types() -> None:
    schema = ours.schema(EMPLOYEES)
    assert (schema["name"], schema["namespace"]) == ("hired_employees", "hireflow")
    assert [field["name"] for field in schema["fields"]] == list(EMPLOYEES.column_names)
    assert schema["fields"][2]["type"] == {"type": "long", "logicalType": "timestamp-micros"}
    assert all(field["doc"] for field in schema["fields"])


def test_the_fingerprint_changes_with_names_and_types_only() -> None:
    def of(*columns: Column) -> str:
        return ours.fingerprint([Dataset("things", "thing", columns)])

    base = of(Column("id", Kind.ID), Column("at", Kind.TEXT))
    assert base == of(Column("id", Kind.ID, about="another text"), Column("at", Kind.TEXT))
    longer = of(Column("id", Kind.ID), Column("at", Kind.TEXT), Column("to", Kind.TEXT))
    others = [longer, of(Column("id", Kind.ID), Column("at", Kind.INSTANT))]
    others.append(of(Column("id", Kind.ID), Column("when", Kind.TEXT)))
    assert len({base, *others}) == 4


def test_batches_are_small_even_if_a_block_is_large() -> None:
    schema = ours.schema(DATASETS["jobs"])
    file = io.BytesIO()
    fastavro.writer(file, schema, ({"id": n, "job": ""} for n in range(10_000)), sync_interval=10**6)
    batches = list(ours.records(DATASETS["jobs"], io.BytesIO(file.getvalue())))
    assert [len(batch) for batch in batches] == [4096, 4096, 1808]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_every_codec_of_the_standard_library_is_read(codec: str) -> None:
    rows: list[dict[str, Any]] = [{"id": n, "job": f"job {n}"} for n in range(5000)]
    data = by_others(ours.schema(DATASETS["jobs"]), rows, codec)
    assert read(data, DATASETS["jobs"]) == [(row["id"], row["job"]) for row in rows]


def test_files_of_the_official_writer_are_read() -> None:
    file = io.BytesIO()
    schema = avro.schema.parse(json.dumps(ours.schema(DATASETS["departments"])))
    writer = avro.datafile.DataFileWriter(file, avro.io.DatumWriter(), schema, codec="deflate")
    writer.append({"id": 3, "department": "Legal"})
    writer.flush()
    assert read(file.getvalue(), DATASETS["departments"]) == [(3, "Legal")]


def test_the_order_of_fields_and_the_name_of_the_record_do_not_matter() -> None:
    fields = [{"name": "job", "type": {"type": "string", "avro.java.string": "String"}}, {"name": "id", "type": "int"}]
    schema = {"type": "record", "name": "Exported", "fields": fields}
    assert read(by_others(schema, [{"id": 4, "job": "Cook"}]), DATASETS["jobs"]) == [(4, "Cook")]


@pytest.mark.parametrize("schema", ['"string"', '{"type": "array", "items": "int"}'])
def test_a_schema_that_is_not_a_record_is_refused(schema: str) -> None:
    with pytest.raises(LoadError, match="schema is not that of jobs"):
        read(by_others(json.loads(schema), []), DATASETS["jobs"])


def test_bytes_that_are_not_utf8_affect_only_their_row() -> None:
    data = by_others(ours.schema(DATASETS["jobs"]), [{"id": 1, "job": "<>"}, {"id": 2, "job": "fine"}])
    assert read(data.replace(b"<>", b"\xff\xfe"), DATASETS["jobs"]) == [(1, "\udcff\udcfe"), (2, "fine")]


@given(st.data())
def test_a_damaged_file_raises_no_error_but_a_load_error(data: st.DataObject) -> None:
    """The file is truncated at any position, or any byte is changed. The result is rows or a LoadError, never another
    exception."""
    file = bytearray(written(ROWS * 3))
    if data.draw(st.booleans()):
        del file[data.draw(st.integers(0, len(file) - 1)) :]
    else:
        file[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(LoadError):
        assert len(read(bytes(file))) in (0, len(ROWS) * 3)


@given(st.binary(max_size=200))
def test_random_bytes_raise_a_load_error(data: bytes) -> None:
    for head in (b"", b"Obj\x01"):
        with pytest.raises(LoadError):
            read(head + data)
