"""The oracle for Avro: a simple reader of Avro files, which reads byte by byte and shares no code with the product."""

import bz2
import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import zstandard

from tests.fuzz.oracle import bare_name

Read = Callable[["Cursor"], Any]


class Unreadable(Exception):
    """Raised if the file is not an Avro file with the wanted columns."""


class Wanted(NamedTuple):
    """A column: its kind is "id", "text" or "instant"."""

    name: str
    kind: str
    aliases: tuple[str, ...] = ()


class Type(NamedTuple):
    """A type of a schema: its name with its logical type, how a value is read, and the branches of a union."""

    name: str
    read: Read
    branches: tuple["Type", ...] = ()


def avro_rows(data: bytes, wanted: list[Wanted]) -> list[tuple[Any, ...]]:
    """Return the rows of an Avro file, with the columns in the order of `wanted` and instants in microseconds."""
    cursor = Cursor(data)
    if cursor.take(4) != b"Obj\x01":
        raise Unreadable
    metadata = {}
    while count := cursor.long():
        if count < 0:
            cursor.long()
        for _ in range(abs(count)):
            name = cursor.take(cursor.long())
            metadata[name] = cursor.take(cursor.long())
    sync = cursor.take(16)
    schema = _Schema()
    fields = schema.fields(metadata.get(b"avro.schema", b""))
    places = _places([name for name, _ in fields], wanted)
    units = [_unit(column.kind, fields[place][1]) for column, place in zip(wanted, places, strict=True)]
    rows = []
    while not cursor.at_end():
        count = cursor.long()
        packed = cursor.take(cursor.long())
        block = Cursor(_unpacked(metadata.get(b"avro.codec", b"null"), packed), is_strict=schema.has_choices)
        if cursor.take(16) != sync or count < 0:
            raise Unreadable
        for _ in range(count):
            values = [kind.read(block) for _, kind in fields]
            rows.append(tuple(_in_unit(values[place], unit) for place, unit in zip(places, units, strict=True)))
        if not block.at_end():
            raise Unreadable
    return rows


def _places(names: list[str], wanted: list[Wanted]) -> list[int]:
    """Return where each column stands: under its name, else under the only other name of it."""
    exact = [column.name for column in wanted if column.name in names]
    places = []
    for column in wanted:
        if column.name in exact:
            found = [at for at, name in enumerate(names) if name == column.name]
        else:
            known = {bare_name(name) for name in (column.name, *column.aliases)}
            found = [at for at, name in enumerate(names) if name not in exact and bare_name(name) in known]
        if len(found) != 1:
            raise Unreadable
        places += found
    return places


_UNITS: dict[str, dict[str, float]] = {
    "id": {"int": 1, "long": 1},
    "text": {"string": 1, "bytes": 1, "string uuid": 1},
    "instant": {"int date": 86_400_000_000}
    | {f"long {of}timestamp-millis": 1000 for of in ("", "local-")}
    | {f"long {of}timestamp-micros": 1 for of in ("", "local-")}
    | {f"long {of}timestamp-nanos": 0.001 for of in ("", "local-")},
}


def _unit(kind: str, found: Type) -> float:
    branches = [branch for branch in (found.branches or (found,)) if branch.name != "null"]
    units = {_UNITS[kind].get(branch.name) for branch in branches}
    if found.name == "union" and not found.branches:
        raise Unreadable
    unit = units.pop() if len(units) == 1 else None
    if unit is None:
        raise Unreadable
    return unit


def _in_unit(value: Any, unit: float) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if value is None or unit == 1:
        return value
    return value // 1000 if unit < 1 else value * int(unit)


_LOGICAL = {"int date", "int time-millis", "long time-micros", "bytes decimal", "fixed decimal", "bytes big-decimal"}
_LOGICAL |= {"fixed duration", "string uuid", "fixed uuid"} | _UNITS["instant"].keys()


