"""This module is the oracle: it says what the correct result for a file is. It has simple readers of CSV and Avro
files. These readers read byte by byte, and share no code with the product."""

import bz2
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CsvRecord:
    """A record with its first line (counted from 1) and its number of lines. `fields` is None if the record cannot be
    split into one field for each column."""

    line: int
    lines: int
    raw: bytes
    fields: tuple[bytes, ...] | None


def csv_records(data: bytes, columns: tuple[str, ...]) -> tuple[list[CsvRecord], int]:
    """Return the records of a CSV file and the number of its lines. The caller must not pass a record that is longer
    than the limit of the CSV reader.

    Raises Refused if the first record is a wrong header. A later record is refused only if it cannot be anything else
    than a wrong header.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    found: list[CsvRecord] = []
    at = 0
    while at < len(lines):
        fields, taken = _csv_record(lines, at)
        raw = b"\n".join(lines[at : at + taken]).removesuffix(b"\r")
        if raw.strip() and not (fields is not None and not found and _is_right_header(fields, columns)):
            if not raw.lstrip(b' \t"')[:1].isdigit():
                _refuse_wrong_header(raw, columns)
            fits = fields if fields is not None and len(fields) == len(columns) else None
            found.append(CsvRecord(at + 1, taken, raw, fits))
        at += taken
    return found, len(lines)


class Refused(Exception):
    """Raised if the file has a wrong header."""


_COLUMNS = {"id", "department", "job", "name", "datetime", "departmentid", "jobid"}
_INVISIBLE = {0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065)}
_INVISIBLE |= set(range(0x2066, 0x206A))
_QUOTES = {"'", '"', "`", "[", "]", "\\", *map(chr, (0xAB, 0xBB, 0x2039, 0x203A, *range(0x2018, 0x2020)))}


def _refuse_wrong_header(raw: bytes, columns: tuple[str, ...]) -> None:
    line = raw.replace(b"\r", b"\n").split(b"\n")[0]
    fields = line.replace(b";", b",").replace(b"|", b",").replace(b"\t", b",").split(b",")
    texts, names = _names(fields)
    places = [column.replace("_", "") for column in columns]
    if len(line) <= 4096 and len(names) == len(places) and len(_COLUMNS & set(names)) >= 2:
        elsewhere = [name for name, place in zip(names, places, strict=True) if name in _COLUMNS and name != place]
        if elsewhere and not any(map(_is_whole, texts)):
            raise Refused


def _is_right_header(fields: tuple[bytes, ...], columns: tuple[str, ...]) -> bool:
    texts, names = _names(fields)
    if not _COLUMNS & set(names) or any(map(_is_whole, texts)):
        return False
    if names != [column.replace("_", "") for column in columns]:
        raise Refused
    return True


def _names(fields: Sequence[bytes]) -> tuple[list[str], list[str]]:
    texts = ["".join(c for c in field.decode("utf-8", "replace") if ord(c) not in _INVISIBLE) for field in fields]
    texts = ["".join(c for c in text if not c.isspace() and c not in _QUOTES) for text in texts]
    return texts, [text.replace("-", "").replace("_", "").casefold() for text in texts]


def _is_whole(text: str) -> bool:
    whole, _, zeros = (text[1:] if text[:1] in ("+", "-") else text).partition(".")
    return whole.isdecimal() and not zeros.strip("0")


def _csv_record(lines: list[bytes], at: int) -> tuple[tuple[bytes, ...] | None, int]:  # noqa: C901 - a state machine is clearer in one function
    """Return the fields of the record that begins on line `at`, and the number of its lines. The fields are None if the
    record breaks the rules of quoting.

    The function is a state machine. Its states are "start" (of a field), "spaced" (after spaces at the start of a
    field), "bare" (in a field without quotes), "quoted" (in a quoted field) and "closed" (after the closing quote). If
    a quote is never closed, the record ends on the line with this quote. The same is true if the only quote that could
    close it is on a later line and opens a field there.
    """
    fields, field, state, well_formed, opened, may_open_a_field = [], bytearray(), "start", True, 0, False
    for taken, line in enumerate(lines[at:], 1):
        for position, byte in enumerate(line):
            if state == "quoted":
                if byte == 0x22:
                    state = "closed"
                    may_open_a_field = taken > opened and _opens(line, position)
                else:
                    field.append(byte)
            elif byte == 0x2C:
                fields.append(bytes(field))
                field, state = bytearray(), "start"
            elif byte in (0x20, 0x09) and state in ("start", "spaced"):
                field.append(byte)
                state = "spaced"
            elif byte == 0x22 and state in ("start", "spaced", "closed"):
                well_formed &= state != "spaced"
                if state == "closed":
                    field.append(byte)
                else:
                    opened = taken
                state = "quoted"
            elif state == "closed" and byte == 0x0D and position == len(line) - 1:
                continue
            elif state == "closed" and may_open_a_field:
                return None, opened
            else:
                well_formed &= byte != 0x22 and state != "closed"
                field.append(byte)
                state = "bare"
        if state != "quoted":
            last = bytes(field).removesuffix(b"\r") if state == "bare" else bytes(field)
            return ((*fields, last) if well_formed else None), taken
        field.append(0x0A)
    return None, opened


def _opens(line: bytes, at: int) -> bool:
    """Return whether the quote at `at` opens a quoted field that ends on this line."""
    before = line[:at].removesuffix(b" ")
    if before and not before.endswith(b","):
        return False
    end = at + 1
    while end < len(line):
        if line[end] != 0x22:
            end += 1
        elif line[end + 1 : end + 2] == b'"':
            end += 2
        else:
            return line[end + 1 :] in (b"", b"\r") or line[end + 1] == 0x2C
    return False


class Unreadable(Exception):
    """Raised if the file is not an Avro file with the given schema."""


def avro_rows(data: bytes, types: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of an Avro file, with the columns in the order of `types`. The codec may be null, deflate or
    bzip2."""
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
