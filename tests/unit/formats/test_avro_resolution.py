"""Tests Avro files of other programs. Avro's schema resolution finds the column of each field."""

import io
import json
import time
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from typing import Any

import avro.datafile
import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.table import Kind
from chalicelib.core.streams import Peekable
from chalicelib.formats import avro as ours
from chalicelib.formats.csv_tokens import Record
from chalicelib.ingest.file_reading import FileReading
from tests.fuzz.generate_avro import packed_text, repacked, zigzag

EMPLOYEES, JOBS = DATASETS["hired_employees"], DATASETS["jobs"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SYNC = bytes(range(16))
Rows = list[tuple[Any, ...]]


def logical(base: str, name: str) -> dict[str, str]:
    return {"type": base, "logicalType": name}


INSTANTS: dict[str, tuple[Any, int]] = {
    "millis": (logical("long", "timestamp-millis"), 1000),
    "micros": (logical("long", "timestamp-micros"), 1),
    "local millis": (logical("long", "local-timestamp-millis"), 1000),
    "local micros": (logical("long", "local-timestamp-micros"), 1),
    "date": (logical("int", "date"), 86_400_000_000),
}
NULLABLE = st.sampled_from([lambda kind: kind, lambda kind: ["null", kind], lambda kind: [kind, "null"]])
NAMES: dict[str, list[str]] = {
    "id": ["id", "ID", "Employee Id", "emp_id"],
    "name": ["name", "Full_Name", "employee"],
    "datetime": ["datetime", "hire_date", "DateTime"],
    "department_id": ["department_id", "DepartmentId", "dept_id"],
    "job_id": ["job_id", "JobID"],
}
IGNORED: list[tuple[Any, Any]] = [
    ("null", None),
    ("boolean", True),
    ("double", 0.5),
    ("float", 0.5),
    ("bytes", b"\xff\0"),
    ({"type": "fixed", "name": "Three", "size": 3}, b"abc"),
    ({"type": "enum", "name": "State", "symbols": ["A", "B"]}, "B"),
    ({"type": "array", "items": ["null", "int"]}, [1, None, 3]),
    ({"type": "array", "items": "null"}, [None] * 5),
    ({"type": "map", "values": "double"}, {"a": 0.5, "b": 1.5}),
    (["null", {"type": "record", "name": "At", "fields": [{"name": "x", "type": "int"}]}], {"x": 1}),
    (
        {
            "type": "record",
            "name": "Node",
            "fields": [{"name": "value", "type": "string"}, {"name": "next", "type": ["null", "Node"]}],
        },
        {"value": "a", "next": {"value": "b", "next": None}},
    ),
]


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], Rows]:
    """Return the schema of a writer, its records, and the rows that the reader must return."""
    unit_type, unit = INSTANTS[draw(st.sampled_from(sorted(INSTANTS)))]
    bounds = (-62_135_596_800_000_000 // unit, 253_402_300_799_999_999 // unit)
    types: dict[Kind, Any] = {
        Kind.ID: draw(st.sampled_from(["int", "long"])),
        Kind.TEXT: draw(st.sampled_from(["string", {"type": "string", "avro.java.string": "String"}, "bytes"])),
        Kind.INSTANT: unit_type,
    }
    values = {
        Kind.ID: st.integers(1, 2**31 - 1),
        Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        Kind.INSTANT: st.integers(*bounds),
    }
    names = {column.name: draw(st.sampled_from(NAMES[column.name])) for column in EMPLOYEES.columns}
    fields = [{"name": names[c.name], "type": draw(NULLABLE)(types[c.kind])} for c in EMPLOYEES.columns]
    extra = draw(st.lists(st.sampled_from(range(len(IGNORED))), max_size=3, unique=True))
    fields += [{"name": f"extra_{at}", "type": IGNORED[at][0]} for at in extra]
    is_null = {
        c.name: st.booleans() if isinstance(f["type"], list) else st.just(False)
        for c, f in zip(EMPLOYEES.columns, fields, strict=False)
    }
    records, rows = [], []
    for _ in range(draw(st.integers(0, 12))):
        row: list[Any] = [None if draw(is_null[c.name]) else draw(values[c.kind]) for c in EMPLOYEES.columns]
        shown: dict[Column, Any] = dict(zip(EMPLOYEES.columns, row, strict=True))
        record = {
            names[c.name]: v.encode() if c.kind is Kind.TEXT and types[c.kind] == "bytes" and v is not None else v
            for c, v in shown.items()
        }
        records.append(record | {f"extra_{at}": IGNORED[at][1] for at in extra})
        rows.append(tuple(v * unit if c.kind is Kind.INSTANT and v is not None else v for c, v in shown.items()))
    schema = {"type": "record", "name": "Exported", "namespace": "com.example", "fields": draw(st.permutations(fields))}
    return schema, records, rows


def written(schema: Any, records: list[dict[str, Any]], codec: str = "null") -> bytes:
    """Write a file with fastavro. Its blocks have only a few records."""
    file = io.BytesIO()
    fastavro.writer(file, schema, records, sync_interval=100)
    return repacked(file.getvalue(), codec)


def read(data: bytes, dataset: Dataset = EMPLOYEES, *, skip: int = 0) -> Rows:
    return [row for rows in ours.records(dataset, io.BytesIO(data), skip=skip) for row in rows]


def schema_of(*fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in fields]}