class _Schema:
    """Reads a schema, type by type."""

    def __init__(self) -> None:
        self.has_choices = False
        self._named: dict[str, list[Type]] = {}

    def fields(self, text: bytes) -> list[tuple[str, Type]]:
        try:
            schema = json.loads(text)
        except ValueError as error:
            raise Unreadable from error
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise Unreadable
        fields = self._fields(schema, "", [])
        self.has_choices |= any(kind.name in ("record", "array", "map", "union") for _, kind in fields)
        return fields

    def _fields(self, schema: Any, space: str, own: list[Type]) -> list[tuple[str, Type]]:
        space = self._name(schema, space, own)
        if not isinstance(schema.get("fields"), list):
            raise Unreadable
        found = []
        for field in schema["fields"]:
            if not isinstance(field, dict) or not isinstance(field.get("name"), str):
                raise Unreadable
            found.append((field["name"], self._type(field.get("type"), space)))
        return found

    def _name(self, schema: Any, space: str, own: list[Type]) -> str:
        name, space = schema.get("name"), schema.get("namespace", space)
        if not isinstance(name, str) or not isinstance(space, str):
            raise Unreadable
        full = name if "." in name or not space else f"{space}.{name}"
        if full in self._named:
            raise Unreadable
        self._named[full] = own
        return full[: full.rindex(".")] if "." in full else ""

    def _type(self, schema: Any, space: str) -> Type:  # noqa: C901 - one case for each type of the specification
        if isinstance(schema, str):
            return self._called(schema, space)
        if isinstance(schema, list):
            return self._union([self._type(branch, space) for branch in schema])
        if not isinstance(schema, dict):
            raise Unreadable
        kind, logical = schema.get("type"), schema.get("logicalType")
        own: list[Type] = []
        if kind in ("record", "error"):
            parts: list[tuple[str, Type]] = []
            own.append(Type("record", lambda cursor: [part.read(cursor) for _, part in parts] and None))
            parts += self._fields(schema, space, own)
        elif kind == "enum":
            self._name(schema, space, own)
            own.append(Type("enum", Cursor.long))
        elif kind == "fixed":
            size = schema.get("size")
            if type(size) is not int or not 0 <= size <= 1 << 26:
                raise Unreadable
            self._name(schema, space, own)
            own.append(Type("fixed", lambda cursor: cursor.take(size)))
        elif kind == "array":
            own.append(_array("array", self._type(schema.get("items"), space).read))
        elif kind == "map":
            value = self._type(schema.get("values"), space).read
            own.append(_array("map", lambda cursor: (_bytes(cursor), value(cursor))))
        else:
            own.append(self._type(kind, space))
        if kind not in ("record", "error", "array", "map") and f"{own[0].name.split()[0]} {logical}" in _LOGICAL:
            return own[0]._replace(name=f"{own[0].name.split()[0]} {logical}")
        return own[0]

    def _union(self, branches: list[Type]) -> Type:
        if any(branch.name == "union" for branch in branches):
            raise Unreadable

        def read(cursor: "Cursor") -> Any:
            at = cursor.long()
            if not 0 <= at < len(branches):
                raise Unreadable
            return branches[at].read(cursor)

        return Type("union", read, tuple(branches))

    def _called(self, name: str, space: str) -> Type:
        if name in _PRIMITIVE:
            return Type(name, _PRIMITIVE[name])
        for full in (name if "." in name or not space else f"{space}.{name}", name):
            if full in self._named:
                return _referred(self._named[full])
        raise Unreadable


def _referred(own: list[Type]) -> Type:
    """Return a named type, which may still be without its fields."""
    return own[0] if own else Type("record", lambda cursor: own[0].read(cursor))


def _array(name: str, item: Read) -> Type:
    def read(cursor: "Cursor") -> None:
        while count := cursor.long():
            if count < 0:
                cursor.take(cursor.long())
            for _ in range(count):
                before = cursor.at
                item(cursor)
                if cursor.at == before:  # every other item takes no bytes either
                    break

    return Type(name, read)


def _bytes(cursor: "Cursor") -> bytes:
    return cursor.take(cursor.long())


def _unpacked(codec: bytes, data: bytes) -> bytes:
    try:
        if codec == b"null":
            return data
        if codec == b"snappy":
            block = _of_snappy(data[:-4])
            if zlib.crc32(block).to_bytes(4, "big") != data[-4:]:
                raise Unreadable
            return block
        if codec == b"zstandard":
            return _of_zstandard(data)
        unpack: Any = zlib.decompressobj(-15) if codec == b"deflate" else bz2.BZ2Decompressor()
        if codec not in (b"deflate", b"bzip2"):
            raise Unreadable
        found: bytes = unpack.decompress(data)
    except (zlib.error, OSError, zstandard.ZstdError) as error:
        raise Unreadable from error
    if not unpack.eof:
        raise Unreadable
    return found


def _of_zstandard(data: bytes) -> bytes:
    """Unpack one frame after the other."""
    found = b""
    while True:
        frame = zstandard.ZstdDecompressor().decompressobj()
        found += frame.decompress(data)
        if not frame.eof:
            raise Unreadable
        data = frame.unused_data
        if not data:
            return found


def _of_snappy(data: bytes) -> bytes:
    """Unpack the raw format of snappy: literals and copies of what was unpacked before."""
    size = shift = at = 0
    while True:
        byte = Cursor(data[at : at + 1]).take(1)[0]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    cursor, found = Cursor(data[at:]), bytearray()
    while not cursor.at_end():
        tag = cursor.take(1)[0]
        if tag & 3 == 0:
            extra = max(0, (tag >> 2) - 59)
            length = int.from_bytes(cursor.take(extra), "little") if extra else tag >> 2
            found += cursor.take(length + 1)
            continue
        if tag & 3 == 1:
            length, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | cursor.take(1)[0]
        else:
            length, back = (tag >> 2) + 1, int.from_bytes(cursor.take(2 if tag & 3 == 2 else 4), "little")
        if not 0 < back <= len(found):
            raise Unreadable
        for _ in range(length):
            found.append(found[-back])
    if len(found) != size:
        raise Unreadable
    return bytes(found)


class Cursor:
    """Bytes, and the position of the next one. A strict one takes no varint of more than 64 bits."""

    def __init__(self, data: bytes, *, is_strict: bool = False) -> None:
        self._data, self._is_strict, self.at = data, is_strict, 0

    def at_end(self) -> bool:
        return self.at == len(self._data)

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data) - self.at:
            raise Unreadable
        self.at += size
        return self._data[self.at - size : self.at]

    def long(self) -> int:
        value = shift = 0
        while True:
            [byte] = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if self._is_strict and (shift > 70 or value >> 64):
            raise Unreadable
        value &= 2**64 - 1
        return (value >> 1) ^ -(value & 1)


_PRIMITIVE: dict[str, Read] = {
    "null": lambda _: None,
    "boolean": lambda cursor: cursor.take(1) and None,
    "int": Cursor.long,
    "long": Cursor.long,
    "float": lambda cursor: cursor.take(4) and None,
    "double": lambda cursor: cursor.take(8) and None,
    "bytes": _bytes,
    "string": _bytes,
}
