"""Tests Avro files whose columns may be null or missing, and the kinds of columns besides ids, texts and instants."""

import io
import itertools
import json
from datetime import date
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.values import ABSENT
from chalicelib.core.streams import Peekable
from chalicelib.formats import avro
from chalicelib.formats.avro_rows import AvroRows, StoredRows
from chalicelib.formats.csv_tokens import Record
from chalicelib.ingest.file_reading import FileReading
from tests.orders import CURRENT, OLD, ORDERS, in_columns, rows

Rows = list[tuple[Any, ...]]
AT = {name: at for at, name in enumerate(ORDERS.column_names)}


def file_of(found: Rows) -> bytes:
    file = io.BytesIO()
    avro.write(ORDERS, [in_columns(ORDERS, found)], file)
    return file.getvalue()


def read(data: bytes, *, is_trusted: bool = False) -> Rows:
    return [row for batch in avro.records(ORDERS, io.BytesIO(data), is_trusted=is_trusted) for row in batch]


def order(**given: Any) -> tuple[Any, ...]:
    values = {"id": 1, "user": 2, "price": 1250, "since": 0, "rate": 125} | given
    return tuple(values.get(name) for name in ORDERS.column_names)


def file_of_others(fields: list[dict[str, Any]], records: list[dict[str, Any]], codec: str = "null") -> bytes:
    file = io.BytesIO()
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    fastavro.writer(file, schema, records, codec=codec, sync_marker=b"s" * 16)
    return file.getvalue()


MANDATORY: list[dict[str, Any]] = [
    {"name": "id", "type": "int"},
    {"name": "user", "type": "int"},
    {"name": "price", "type": "long"},
]
SENT = {"id": 1, "user": 2, "price": 3}


@settings(max_examples=50, deadline=None)
@given(found=rows(ORDERS))
def test_rows_are_read_as_they_were_written_by_both_decoders(found: Rows) -> None:
    data = file_of(found)
    assert read(data, is_trusted=True) == read(data) == found
    runs = list(AvroRows(ORDERS, io.BytesIO(data), is_trusted=True))
    assert [row for run in runs if isinstance(run, StoredRows) for row in run.rows] == found


def test_other_programs_see_the_logical_values() -> None:
    everything = order(note="x", at=-1, day=18835, count=-(2**63), paid=False, weight=-(10**38) + 1, fee=-500)
    full: Any
    empty: Any
    [full, empty] = fastavro.reader(io.BytesIO(file_of([everything, order(id=2)])))
    assert (full["price"], full["day"], full["count"], full["paid"]) == (
        Decimal("12.50"), date(2021, 7, 27), -(2**63), False,
    )  # fmt: skip
    assert (full["weight"], full["fee"], full["rate"]) == (
        Decimal("-99999999999999999999999999999999.999999"), Decimal("-0.500"), Decimal("1.25"),
    )  # fmt: skip
    assert [empty[name] for name in ("from", "note", "at", "day", "count", "paid", "weight", "fee")] == [None] * 8
    assert empty["since"] == date(1970, 1, 1)


def test_a_reader_with_the_current_schema_fills_in_the_defaults_of_an_older_file() -> None:
    file = io.BytesIO()
    avro.write(OLD["order"], [in_columns(OLD["order"], [(1, 2, 1250)])], file)
    row: Any
    [row] = fastavro.reader(io.BytesIO(file.getvalue()), fastavro.parse_schema(avro.schema(ORDERS)))
    # fastavro returns defaults without their logical types
    assert (row["since"], row["rate"], row["note"], row["fee"]) == (18835, "\0\0\0\0\0\0\0\x7d", None, None)


def test_the_fingerprint_of_a_dataset_without_optional_columns_did_not_change() -> None:
    assert avro.fingerprint(DATASETS.values()) == "ea8c4ffc888a38eb"
    assert avro.fingerprint(CURRENT.values()) != avro.fingerprint(OLD.values())


def test_a_file_of_an_earlier_release_leaves_the_newer_columns_out() -> None:
    file = io.BytesIO()
    avro.write(OLD["order"], [in_columns(OLD["order"], [(1, 2, 1250), (2, 0, 5)])], file)
    data = file.getvalue()
    absent = (ABSENT,) * (len(ORDERS.columns) - 3)
    assert read(data, is_trusted=True) == read(data) == [(1, 2, 1250, *absent), (2, 0, 5, *absent)]
    reading = FileReading.of_own_backup(ORDERS, Peekable(io.BytesIO(data)))
    assert reading.file_format.layout.positions == (0, 1, 2)
    assert reading.file_format.notices == ()
    stored, rejected = reading.tokens(io.BytesIO(data))
    assert isinstance(stored, StoredRows)
    assert stored.data.startswith(b"\0\3\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\2")
    assert isinstance(rejected, Record)
    assert rejected.fields == (b"2", b"0", b"0.05", *[None] * len(absent))
    assert rejected.raw == b"2,0,0.05"
    assert rejected.checked is not None
    assert [problem.code for problem in rejected.checked.problems] == ["not_an_id"]
    assert reading.seeker(io.BytesIO(data)).record(1).fields == (b"1", b"2", b"12.50", *[None] * len(absent))


def test_a_file_of_a_later_release_is_read_without_its_columns_and_a_notice_names_them() -> None:
    data = file_of([order(note="x", paid=True), order(id=2)])
    reading = FileReading.of_own_backup(OLD["order"], Peekable(io.BytesIO(data)))
    [run] = reading.tokens(io.BytesIO(data))
    assert isinstance(run, StoredRows)
    assert run.rows == [(1, 2, 1250), (2, 2, 1250)]
    assert reading.file_format.notices == (
        "the restore point has columns that this release does not have, and they were left out:"
        " from, note, at, day, count, paid, weight, fee, since, rate",
    )