@settings(deadline=None)
@given(files(), st.sampled_from(["null", "deflate", "bzip2", "snappy", "zstandard"]), st.integers(0, 12))
def test_the_same_rows_are_read_from_every_schema_and_codec(
    file: tuple[dict[str, Any], list[dict[str, Any]], Rows], codec: str, skip: int
) -> None:
    schema, records, rows = file
    data = written(schema, records, codec)
    assert read(data) == rows
    assert read(data, skip=skip) == rows[skip:]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "zstandard"])
def test_files_of_the_official_writer_are_read(codec: str) -> None:
    schema = schema_of(
        ("job_id", ["null", "long"]),
        ("notes", {"type": "map", "values": {"type": "array", "items": "string"}}),
        ("hire_date", logical("int", "date")),
        ("department_id", "int"),
        ("name", ["string", "null"]),
        ("id", "long"),
    )
    file = io.BytesIO()
    parsed = avro.schema.parse(json.dumps(schema))
    writer = avro.datafile.DataFileWriter(file, avro.io.DatumWriter(), parsed, codec=codec)
    for number in range(1, 500):
        notes: Any = {"a": ["x", "y"], "b": []}
        name = None if number % 7 == 0 else f"Name {number}"
        common: Any = {"id": number, "name": name, "job_id": 2, "department_id": 1, "notes": notes}
        writer.append(common | {"hire_date": date(2021, 7, 27)})
    writer.flush()
    at = (datetime(2021, 7, 27, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    assert read(file.getvalue()) == [(n, None if n % 7 == 0 else f"Name {n}", at, 1, 2) for n in range(1, 500)]


@pytest.mark.parametrize("name", ["timestamp-nanos", "local-timestamp-nanos"])
def test_nanoseconds_are_cut_to_microseconds(name: str) -> None:
    instant = ("datetime", logical("long", name))
    schema = schema_of(("id", "int"), ("name", "string"), instant, ("department_id", "int"), ("job_id", "int"))
    record = {"id": 1, "name": "Ann", "datetime": 1_999, "department_id": 1, "job_id": 1}
    assert read(written(schema, [record])) == [(1, "Ann", 1, 1, 1)]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ([("datetime", "long")], "datetime is long: declare it as timestamp-micros or timestamp-millis"),
        ([("datetime", ["null", "long"])], "datetime is a union of null, long: declare it as timestamp-micros"),
        ([("datetime", "string")], "datetime is string: declare it as timestamp-micros or timestamp-millis"),
        ([("datetime", logical("int", "time-millis"))], "datetime is int time-millis: declare it as timestamp-micros"),
        ([("datetime", logical("long", "date"))], "datetime is long: declare it as timestamp-micros"),
        (
            [("datetime", [logical("int", "date"), logical("long", "timestamp-millis")])],
            "datetime is a union of int date, long timestamp-millis: declare it as timestamp-micros",
        ),
        ([("hire_date", "double")], "hire_date is double: declare it as timestamp-micros or timestamp-millis"),
        ([("id", "double")], "id is double: declare it as int or long"),
        ([("id", "string")], "id is string: declare it as int or long"),
        ([("id", logical("int", "date"))], "id is int date: declare it as int or long"),
        ([("id", ["int", "string"])], "id is a union of int, string: declare it as int or long"),
        ([("id", "null")], "id is null: declare it as int or long"),
        ([("id", [])], "id is a union of : declare it as int or long"),
        ([("name", "int")], "name is int: declare it as string"),
        ([("name", {"type": "array", "items": "string"})], "name is array: declare it as string"),
        ([("name", schema_of(("x", "string")) | {"name": "X"})], "name is record: declare it as string"),
        ([("name", {"type": "bytes", "logicalType": "decimal", "precision": 4})], "name is bytes decimal: declare it"),
        ([("title", "string")], "name is missing: it must be string; its fields are title, "),
        ([("emp_name", "string"), ("full_name", "string")], "name is named 2 times, as emp_name, full_name"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_with_its_type_and_what_is_wanted(
    fields: list[tuple[str, Any]], fault: str
) -> None:
    usual = {"id": "int", "name": "string", "datetime": logical("long", "timestamp-micros")}
    usual |= {"department_id": "int", "job_id": "int"}
    replaced = {"hire_date": "datetime", "title": "name", "emp_name": "name", "full_name": "name"}
    kept = {name: kind for name, kind in usual.items() if name not in {replaced.get(n, n) for n, _ in fields}}
    with pytest.raises(LoadError) as refused:
        read(header(schema_of(*fields, *kept.items())))
    assert refused.value.detail.startswith("the Avro schema is not that of hired_employees: ")
    assert fault in refused.value.detail


def test_all_faults_of_a_schema_are_named_together() -> None:
    with pytest.raises(LoadError) as refused:
        read(header(schema_of(("id", "double"), ("datetime", "long"))))
    assert refused.value.detail == "the Avro schema is not that of hired_employees: " + "; ".join(
        [
            "name is missing: it must be string",
            "department_id is missing: it must be int or long",
            "job_id is missing: it must be int or long",
            "its fields are id, datetime",
            "id is double: declare it as int or long",
            "datetime is long: declare it as timestamp-micros or timestamp-millis",
        ]
    )


def test_a_field_with_exactly_the_name_of_a_column_wins_over_an_alias() -> None:
    schema = schema_of(("title", "double"), ("job", "string"), ("ID", "string"), ("id", "int"))
    assert read(written(schema, [{"title": 0.5, "job": "Cook", "ID": "x", "id": 4}]), JOBS) == [(4, "Cook")]


def header(schema: Any, codec: bytes = b"null") -> bytes:
    """Return the beginning of a file with this schema. The schema is not checked, so it may be invalid."""
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    entries = packed_text(b"avro.schema") + packed_text(text) + packed_text(b"avro.codec") + packed_text(codec)
    return b"Obj\x01" + zigzag(2) + entries + zigzag(0) + SYNC


def block(data: bytes, count: int = 1) -> bytes:
    return zigzag(count) + packed_text(data) + SYNC


COOK = zigzag(1) + packed_text(b"Cook")
JOB = [("id", "int"), ("job", "string")]
NULLS = {"type": "array", "items": "null"}
LIST = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}
FOREVER = {"type": "record", "name": "F", "fields": [{"name": "again", "type": "F"}]}
UNIONS = [("id", ["null", "int"]), ("job", "string")]
IN_UNION = zigzag(1) + COOK


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ([*JOB, ("x", NULLS)], COOK + zigzag(2**62) + zigzag(0)),
        (
            [*JOB, ("x", {"type": "array", "items": schema_of(("a", "null"), ("b", "null")) | {"name": "E"}})],
            COOK + zigzag(2**62) + b"\0",
        ),
        (
            [*JOB, ("x", {"type": "array", "items": {"type": "fixed", "name": "E", "size": 0}})],
            COOK + zigzag(2**62) + b"\0",
        ),
        ([*JOB, *((f"x{n}", "null") for n in range(2000))], COOK),
        ([*JOB, ("x", LIST)], COOK + zigzag(1) * 50 + zigzag(0)),
    ],
    ids=["nulls", "empty records", "fixed of no bytes", "fields of no bytes", "a list of fifty nodes"],
)
def test_values_of_no_bytes_take_no_time(fields: list[tuple[str, Any]], data: bytes) -> None:
    started = time.process_time()
    assert read(header(schema_of(*fields)) + block(data), JOBS) == [(1, "Cook")]
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("fields", "data", "count"),
    [
        ([*JOB, ("x", {"type": "array", "items": "boolean"})], COOK + zigzag(2**62), 1),
        ([*JOB, ("x", {"type": "array", "items": "int"})], COOK + zigzag(2**62), 1),
        ([*JOB, ("x", {"type": "array", "items": "int"})], COOK + b"\x01" + zigzag(2**40), 1),
        ([*JOB, ("x", {"type": "map", "values": "null"})], COOK + zigzag(2**62), 1),
        ([*JOB, ("x", LIST)], COOK + zigzag(1) * 5_000_000 + zigzag(0), 1),
        ([*JOB, ("x", FOREVER)], COOK, 1),
        ([*JOB, ("x", "bytes")], COOK + zigzag(2**60), 1),
        ([*JOB, ("x", "bytes")], COOK + b"\x05" + b"abc", 1),
        ([*JOB, ("x", ["null", "bytes"])], COOK + zigzag(1) + zigzag(2**60), 1),
        ([*JOB, ("x", {"type": "fixed", "name": "F", "size": 2**26})], COOK + b"abc", 1),
        (UNIONS, zigzag(2) + COOK, 1),
        (UNIONS, b"\x01" + COOK, 1),
        (UNIONS, b"\x03" + COOK, 1),
        (UNIONS, zigzag(1) + b"\xff" * 10_000_000, 1),
        (UNIONS, zigzag(1) + b"\xff" * 9 + b"\x7f" + packed_text(b"Cook"), 1),
        (UNIONS, IN_UNION[:-1], 1),
        (UNIONS, IN_UNION + b"\0", 1),
        (UNIONS, IN_UNION, 2),
        (UNIONS, IN_UNION * 2, 1),
        (UNIONS, IN_UNION, 0),
        (JOB, COOK + b"\0", 1),
        (JOB, COOK, 0),
        (JOB, COOK, 2**25),
        (JOB, COOK[:-1], 1),
        ([*JOB, ("x", "double")], COOK + b"\0" * 7, 1),
        ([("x", "double"), *JOB], b"\0" * 7 + COOK, 1),
    ],
)
def test_a_value_that_does_not_fit_its_block_fails_the_file_soon(
    fields: list[tuple[str, Any]], data: bytes, count: int
) -> None:
    started = time.process_time()
    with pytest.raises(LoadError, match="damaged"):
        read(header(schema_of(*fields)) + block(data, count), JOBS)
    assert time.process_time() - started < 2


