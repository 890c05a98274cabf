"""Decodes Avro blocks that fastavro does not read safely: with unions for columns, or any type in ignored fields.

Values of such types have counts (of array items) or choices (of a union's branch), and fastavro trusts them. This
module does not: it skips items that take no bytes without a loop. All other values take at least one byte each, so the
size of the block limits the work.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from chalicelib.formats.avro_codecs import damaged
from chalicelib.formats.avro_schemas import AvroType, Coding, DecimalType

Value = int | str | bytes | None
# A function of a block and a position in it. It returns the value at this position, and the position after the value.
Read = Callable[[bytes, int], tuple[Value, int]]
_DEEPEST = 64  # the most levels of a value
_MOST_BITS = 63  # the most bits before the last byte of a varint


def rows(
    fields: Sequence[tuple[AvroType, int | None]], width: int, count: int, block: bytes
) -> Iterator[tuple[Value, ...]]:
    """Yield the `count` rows of a block. A row has `width` values. `fields` has the type of each field of the file, and
    the place of its value in the row. The place is None if the field is ignored.

    Raises LoadError if the rows do not end where the block ends.
    """
    readers = [(reader(kind) if place is not None else None, kind, place or 0) for kind, place in fields]
    at = 0
    for _ in range(count):
        row: list[Value] = [None] * width
        for read, kind, place in readers:
            if read is None:
                at = skip(kind, block, at)
            else:
                row[place], at = read(block, at)
        yield tuple(row)
    if at != len(block):
        raise damaged()


def reader(kind: AvroType) -> Read:
    """Return the function that reads a value of a column: an integer, a boolean, a text, the bytes of a decimal, null,
    or a union of these."""
    if kind.coding is Coding.UNION:
        return _union_reader([reader(branch) for branch in kind.parts])
    if kind.coding is Coding.VARINT:
        return varint
    if kind.coding is Coding.BYTES:
        return _bytes if isinstance(kind, DecimalType) else _text
    if kind.name == "boolean":
        return _boolean
    return partial(_fixed, kind.size) if isinstance(kind, DecimalType) else _nothing


def _union_reader(branches: list[Read]) -> Read:
    def read(block: bytes, at: int) -> tuple[Value, int]:
        branch, at = varint(block, at)
        if not 0 <= branch < len(branches):
            raise damaged()
        return branches[branch](block, at)

    return read


def varint(block: bytes, at: int) -> tuple[int, int]:
    """Read a zig-zag varint of at most 64 bits. Raises LoadError."""
    try:
        byte = block[at]
        if byte < 0x80:
            return (byte >> 1) ^ -(byte & 1), at + 1
        value, shift = byte & 0x7F, 7
        while True:
            at += 1
            byte = block[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > _MOST_BITS:
                raise damaged()
    except IndexError:
        raise damaged() from None
    if value >> 64:
        raise damaged()
    return (value >> 1) ^ -(value & 1), at + 1


def _text(block: bytes, at: int) -> tuple[str, int]:
    size, at = varint(block, at)
    end = _after(block, at, size)
    return block[at:end].decode("utf-8", "surrogateescape"), end


def _bytes(block: bytes, at: int) -> tuple[bytes, int]:
    size, at = varint(block, at)
    return _fixed(size, block, at)


def _fixed(size: int, block: bytes, at: int) -> tuple[bytes, int]:
    end = _after(block, at, size)
    return block[at:end], end


def _boolean(block: bytes, at: int) -> tuple[bool, int]:
    end = _after(block, at, 1)
    return block[at] != 0, end


def _nothing(_block: bytes, at: int) -> tuple[None, int]:
    return None, at


def _after(block: bytes, at: int, size: int) -> int:
    if not 0 <= size <= len(block) - at:
        raise damaged()
    return at + size


def skip(kind: AvroType, block: bytes, at: int, depth: int = 0) -> int:
    """Return the position after a value of any type. Raises LoadError."""
    if depth > _DEEPEST:
        raise damaged()
    if kind.coding is Coding.FIXED:
        return _after(block, at, kind.size)
    if kind.coding is Coding.VARINT:
        return varint(block, at)[1]
    if kind.coding is Coding.BYTES:
        size, at = varint(block, at)
        return _after(block, at, size)
    if kind.coding is Coding.ARRAY:
        return _skip_array(kind.parts[0], block, at, depth)
    if kind.coding is Coding.RECORD:
        for part in kind.parts:
            at = skip(part, block, at, depth + 1)
        return at
    branch, at = varint(block, at)
    if not 0 <= branch < len(kind.parts):
        raise damaged()
    return skip(kind.parts[branch], block, at, depth + 1)


def _skip_array(item: AvroType, block: bytes, at: int, depth: int) -> int:
    """Return the position after an array. An array is a list of blocks, and an empty block ends it. A block begins with
    the number of its items. If this number is negative, the size of the block in bytes follows it."""
    while True:
        count, at = varint(block, at)
        if not count:
            return at
        if count < 0:
            size, at = varint(block, at)
            at = _after(block, at, size)
        elif item.coding is Coding.FIXED:
            at = _after(block, at, count * item.size)
        elif not item.is_empty:
            for _ in range(count):
                at = skip(item, block, at, depth + 1)
