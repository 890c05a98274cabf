"""Avro files of a dataset: their schema, how they are written, and how anybody's are read.

fastavro writes the files. Reading, it decodes records only (`avro_container` opens the file), and under a
schema without logical types, so that instants stay integers of microseconds: datetime objects would
cost more than all the rest.
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
_ROWS = 4096  # rows handed out at a time
_SYNC = b"hireflow's blocks"[:16]
_TYPES: dict[Kind, Any] = {
    Kind.ID: "int",
    Kind.TEXT: "string",
    Kind.INSTANT: {"type": "long", "logicalType": "timestamp-micros"},
}
_PLAIN = {Kind.ID: "int", Kind.TEXT: "string", Kind.INSTANT: "long"}


class Writable(Protocol):
    """Where an Avro file goes."""

    def write(self, data: bytes, /) -> Any: ...


def schema(dataset: Dataset) -> dict[str, Any]:
    """The Avro schema of a dataset: ids are int, texts string, instants long timestamp-micros (UTC)."""
    fields = [{"name": c.name, "type": _TYPES[c.kind], "doc": c.about} for c in dataset.columns]
    return {"type": "record", "name": dataset.name, "namespace": "hireflow", "fields": fields}


def fingerprint(datasets: Iterable[Dataset]) -> str:
    """16 hexadecimal digits that change with the name or type of any column, not with documentation.

    Not Avro's own fingerprint: its canonical form leaves logical types out.
    """
    shape = [[d.name, [[c.name, _TYPES[c.kind]] for c in d.columns]] for d in datasets]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def write(dataset: Dataset, blocks: Iterable[Sequence[Sequence[Any]]], target: Writable) -> None:
    """Write blocks of rows, given by column (int, str, int microseconds since 1970 UTC), as a deflated Avro file."""
    from fastavro import writer

    # Loops in C: a generator's frame for every row would be a tenth of the time.
    records = chain.from_iterable(
        map(dict, map(zip, repeat(dataset.column_names), zip(*columns, strict=True))) for columns in blocks
    )
    # fastavro looks at every value that has a logical type; under the plain schema it writes the same bytes sooner.
    plain, sync = _plain(dataset, dataset.column_names), os.urandom(16)
    target.write(_head(schema(dataset), "deflate", sync))
    sink: Any = _Sink(target, skip=len(_head(plain, "deflate", sync)))  # all of a file that fastavro needs
    writer(sink, plain, records, codec="deflate", sync_marker=sync)  # larger blocks are slower, and save 1 %


def records(
    dataset: Dataset, stream: Readable, expansion: Expansion | None = None, *, skip: int = 0
) -> Iterator[list[tuple[Any, ...]]]:
    """Read an Avro file of this dataset: lists of at most 4096 rows, in column order, without the first `skip` rows.

    Rows are int ids, str texts (bytes that are not UTF-8 become lone surrogates, for the rules to
    reject that row only) and int microseconds since 1970 UTC. The stream is read once, to its end;
    memory stays bounded whatever the file says, and so does the work where `expansion` counts it. Fields
    may come in any order.
    Raises LoadError for a file that is not Avro, cut short, damaged or of another schema; what the
    stream raises passes through.
    """
    container = Container(stream, expansion)
    head, sentinel = _framing(dataset, _plain_schema(dataset, container.schema))
    for count, block in container.blocks():
        if skip and skip >= count:  # an earlier reader has decoded it
            skip -= count
            continue
        for rows in _decoded(dataset, head, sentinel, count, block):
            if skip < len(rows):
                yield rows[skip:] if skip else rows
            skip = max(0, skip - len(rows))


def _decoded(
    dataset: Dataset, head: bytes, sentinel: bytes, count: int, block: bytes
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a block: as a file of its own, which fastavro reads several times faster than single
    records. A row of ours after the last one tells whether the block was read to its very end."""
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
    except Exception as error:  # fastavro raises whatever its parser trips over
        raise damaged() from error


def _framing(dataset: Dataset, plain: Any) -> tuple[bytes, bytes]:
    """The head of an uncompressed file of that schema, and a row that no block ends with by chance."""
    from fastavro import schemaless_writer

    row = BytesIO()
    schemaless_writer(row, plain, dict(zip(dataset.column_names, _sentinel(dataset), strict=True)))
    return _head(plain, "null", _SYNC), row.getvalue()


def _head(declared: Any, codec: str, sync: bytes) -> bytes:
    """The beginning of a file: all of one without rows."""
    from fastavro import writer

    file = BytesIO()
    writer(file, declared, [], codec=codec, sync_marker=sync)
    return file.getvalue()


def _sentinel(dataset: Dataset) -> tuple[Any, ...]:
    values = {Kind.ID: -20_210_727, Kind.TEXT: "\0 end of the block \0", Kind.INSTANT: -(2**62)}
    return tuple(values[column.kind] for column in dataset.columns)


def _long(value: int) -> bytes:
    """A zig-zag varint, of a value that is not negative."""
    value <<= 1
    coded = bytearray()
    while value >= 0x80:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*coded, value))


def _plain_schema(dataset: Dataset, text: bytes) -> Any:
    """The file's schema as fastavro wants it, without logical types; LoadError unless it is ours."""
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
    """The schema of a dataset without logical types, its fields in the order of `names`."""
    from fastavro import parse_schema

    kinds = {column.name: _PLAIN[column.kind] for column in dataset.columns}
    return parse_schema(
        {"type": "record", "name": "row", "fields": [{"name": name, "type": kinds[name]} for name in names]}
    )


def _bare(kind: Any) -> Any:
    """A field's type without the properties that do not change what is stored."""
    if not isinstance(kind, dict):
        return kind
    kept = {key: kind[key] for key in ("type", "logicalType") if key in kind}
    return kept["type"] if list(kept) == ["type"] else kept


def _shown(kind: Any) -> str:
    return f"{kind['type']} {kind['logicalType']}" if isinstance(kind, dict) else str(kind)


class _Sink:
    """A target as the file fastavro writes to; saying that it cannot seek means that it is new."""

    def __init__(self, target: Writable, skip: int) -> None:
        self._target, self._skip = target, skip

    def write(self, data: bytes) -> int:
        """All but the first `skip` bytes, a head that the target already has its own of."""
        self._target.write(data[self._skip :])
        self._skip = max(0, self._skip - len(data))
        return len(data)

    def flush(self) -> None:
        """The target decides when to send."""

    def seekable(self) -> bool:
        return False
