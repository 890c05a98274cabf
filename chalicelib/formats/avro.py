"""Writes and reads the Avro files of a dataset. Files that other programs have written can be read, too.

fastavro writes the files. To read a file, `avro_container` splits it into blocks, and fastavro decodes the records of
each block if all fields are plain (`AvroFields.are_plain`). `avro_values` decodes the blocks of other files. fastavro
gets a schema without logical types, so instants and dates stay integers. Creating objects such as datetime would take
longer than the rest of the reading.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Protocol

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Readable
from chalicelib.formats import avro_values
from chalicelib.formats.avro_codecs import damaged
from chalicelib.formats.avro_container import Container
from chalicelib.formats.avro_fields import AvroFields
from chalicelib.formats.avro_schemas import AvroType, Coding, DecimalType
from chalicelib.formats.gzip_stream import Expansion

CONTENT_TYPE = "application/avro"
_ROWS = 4096  # the most rows that `records` yields at a time
_SYNC = b"hireflow's blocks"[:16]
_BEYOND = bytes(16)  # zeros that follow a block that fastavro decodes
# A function of the number of rows in a block and the bytes of the block. It yields the rows.
Decoder = Callable[[int, bytes], Iterator[list[tuple[Any, ...]]]]


class Writable(Protocol):
    """The target to which an Avro file is written."""

    def write(self, data: bytes, /) -> Any: ...


def schema(dataset: Dataset) -> dict[str, Any]:
    """Return the Avro schema of a dataset's files.

    Ids are int, texts are string, instants are long timestamp-micros (UTC), dates are int date, whole numbers are long,
    booleans are boolean, and decimals are bytes decimal. The type of an optional column is a union with null. The
    attribute `references` of a field names the dataset to which the column refers.
    """
    fields = [_field(column) for column in dataset.columns]
    return {"type": "record", "name": dataset.name, "namespace": "hireflow", "fields": fields}


def _field(column: Column) -> dict[str, Any]:
    field = {"name": column.name, "type": _type(column, column.kind.avro), "doc": column.about}
    if column.optional:
        field["default"] = None  # Avro demands that the default has the first type of the union
    elif column.default is not None:
        field["default"] = column.kind.avro_default(column.kind.check(column.default))
    if column.parent is not None:
        field["references"] = column.parent
    return field


def _type(column: Column, kind: Any) -> Any:
    return ["null", kind] if column.optional else kind


def fingerprint(datasets: Iterable[Dataset]) -> str:
    """Return 16 hexadecimal digits. They depend on the names and types of the columns, but not on the descriptions.

    Avro's own fingerprint is not used, because its canonical form leaves out logical types.
    """
    shape = [[d.name, [[c.name, _type(c, c.kind.avro)] for c in d.columns]] for d in datasets]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def write(dataset: Dataset, blocks: Iterable[Sequence[Sequence[Any]]], target: Writable) -> None:
    """Write an Avro file with the codec deflate. A block has one sequence of values for each column. The values have
    the written form of their kinds, and None stands for null."""
    from fastavro import writer

    # These loops run in C. A generator would be slower, because Python would resume its frame for every row.
    records = chain.from_iterable(
        map(dict, map(zip, repeat(dataset.column_names), zip(*map(_branches, dataset.columns, columns), strict=True)))
        for columns in blocks
    )
    # fastavro converts every value that has a logical type. With a schema without logical types, it writes the same
    # bytes faster.
    plain, sync = _plain(dataset), os.urandom(16)
    target.write(_head(schema(dataset), "deflate", sync))
    sink: Any = _Sink(target, skip=len(_head(plain, "deflate", sync)))  # has only the methods that fastavro calls
    # Larger blocks would make the file 1 % smaller, but writing them would take longer.
    writer(sink, plain, records, codec="deflate", sync_marker=sync)


def _branches(column: Column, values: Sequence[Any]) -> Iterable[Any]:
    """Return the values of a column for fastavro. A value of a union gets the name of its branch, because fastavro
    would otherwise try all branches."""
    if not column.optional:
        return values
    branch = column.kind.avro_plain
    if None not in values:
        return zip(repeat(branch), values)
    return [None if value is None else (branch, value) for value in values]


def records(
    dataset: Dataset,
    stream: Readable,
    expansion: Expansion | None = None,
    *,
    skip: int = 0,
    is_trusted: bool = False,
) -> Iterator[list[tuple[Any, ...]]]:
    """Read an Avro file of this dataset. Yield lists of at most 4096 rows. The first `skip` rows are left out.

    The values of a row are in the order of the dataset's columns, in the stored form of their kinds. None stands for
    null, and ABSENT for a column that the file lacks. Bytes that are not UTF-8 become lone surrogates, so that the
    rules reject only the row that has them. The module `avro_fields` says how the fields of the file become columns.

    The stream is read once, to its end. The needed memory is bounded for every file. With `expansion`, the decompressed
    size is bounded, too. A trusted file is one of our own restore points, whose checksum is known.

    Raises LoadError if the file is not an Avro file, is truncated or damaged, or lacks a column. Exceptions of the
    stream are raised unchanged.
    """
    container = Container(stream, expansion)
    fields = AvroFields.of(dataset, container.schema, is_trusted=is_trusted)
    return rows_of(container, fields, skip=skip, is_trusted=is_trusted)


def rows_of(
    container: Container, fields: AvroFields, *, skip: int = 0, is_trusted: bool = False
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield lists of rows of an opened file, as `records` does. The rows have the columns of `fields`."""
    decoded = _fast_decoder(fields) if fields.are_plain(is_trusted=is_trusted) else _decoder(fields)
    for count, block in container.blocks():
        if skip and skip >= count:  # all rows of this block are left out
            skip -= count
            continue
        for rows in decoded(count, block):
            if skip < len(rows):
                yield fields.converted(rows[skip:] if skip else rows)
            skip = max(0, skip - len(rows))