def nested(levels: int) -> Any:
    kind: Any = "int"
    for _ in range(levels):
        kind = {"type": "array", "items": kind}
    return kind


def doubling(levels: int) -> list[tuple[str, Any]]:
    """Return fields whose types are records. Each record has two fields of the type of the previous record, so the size
    of a value doubles with every level."""
    fields: list[tuple[str, Any]] = [("r0", schema_of(("a", "null")) | {"name": "R0"})]
    for n in range(1, levels):
        before = f"R{n - 1}"
        fields.append((f"r{n}", schema_of(("a", before), ("b", before)) | {"name": f"R{n}"}))
    return fields


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (schema_of(*JOB, *doubling(200)), COOK),
        (schema_of(*JOB, *((f"x{n}", "boolean") for n in range(20_000))), COOK + bytes(20_000)),
        (schema_of(*JOB, ("x", [f"{kind}" for kind in ["null", "int"] * 50_000])), COOK + bytes(1)),
        (schema_of(*JOB) | {"doc": "x" * 900_000}, COOK),
    ],
    ids=["records that double", "fields", "branches", "documentation"],
)
def test_a_large_schema_is_read_in_bounded_time_and_memory(schema: Any, data: bytes) -> None:
    tracemalloc.start()
    started = time.process_time()
    try:
        assert read(header(schema) + block(data), JOBS) == [(1, "Cook")]
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "schema",
    [
        b"",
        b"null",
        b'"int"',
        b"[]",
        b"[" * 500_000,
        b'{"a":' * 100_000,
        schema_of(*JOB, ("x", nested(100))),
        schema_of(*JOB, ("x", "Unknown")),
        schema_of(*JOB, ("x", {"type": "Unknown"})),
        schema_of(*JOB, ("x", {"type": "array"})),
        schema_of(*JOB, ("x", {"type": "map", "values": 5})),
        schema_of(*JOB, ("x", {"type": "fixed", "name": "F", "size": -1})),
        schema_of(*JOB, ("x", {"type": "fixed", "name": "F", "size": 2**62})),
        schema_of(*JOB, ("x", {"type": "fixed", "name": "F", "size": True})),
        schema_of(*JOB, ("x", {"type": "enum"})),
        schema_of(*JOB, ("x", schema_of())),
        schema_of(*JOB, ("x", [["int"]])),
        schema_of(*JOB, ("x", {"type": {"type": {"type": 7}}})),
        {"type": "record", "name": "r"},
        {"type": "record", "fields": []},
        {"type": "record", "name": "r", "namespace": 5, "fields": []},
        {"type": "record", "name": "r", "fields": {"name": "id"}},
        {"type": "record", "name": "r", "fields": ["id"]},
        {"type": "record", "name": "r", "fields": [{"name": 5, "type": "int"}]},
    ],
)
def test_json_that_is_no_schema_of_a_record_fails_the_file(schema: Any) -> None:
    with pytest.raises(LoadError, match="schema is not that of jobs: it is not a valid schema of a record"):
        read(header(schema), JOBS)