def test_a_mandatory_column_must_not_be_missing() -> None:
    with pytest.raises(LoadError) as error:
        read(file_of_others([MANDATORY[0], {"name": "note", "type": "string"}], []))
    assert "user is missing: it must be int or long; price is missing: it must be decimal" in error.value.detail
    assert error.value.detail.endswith("; its fields are id, note")


def test_null_is_a_value_of_optional_columns_only() -> None:
    nullable = [MANDATORY[0], *({"name": n, "type": ["null", "long"]} for n in ("user", "price", "count", "rate"))]
    data = file_of_others(nullable, [{"id": 1, "user": 2, "price": 3, "count": None, "rate": None}])
    [record] = AvroRows(ORDERS, io.BytesIO(data))
    assert isinstance(record, Record)
    assert record.checked is not None
    assert [(p.code, p.field) for p in record.checked.problems] == [("missing", "rate")]


def test_an_optional_column_may_be_null_in_all_rows() -> None:
    data = file_of_others([*MANDATORY, {"name": "note", "type": "null"}], [SENT, {**SENT, "id": 4}])
    assert [row[: AT["note"] + 1] for row in read(data)] == [(1, 2, 300, ABSENT, None), (4, 2, 300, ABSENT, None)]


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [
        ({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}, Decimal("-0.05"), -5),
        ({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}, Decimal(-7), -700),
        ({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}, Decimal("1.2500"), 125),
        ({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}, Decimal("-1.2345"), "-1.2345"),
        (
            {"type": "fixed", "name": "f", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 3},
            Decimal("-2.500"),
            -250,
        ),
        ("int", 3, 300),
    ],
)
@pytest.mark.parametrize("is_null", [False, True])
def test_decimals_of_other_scales_keep_their_value(kind: Any, sent: Any, stored: Any, is_null: bool) -> None:
    fields = [*MANDATORY[:2], {"name": "price", "type": ["null", kind] if is_null else kind}]
    data = file_of_others(fields, [{**SENT, "price": sent}])
    [row] = read(data)
    assert row[AT["price"]] == stored
    if isinstance(stored, str):
        [record] = AvroRows(ORDERS, io.BytesIO(data))
        assert isinstance(record, Record)
        assert record.fields is not None
        assert record.fields[AT["price"]] == stored.encode()
        assert record.checked is not None
        assert [problem.code for problem in record.checked.problems] == ["too_many_decimals"]


@pytest.mark.parametrize("scale", [0, 2, 900])
def test_a_decimal_of_any_length_is_out_of_range_at_once(scale: int) -> None:
    number = {"type": "bytes", "logicalType": "decimal", "precision": 1000, "scale": scale}
    data = file_of_others(
        [*MANDATORY[:2], {"name": "price", "type": "bytes"}], [{**SENT, "price": b"\x01" * 3_000_000}]
    )
    declared = json.dumps({"name": "price", "type": number})[:-1]
    plain = json.dumps({"name": "price", "type": "bytes"})[:-1]
    with_logical_type = _with_schema(data, plain, declared)
    [record] = AvroRows(ORDERS, io.BytesIO(with_logical_type))
    assert isinstance(record, Record)
    assert record.checked is not None
    assert [problem.code for problem in record.checked.problems] == ["out_of_range"]


def _with_schema(data: bytes, old: str, new: str) -> bytes:
    """Replace a part of the schema of a file, and the length of the schema."""
    from chalicelib.formats.avro import _long
    from chalicelib.formats.avro_container import Container

    schema = Container(io.BytesIO(data)).schema
    changed = schema.replace(old.encode(), new.encode())
    assert changed != schema
    return data.replace(_long(len(schema)) + schema, _long(len(changed)) + changed)


def test_booleans_are_read_by_both_decoders() -> None:
    for kind in ("boolean", ["boolean", "null"]):
        data = file_of_others(
            [*MANDATORY, {"name": "paid", "type": kind}], [{**SENT, "paid": paid} for paid in (True, False)]
        )
        assert [row[AT["paid"]] for row in read(data)] == [True, False]


def test_a_negative_number_of_a_branch_is_damage() -> None:
    fields = [*MANDATORY, {"name": "count", "type": ["null", "long"]}]
    data = file_of_others(fields, [{**SENT, "count": 5}])
    before, _, after = data.rpartition(b"\x02\x0a" + b"s" * 16)
    damaged = before + b"\x01\x0a" + b"s" * 16 + after
    assert (len(damaged), after) == (len(data), b"")
    with pytest.raises(LoadError, match="damaged"):
        read(damaged)


def test_every_cut_of_a_block_is_damage_or_truncation() -> None:
    data = file_of([order(note="x", paid=True, weight=-1), order(id=2)])
    for end, is_trusted in itertools.product(range(len(data) - 40, len(data)), (True, False)):
        with pytest.raises(LoadError):
            read(data[:end], is_trusted=is_trusted)


def test_the_schema_names_the_references() -> None:
    fields = {field["name"]: field for field in avro.schema(ORDERS)["fields"]}
    assert {name: field["references"] for name, field in fields.items() if "references" in field} == {
        "user": "user",
        "from": "user",
    }
    assert fields["from"] == {"name": "from", "type": ["null", "int"], "doc": "", "default": None, "references": "user"}
    assert fields["since"]["default"] == (date(2021, 7, 27) - date(1970, 1, 1)).days
