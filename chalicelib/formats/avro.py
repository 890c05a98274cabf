"""Writes and reads the Avro files of a dataset. Files that other programs have written can be read, too.

fastavro writes the files. To read a file, `avro_container` splits it into blocks, and fastavro decodes the records of
each block. fastavro gets a schema without logical types, so instants stay integers of microseconds. Creating datetime
objects would take longer than the rest of the reading.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Protocol

from chalicelib.core.datasets import Dataset, Kind
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Readable
from chalicelib.formats.avro_container import Container, damaged
from chalicelib.formats.gzip_stream import Expansion

CONTENT_TYPE = "application/avro"
_ROWS = 4096  # the most rows that `records` yields at a time
_SYNC = b"hireflow's blocks"[:16]
_TYPES: dict[Kind, Any] = {
    Kind.ID: "int",
    Kind.TEXT: "string",
    Kind.INSTANT: {"type": "long", "logicalType": "timestamp-micros"},
}
_PLAIN = {Kind.ID: "int", Kind.TEXT: "string", Kind.INSTANT: "long"}


class Writable(Protocol):
    """The target to which an Avro file is written."""

    def write(self, data: bytes, /) -> Any: ...


def schema(dataset: Dataset) -> dict[str, Any]:
    """Return the Avro schema of a dataset: ids are int, texts are string, instants are long timestamp-micros (UTC)."""
    fields = [{"name": c.name, "type": _TYPES[c.kind], "doc": c.about} for c in dataset.columns]
    return {"type": "record", "name": dataset.name, "namespace": "hireflow", "fields": fields}


def fingerprint(datasets: Iterable[Dataset]) -> str:
    """Return 16 hexadecimal digits. They depend on the names and types of the columns, but not on the descriptions.

    Avro's own fingerprint is not used, because its canonical form leaves out logical types.
    """
    shape = [[d.name, [[c.name, _TYPES[c.kind]] for c in d.columns]] for d in datasets]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def write(dataset: Dataset, blocks: Iterable[Sequence[Sequence[Any]]], target: Writable) -> None:
    """Write an Avro file with the codec deflate. A block has one sequence of values for each column. Ids are int, texts
    are str, and instants are int microseconds since 1970 UTC."""
    from fastavro import writer

    # These loops run in C. A generator would be slower, because Python would resume its frame for every row.
    records = chain.from_iterable(
        map(dict, map(zip, repeat(dataset.column_names), zip(*columns, strict=True))) for columns in blocks
    )
    # fastavro converts every value that has a logical type. With a schema without logical types, it writes the same
    # bytes faster.
    plain, sync = _plain(dataset, dataset.column_names), os.urandom(16)
    target.write(_head(schema(dataset), "deflate", sync))
    sink: Any = _Sink(target, skip=len(_head(plain, "deflate", sync)))  # has only the methods that fastavro calls
    # Larger blocks would make the file 1 % smaller, but writing them would take longer.
    writer(sink, plain, records, codec="deflate", sync_marker=sync)


def records(
    dataset: Dataset, stream: Readable, expansion: Expansion | None = None, *, skip: int = 0
) -> Iterator[list[tuple[Any, ...]]]:
    """Read an Avro file of this dataset. Yield lists of at most 4096 rows. The first `skip` rows are left out.

    The values of a row are in the order of the dataset's columns: ids as int, texts as str, instants as int
    microseconds since 1970 UTC. Bytes that are not UTF-8 become lone surrogates, so that the rules reject only the row
    that has them. The fields of the file may be in any order.

    The stream is read once, to its end. The needed memory is bounded for every file. With `expansion`, the decompressed
    size is bounded, too.

    Raises LoadError if the file is not an Avro file, is truncated or damaged, or has another schema. Exceptions of the
    stream are raised unchanged.
    """
    container = Container(stream, expansion)
    head, sentinel = _framing(dataset, _plain_schema(dataset, container.schema))
    for count, block in container.blocks():
        if skip and skip >= count:  # all rows of this block are left out
            skip -= count
            continue
        for rows in _decoded(dataset, head, sentinel, count, block):
            if skip < len(rows):
                yield rows[skip:] if skip else rows
            skip = max(0, skip - len(rows))


def _decoded(
    dataset: Dataset, head: bytes, sentinel: bytes, count: int, block: bytes
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a block. The block is decoded as a file of its own, because fastavro reads a file several times
    faster than single records. A sentinel row is put after the last row. If fastavro does not return the sentinel row
    there, the block is damaged."""
    from fastavro import reader

    body = BytesIO(b"".join((head, _long(count + 1), _long(len(block) + len(sentinel)), block, sentinel, _SYNC)))
    row: Callable[[Any], tuple[Any, ...]] = itemgetter(*dataset.column_names)
    try:
        rows = map(row, reader(body, handle_unicode_errors="surrogateescape"))
        while count:
            batch = list(islice(rows, min(count, _ROWS)))
            if len(batch) != min(count, _ROWS):
                raise damaged()
            count -= len(batch)
            yield batch
        if next(rows) != _sentinel(dataset):
            raise damaged()
    except LoadError:
        raise
    except Exception as error:  # fastavro raises exceptions of many types for a damaged block
        raise damaged() from error