def test_a_header_of_megabytes_is_refused() -> None:
    with pytest.raises(LoadError, match="damaged"):
        read(header(schema_of(*JOB) | {"doc": "x" * 2_000_000}), JOBS)


def test_names_in_name_spaces_are_found() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "v", "type": "int"}]}
    other = {"type": "enum", "name": "org.other.Mood", "symbols": ["A"]}
    schema = schema_of(
        *JOB, ("a", inner), ("b", "com.example.Inner"), ("c", "Inner"), ("d", other), ("e", "org.other.Mood")
    )
    schema |= {"namespace": "com.example"}
    data = written(schema, [{"id": 1, "job": "Cook", "a": {"v": 1}, "b": {"v": 2}, "c": {"v": 3}, "d": "A", "e": "A"}])
    assert read(data, JOBS) == [(1, "Cook")]


def reading_of(data: bytes, dataset: Dataset = JOBS) -> FileReading:
    return FileReading.of_file(dataset, Peekable(io.BytesIO(data)))


def test_the_format_lists_the_ignored_columns() -> None:
    schema = schema_of(("job", "string"), ("salary", "double"), ("ID", ["null", "long"]), ("tags", NULLS))
    assert reading_of(written(schema, [])).file_format.shown() == {
        "type": "avro",
        "delimiter": None,
        "encoding": None,
        "header": True,
        "ignored_columns": ["salary", "tags"],
    }


