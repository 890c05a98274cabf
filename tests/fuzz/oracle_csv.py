"""The oracle for the records of a CSV file: a simple reader, which shares no code with the product.

It reads byte by byte, by the words of the contract: fields in quotes, doubled quotes, line breaks inside quotes, lines
that end with LF, CR LF or CR CR LF, blank lines and lines of delimiters only, and quotes that are never closed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_QUOTE, _CR, _LF, _SPACE, _TAB = b'"\r\n \t'
# White space and invisible characters, but for the control characters FS, GS, RS and US.
_UNSEEN = {*" \t\r\x0b\x0c\x85\xa0\xad\u1680\u3000\ufeff", *map(chr, range(0x2000, 0x2010))}
_UNSEEN |= {*map(chr, (*range(0x2028, 0x2030), *range(0x205F, 0x2065), *range(0x2066, 0x206A)))}


@dataclass(frozen=True)
class Split:
    """A record with its first line (counted from 1) and its number of lines. `fields` is None if it cannot be split.

    `is_cut` is whether more bytes after the end of the text could belong to it, or end it elsewhere. `is_open` is
    whether it has a quote that is never closed.
    """

    line: int
    lines: int
    raw: bytes
    fields: tuple[bytes, ...] | None
    is_cut: bool = False
    is_open: bool = False


def text_lines(text: bytes) -> list[bytes]:
    """The physical lines of a text without their LF."""
    lines = text.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def records(lines: list[bytes], delimiter: int, *, complete: bool = True) -> Iterator[Split]:
    """The records on these lines in order, blank ones aside. If the text is not `complete`, its last line is cut."""
    at = 0
    while at < len(lines):
        fields, taken, seen = _record(lines, at, delimiter)
        raw = without_end(b"\n".join(lines[at : at + taken]))
        if not all(c in _UNSEEN or ord(c) in (delimiter, _LF) for c in raw.decode("utf-8", "replace")):
            is_cut = not complete and at + seen >= len(lines)
            yield Split(at + 1, taken, raw, fields, is_cut, is_open=seen > taken)
        at += taken


def without_end(line: bytes) -> bytes:
    """A line without the CRs that belong to its end, at most two."""
    return line.removesuffix(b"\r").removesuffix(b"\r")


def _record(lines: list[bytes], at: int, delimiter: int) -> tuple[tuple[bytes, ...] | None, int, int]:  # noqa: C901 - a state machine is clearer in one function
    """Return the fields of the record on line `at`, its number of lines, and how many lines had to be looked at. The
    fields are None if the record breaks the rules of quoting.

    The function is a state machine with five states: start of a field, spaces there, bare, quoted, after the closing
    quote. If a quote is never closed, the record ends on the line of that quote. The record also ends there if only a
    quote that opens a field on a later line could close it.
    """
    fields, field, state, well_formed, opened, may_open_a_field = [], bytearray(), "start", True, 0, False
    spaces = (_SPACE,) if delimiter == _TAB else (_SPACE, _TAB)
    for taken, line in enumerate(lines[at:], 1):
        end = len(without_end(line))
        for position, byte in enumerate(line):
            if state == "quoted":
                if byte == _QUOTE:
                    state = "closed"
                    may_open_a_field = taken > opened and _opens(line, position, delimiter)
                else:
                    field.append(byte)
            elif byte == delimiter:
                fields.append(bytes(field))
                field, state = bytearray(), "start"
            elif byte in spaces and state in ("start", "spaced"):
                field.append(byte)
                state = "spaced"
            elif byte == _QUOTE and state in ("start", "spaced", "closed"):
                well_formed &= state != "spaced"
                if state == "closed":
                    field.append(byte)
                else:
                    opened = taken
                state = "quoted"
            elif position >= end and state == "closed":
                continue
            elif state == "closed" and may_open_a_field:
                return None, opened, taken
            elif position < end:
                well_formed &= byte != _QUOTE and state != "closed"
                field.append(byte)
                state = "bare"
        if state != "quoted":
            return ((*fields, bytes(field)) if well_formed else None), taken, taken
        field.append(_LF)
    return None, opened, len(lines) - at + 1


def _opens(line: bytes, at: int, delimiter: int) -> bool:
    """Whether the quote at `at` begins a quoted field with text in it that ends on this line."""
    before = line[:at].removesuffix(b" ")
    if before and before[-1] != delimiter:
        return False
    end = at + 1
    while end < len(line):
        if line[end] != _QUOTE:
            end += 1
        elif line[end + 1 : end + 2] == b'"':
            end += 2
        else:
            return not without_end(line[end + 1 :]) or line[end + 1] == delimiter
    return False