def _framing(dataset: Dataset, plain: Any) -> tuple[bytes, bytes]:
    """Return the head of an uncompressed file with the schema `plain`, and the encoded sentinel row."""
    from fastavro import schemaless_writer

    row = BytesIO()
    schemaless_writer(row, plain, dict(zip(dataset.column_names, _sentinel(dataset), strict=True)))
    return _head(plain, "null", _SYNC), row.getvalue()


def _head(declared: Any, codec: str, sync: bytes) -> bytes:
    """Return the head of a file. A file without rows consists of its head only."""
    from fastavro import writer

    file = BytesIO()
    writer(file, declared, [], codec=codec, sync_marker=sync)
    return file.getvalue()


def _sentinel(dataset: Dataset) -> tuple[Any, ...]:
    """Return the sentinel row, which is put after the last row of a block."""
    values = {Kind.ID: -20_210_727, Kind.TEXT: "\0 end of the block \0", Kind.INSTANT: -(2**62)}
    return tuple(values[column.kind] for column in dataset.columns)


def _long(value: int) -> bytes:
    """Encode a value that is not negative as a zig-zag varint."""
    value <<= 1
    coded = bytearray()
    while value >= 0x80:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*coded, value))


def _plain_schema(dataset: Dataset, text: bytes) -> Any:
    """Return the file's schema without logical types, in the form that fastavro needs. Raises LoadError if the columns
    and types of the file are not those of `dataset`."""
    try:
        fields = [(field["name"], _bare(field["type"])) for field in json.loads(text)["fields"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LoadError(f"the Avro schema is not that of {dataset.name}") from error
    expected = [(column.name, _TYPES[column.kind]) for column in dataset.columns]
    if len(fields) != len(expected) or any(field not in fields for field in expected):
        shown = ", ".join(f"{c.name} {_shown(_TYPES[c.kind])}" for c in dataset.columns)
        raise LoadError(f"the Avro schema is not that of {dataset.name} ({shown})")
    return _plain(dataset, [name for name, _ in fields])


def _plain(dataset: Dataset, names: Sequence[str]) -> Any:
    """Return the schema of a dataset without logical types. The fields of the schema are in the order of `names`."""
    from fastavro import parse_schema

    kinds = {column.name: _PLAIN[column.kind] for column in dataset.columns}
    return parse_schema(
        {"type": "record", "name": "row", "fields": [{"name": name, "type": kinds[name]} for name in names]}
    )


def _bare(kind: Any) -> Any:
    """Return a field's type with only those properties that affect the stored values."""
    if not isinstance(kind, dict):
        return kind
    kept = {key: kind[key] for key in ("type", "logicalType") if key in kind}
    return kept["type"] if list(kept) == ["type"] else kept


def _shown(kind: Any) -> str:
    return f"{kind['type']} {kind['logicalType']}" if isinstance(kind, dict) else str(kind)


class _Sink:
    """Presents a target to fastavro as a file. The file is not seekable, so fastavro writes it from its beginning."""

    def __init__(self, target: Writable, skip: int) -> None:
        self._target, self._skip = target, skip

    def write(self, data: bytes) -> int:
        """Pass the data on, without the first `skip` bytes of the file. These bytes are the head that fastavro writes,
        and the target already has a head."""
        self._target.write(data[self._skip :])
        self._skip = max(0, self._skip - len(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing, because the target decides when it sends its data."""

    def seekable(self) -> bool:
        return False
