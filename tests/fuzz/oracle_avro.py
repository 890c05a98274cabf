"""The oracle for Avro files: a simple reader, which shares no code with the product."""

import bz2
import json
import zlib
from typing import Any


class Unreadable(Exception):
    """The file is not an Avro file with the given schema."""


def avro_rows(data: bytes, types: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of an Avro file, with the columns in the order of `types`. Knows null, deflate and bzip2."""
    cursor = _Cursor(data)
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
    names = _avro_fields(metadata.get(b"avro.schema", b""), types)
    rows = []
    while not cursor.at_end():
        count = cursor.long()
        block = _Cursor(_unpacked(metadata.get(b"avro.codec", b"null"), cursor.take(cursor.long())))
        if cursor.take(16) != sync or count < 0:
            raise Unreadable
        for _ in range(count):
            row = {
                n: block.take(block.long()).decode("utf-8", "surrogateescape") if types[n] == "string" else block.long()
                for n in names
            }
            rows.append(tuple(row[name] for name in types))
        if not block.at_end():
            raise Unreadable
    return rows


def _avro_fields(schema: bytes, types: dict[str, Any]) -> list[str]:
    try:
        fields = json.loads(schema)["fields"]
        found = [(field["name"], field["type"]) for field in fields]
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable from error
    for name, kind in found:
        bare = {k: v for k, v in kind.items() if k in ("type", "logicalType")} if isinstance(kind, dict) else kind
        bare = bare["type"] if isinstance(bare, dict) and list(bare) == ["type"] else bare
        if not isinstance(name, str) or types.get(name) != bare:
            raise Unreadable
    names = [name for name, _ in found]
    if sorted(names) != sorted(types):
        raise Unreadable
    return names


def _unpacked(codec: bytes, data: bytes) -> bytes:
    try:
        if codec == b"null":
            return data
        unpack: Any = zlib.decompressobj(-15) if codec == b"deflate" else bz2.BZ2Decompressor()
        if codec not in (b"deflate", b"bzip2"):
            raise Unreadable
        found: bytes = unpack.decompress(data)
    except (zlib.error, OSError) as error:
        raise Unreadable from error
    if not unpack.eof:
        raise Unreadable
    return found


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data) - self._at:
            raise Unreadable
        self._at += size
        return self._data[self._at - size : self._at]

    def long(self) -> int:
        value = shift = 0
        while True:
            [byte] = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        value &= 2**64 - 1
        return (value >> 1) ^ -(value & 1)