def test_ignored_columns_are_shown_by_names_that_can_be_stored_and_not_without_limit() -> None:
    names = ["\ud800\0bad", "x" * 5000, *(f"extra{n}" for n in range(300))]
    data = header(schema_of(*JOB, *((name, "null") for name in names)))
    found = reading_of(data).file_format.ignored_columns
    assert found[:3] == ("?bad", "x" * 40, "extra0")
    assert (len(found), found[-1]) == (201, "and 102 more")


def test_a_schema_that_does_not_fit_fails_before_any_row_is_read() -> None:
    with pytest.raises(LoadError, match="job is missing"):
        reading_of(written(schema_of(("id", "int")), []))


@pytest.mark.parametrize("padding", [0, 500_000])
def test_a_file_is_read_from_its_first_row_after_it_was_understood(padding: int) -> None:
    data = header(schema_of(*UNIONS) | {"doc": "x" * padding}) + block(IN_UNION) * 3
    stream = Peekable(io.BytesIO(data))
    reading = FileReading.of_file(JOBS, stream)
    assert [token.line for token in reading.tokens(stream)] == [1, 2, 3]


def test_null_under_a_mandatory_column_rejects_only_its_row() -> None:
    records: list[dict[str, Any]] = [{"id": 1, "job": "A"}, {"id": None, "job": "B"}, {"id": 3, "job": None}]
    schema = schema_of(("id", ["null", "long"]), ("job", ["null", "string"]))
    data = written(schema, [*records, {"id": 2**40, "job": "C"}, {"id": 5, "job": "E"}])
    tokens = list(reading_of(data).tokens(io.BytesIO(data)))
    rejects = [token for token in tokens if isinstance(token, Record)]
    assert [(r.line, r.raw, [p.text for p in r.checked.problems]) for r in rejects if r.checked] == [
        (2, b",B", ["id is missing"]),
        (3, b"3,", ["job is missing"]),
        (4, b"1099511627776,C", ["id is not a whole number from 1 to 2147483647"]),
    ]
    assert sum(token.lines for token in tokens) == 5


