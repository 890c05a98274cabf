"""This module is the oracle for CSV: it says what the correct result for a file is. Its simple reader reads byte by
byte, and shares no code with the product."""

from collections.abc import Sequence
from dataclasses import dataclass


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
    texts = [_seen(field.decode("utf-8", "replace")) for field in fields]
    return texts, list(map(bare_name, texts))


def _seen(text: str) -> str:
    return "".join(c for c in text if ord(c) not in _INVISIBLE and not c.isspace() and c not in _QUOTES)


def bare_name(name: str) -> str:
    """Return what counts of a name in a header."""
    return _seen(name).replace("-", "").replace("_", "").casefold()


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
