"""The Avro files of a dataset: their schema, a writer, and a reader that also reads the files of other programs.

fastavro writes the files. To read a file, `avro_container` splits it into blocks, and fastavro decodes the records of
each block. It decodes them with a schema without logical types, so instants stay integers of microseconds. Creating
datetime objects would take longer than the rest of the reading.
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
_ROWS = 4096  # `records` yields at most so many rows at a time
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
    """Return 16 hexadecimal digits that change if the name or type of a column changes, but not with documentation.

    Avro's own fingerprint is not used, because its canonical form leaves out logical types.
    """
    shape = [[d.name, [[c.name, _TYPES[c.kind]] for c in d.columns]] for d in datasets]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def write(dataset: Dataset, blocks: Iterable[Sequence[Sequence[Any]]], target: Writable) -> None:
    """Write an Avro file with the codec deflate. Each block has its rows by column: ids as int, texts as str, instants
    as int microseconds since 1970 UTC."""
    from fastavro import writer

    # These loops run in C. A generator would resume a frame for every row, which takes a tenth of the time.
    records = chain.from_iterable(
        map(dict, map(zip, repeat(dataset.column_names), zip(*columns, strict=True))) for columns in blocks
    )
    # fastavro converts every value that has a logical type. With the plain schema it writes the same bytes faster.
    plain, sync = _plain(dataset, dataset.column_names), os.urandom(16)
    target.write(_head(schema(dataset), "deflate", sync))
    sink: Any = _Sink(target, skip=len(_head(plain, "deflate", sync)))  # a file, with the methods that fastavro calls
    writer(sink, plain, records, codec="deflate", sync_marker=sync)  # larger blocks would save 1 %, but are slower


def records(
    dataset: Dataset, stream: Readable, expansion: Expansion | None = None, *, skip: int = 0
) -> Iterator[list[tuple[Any, ...]]]:
    """Read an Avro file of this dataset. Yields lists of at most 4096 rows, without the first `skip` rows.

    The values of a row are in the order of the dataset's columns: ids as int, texts as str, instants as int
    microseconds since 1970 UTC. Bytes that are not UTF-8 become lone surrogates, so that the rules reject only the row
    that has them. The fields of the file may be in any order.

    The stream is read once, to its end. Memory is bounded for every file. With `expansion`, the work is bounded, too.

    Raises LoadError if the file is not an Avro file, is truncated or damaged, or has another schema. Exceptions of the
    stream are raised unchanged.
    """
    container = Container(stream, expansion)
    head, sentinel = _framing(dataset, _plain_schema(dataset, container.schema))
    for count, block in container.blocks():
        if skip and skip >= count:  # an earlier reader has decoded this block
            skip -= count
            continue
        for rows in _decoded(dataset, head, sentinel, count, block):
            if skip < len(rows):
                yield rows[skip:] if skip else rows
            skip = max(0, skip - len(rows))


def _decoded(
    dataset: Dataset, head: bytes, sentinel: bytes, count: int, block: bytes
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a block. The block is decoded as a separate file, because fastavro reads a file several times
    faster than single records. A sentinel row after the last row shows whether the block was read to its end."""
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
    except Exception as error:  # fastavro does not convert the exceptions of its parser
        raise damaged() from error


def _framing(dataset: Dataset, plain: Any) -> tuple[bytes, bytes]:
    """Return the head of an uncompressed file with the schema `plain`, and the encoded sentinel row."""
    from fastavro import schemaless_writer

    row = BytesIO()
    schemaless_writer(row, plain, dict(zip(dataset.column_names, _sentinel(dataset), strict=True)))
    return _head(plain, "null", _SYNC), row.getvalue()


def _head(declared: Any, codec: str, sync: bytes) -> bytes:
    """Return the head of a file, which is the same as a whole file without rows."""
    from fastavro import writer

    file = BytesIO()
    writer(file, declared, [], codec=codec, sync_marker=sync)
    return file.getvalue()


def _sentinel(dataset: Dataset) -> tuple[Any, ...]:
    """Return the row that is put after a block, to show that the block was read to its end."""
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
    """Return the file's schema without logical types, in the form that fastavro needs. Raises LoadError if the file
    has not the columns and types of `dataset`."""
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
    """Return the schema of a dataset without logical types. Its fields have the order of `names`."""
    from fastavro import parse_schema

    kinds = {column.name: _PLAIN[column.kind] for column in dataset.columns}
    return parse_schema(
        {"type": "record", "name": "row", "fields": [{"name": name, "type": kinds[name]} for name in names]}
    )


def _bare(kind: Any) -> Any:
    """Return a field's type without the properties that do not change the stored values."""
    if not isinstance(kind, dict):
        return kind
    kept = {key: kind[key] for key in ("type", "logicalType") if key in kind}
    return kept["type"] if list(kept) == ["type"] else kept


def _shown(kind: Any) -> str:
    return f"{kind['type']} {kind['logicalType']}" if isinstance(kind, dict) else str(kind)


class _Sink:
    """Presents a target to fastavro as a file. fastavro takes a file that is not seekable for a new one."""

    def __init__(self, target: Writable, skip: int) -> None:
        self._target, self._skip = target, skip

    def write(self, data: bytes) -> int:
        """Pass everything on except the first `skip` bytes: fastavro's head, which the target already has."""
        self._target.write(data[self._skip :])
        self._skip = max(0, self._skip - len(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: the target decides when it sends."""

    def seekable(self) -> bool:
        return False