def test_valid_rows_are_found_again_by_their_line() -> None:
    schema = schema_of(("id", ["null", "long"]), ("tags", NULLS), ("job", "string"))
    records = [{"id": n if n % 3 else None, "job": f"Job {n}", "tags": [None] * n} for n in range(1, 10_000)]
    data = written(schema, records, "snappy")
    seeker = reading_of(data).seeker(io.BytesIO(data))
    assert [seeker.record(line).raw for line in (1, 4, 4097, 9998)] == [
        f"{n},Job {n}".encode() for n in (1, 4, 4097, 9998)
    ]


@pytest.mark.parametrize("unit", ["timestamp-millis", "local-timestamp-micros", "timestamp-nanos"])
@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_an_instant_outside_the_years_of_a_date_rejects_only_its_row(unit: str, value: int) -> None:
    instant = ("datetime", ["null", logical("long", unit)])
    schema = schema_of(("id", "int"), ("name", "string"), instant, ("department_id", "int"), ("job_id", "int"))
    usual = {"id": 1, "name": "Ann", "department_id": 1, "job_id": 1}
    data = written(schema, [usual | {"datetime": 0}, usual | {"datetime": value}])
    tokens = list(reading_of(data, EMPLOYEES).tokens(io.BytesIO(data)))
    rejects = [token for token in tokens if isinstance(token, Record) and token.checked]
    is_possible = unit == "timestamp-nanos"  # nanoseconds reach only 292 years before and after 1970
    assert [record.line for record in rejects] == ([] if is_possible else [2])
    assert sum(token.lines for token in tokens) == 2