def _decoder(fields: AvroFields) -> Decoder:
    """Return the decoder for a file that may have unions, and ignored fields of any type."""
    typed = tuple(zip(fields.types, fields.places, strict=True))

    def decoded(count: int, block: bytes) -> Iterator[list[tuple[Any, ...]]]:
        rows = avro_values.rows(typed, len(fields.columns), count, block)
        while batch := list(islice(rows, _ROWS)):
            yield batch

    return decoded


def _fast_decoder(fields: AvroFields) -> Decoder:
    """Return the decoder for a file whose fields are plain (see `AvroFields.are_plain`).

    fastavro gets each block as a separate file, because it reads a file several times faster than single records.
    Zeros follow the block. If the rows of a damaged block go on after the end of the block, fastavro reads these zeros
    without an error. Then the position of fastavro is not the end of the block, and the decoder raises LoadError.
    """
    from fastavro import block_reader

    head = _head(_plain_schema(fields), "null", _SYNC)
    names = [f"f{fields.places.index(place)}" for place in range(len(fields.columns))]

    def decoded(count: int, block: bytes) -> Iterator[list[tuple[Any, ...]]]:
        body = BytesIO(b"".join((head, _long(count), _long(len(block) + len(_BEYOND)), block, _BEYOND, _SYNC)))
        try:
            records: Any  # the stub of fastavro leaves out `bytes_`
            [records] = block_reader(body, handle_unicode_errors="surrogateescape")
            # `itemgetter` returns a tuple only for several names
            rows = map(itemgetter(*names), records) if len(names) > 1 else zip(map(itemgetter(*names), records))
            while batch := list(islice(rows, _ROWS)):
                yield batch
            if records.bytes_.tell() != len(block):
                raise damaged()
        except LoadError:
            raise
        except Exception as error:  # fastavro does not convert the exceptions of its parser
            raise damaged() from error

    return decoded


def _plain_schema(fields: AvroFields) -> Any:
    """Return a schema with which fastavro reads plain fields. It has neither names nor logical types of the file.

    Fields whose values take no bytes are left out, because a file could have any number of them.
    """
    declared = [
        {"name": f"f{at}", "type": _plain_type(kind, f"fixed{at}", is_read=place is not None)}
        for at, (kind, place) in enumerate(zip(fields.types, fields.places, strict=True))
        if not kind.is_empty
    ]
    return {"type": "record", "name": "row", "fields": declared}


def _plain_type(kind: AvroType, name: str, *, is_read: bool) -> Any:
    """Return the type with which fastavro reads a field or a branch of its union. `name` is for a type with a fixed
    number of bytes."""
    if kind.coding is Coding.UNION:
        return ["null" if part.name == "null" else _plain_type(part, name, is_read=is_read) for part in kind.parts]
    if kind.coding is Coding.VARINT:
        return "long"
    if kind.coding is Coding.BYTES:
        return "string" if is_read and not isinstance(kind, DecimalType) else "bytes"
    return "boolean" if kind.name == "boolean" else {"type": "fixed", "name": name, "size": kind.size}


def _head(declared: Any, codec: str, sync: bytes) -> bytes:
    """Return the head of a file. A file without rows consists of its head only."""
    from fastavro import writer

    file = BytesIO()
    writer(file, declared, [], codec=codec, sync_marker=sync)
    return file.getvalue()


def _long(value: int) -> bytes:
    """Encode a value that is not negative as a zig-zag varint."""
    value <<= 1
    coded = bytearray()
    while value >= 0x80:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*coded, value))


def _plain(dataset: Dataset) -> Any:
    """Return the schema of a dataset without logical types."""
    from fastavro import parse_schema

    fields = [{"name": column.name, "type": _type(column, column.kind.avro_plain)} for column in dataset.columns]
    return parse_schema({"type": "record", "name": "row", "fields": fields})


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
