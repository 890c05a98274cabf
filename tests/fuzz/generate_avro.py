"""Generates Avro files from a seed: valid files, files with a few changes, and random bytes."""

import bz2
import io
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import cramjam
import fastavro
import zstandard

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.formats import avro
from tests.fuzz.mutate import mutated

_AVRO_TOKENS = (
    b"\0",
    b"\xff" * 10,
    b"\x80\x80\x80\x80\x01",
    b"\x02",
    b"\x01",
    b"Obj\x01",
    b"\xfe\xff\xff\xff\x0f",
    b"{",
    b"int",
    b"long",
    b"Null",
    b"\0\x02\0",
    b"\x03\x04",
)


def avro_files() -> list[tuple[Dataset, bytes]]:
    """Return valid Avro files, each with its dataset. For each dataset, Hireflow's writer writes one file. The library
    fastavro writes five files, one in each codec, with the columns in another order, and one file with unions and
    ignored fields."""
    found = []
    rows: dict[str, list[tuple[Any, ...]]] = {
        "departments": [(1, "Sales"), (2, "Ops"), (3, " padded "), (0, "")],
        "hired_employees": [
            (7, "Jos\xe9 \U0001f389", 1_627_401_728_000_000, 1, 2),
            (8, "x" * 90, -62_135_596_800_000_000, 2, 1),
        ],
    }
    for name, table in rows.items():
        dataset, file = DATASETS[name], io.BytesIO()
        avro.write(dataset, [tuple(zip(*table, strict=True)), tuple(zip(*table[:1], strict=True))], file)
        found.append((dataset, file.getvalue()))
        reordered = avro.schema(dataset)
        reordered["fields"].reverse()
        records = [dict(zip(dataset.column_names, row, strict=True)) for row in table]
        for codec in ("null", "deflate", "bzip2", "snappy", "zstandard"):
            other = io.BytesIO()
            fastavro.writer(other, reordered, records * 3, codec="null", sync_interval=40)
            found.append((dataset, repacked(other.getvalue(), codec)))
        found.append((dataset, _of_another_shape(dataset, records)))
    return found


_IGNORED: list[dict[str, Any]] = [
    {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
    {"name": "nothings", "type": {"type": "array", "items": "null"}},
    {"name": "salary", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["ACTIVE", "GONE"]}},
    {
        "name": "boss",
        "type": ["null", {"type": "record", "name": "Boss", "fields": [{"name": "above", "type": ["null", "Boss"]}]}],
    },
]
_OTHERWISE: dict[Kind, Any] = {
    Kind.ID: ["null", "long"],
    Kind.TEXT: ["string", "null"],
    Kind.INSTANT: ["null", {"type": "long", "logicalType": "timestamp-millis"}],
}


def _of_another_shape(dataset: Dataset, records: list[dict[str, Any]]) -> bytes:
    fields = [{"name": column.name.title(), "type": _OTHERWISE[column.kind]} for column in dataset.columns]
    schema = {
        "type": "record",
        "name": "Row",
        "namespace": "com.example",
        "fields": [_IGNORED[0], *fields, *_IGNORED[1:]],
    }
    ignored = {"tags": ["a", None], "nothings": [None] * 3, "salary": None, "state": "GONE", "boss": {"above": None}}
    rows = [{name.title(): value for name, value in record.items()} | ignored for record in records]
    rows[-1] |= {"Id": None, "boss": None, "tags": []}
    for row in rows:
        if "Datetime" in row:
            row["Datetime"] //= 1000
    file = io.BytesIO()
    fastavro.writer(file, schema, rows, codec="null", sync_interval=40)
    return file.getvalue()


def repacked(data: bytes, codec: str) -> bytes:
    """Return an Avro file of the codec null with another codec."""
    pack: Callable[[bytes], bytes] = {
        "null": bytes,
        "deflate": lambda block: zlib.compress(block, wbits=-15),
        "bzip2": bz2.compress,
        "snappy": lambda block: bytes(cramjam.snappy.compress_raw(block)) + zlib.crc32(block).to_bytes(4, "big"),
        "zstandard": zstandard.ZstdCompressor().compress,
    }[codec]
    file, source = io.BytesIO(), fastavro.block_reader(io.BytesIO(data))
    sync = data[-16:]
    fastavro.writer(file, source.writer_schema, [], codec="null", sync_marker=sync)
    parts = [file.getvalue().replace(b"\x14avro.codec\x08null", b"\x14avro.codec" + packed_text(codec.encode()))]
    block: Any  # the stub of fastavro leaves out `bytes_`
    for block in fastavro.block_reader(io.BytesIO(data)):
        packed = pack(block.bytes_.read())
        parts += [zigzag(block.num_records), packed_text(packed), sync]
    return b"".join(parts)


def packed_text(data: bytes) -> bytes:
    return zigzag(len(data)) + data


def zigzag(value: int) -> bytes:
    """Encode a number that is not negative as Avro does."""
    value, coded = 2 * value, b""
    while value > 0x7F:
        coded, value = coded + bytes([value & 0x7F | 0x80]), value >> 7
    return coded + bytes([value])


def avro_input(random: Random, valid_files: list[tuple[Dataset, bytes]]) -> tuple[Dataset, bytes]:
    """Return a dataset and the bytes of a file: a valid Avro file, an Avro file with changes, or random bytes."""
    dataset, data = random.choice(valid_files)
    kind = random.random()
    if kind < 0.03:
        return dataset, b"Obj\x01"[: random.randrange(5)] + random.randbytes(random.randrange(100))
    if kind < 0.05:
        return dataset, data
    if kind < 0.5:  # change only bytes after the header, where the rows are
        start = data.rindex(data[-16:], 0, len(data) - 16) if data.count(data[-16:]) > 1 else 0
        start = data.index(data[-16:]) if start else 0
        return dataset, data[:start] + mutated(random, data[start:], _AVRO_TOKENS)
    return dataset, mutated(random, data, _AVRO_TOKENS)
