"""Converts a CSV file to records. The file is read as a stream, in bounded memory.

There are two paths, which give the same result for every input. The fast path passes runs of clean lines on without
parsing. The slow path splits every other record by RFC 4180.

These rules say where a record ends. They apply to valid records and to rejected records:
- A quote opens a quoted field only at the beginning of a field. It may follow spaces there, but then the
  record is rejected. The field runs to its closing quote, across line breaks and doubled quotes.
- Any other quote is an ordinary character, and so is everything after a closing quote up to the next comma
  or line break. A record with such a quote or such text is rejected.
- A record ends at the first line break outside a quoted field, however long the record is.
- A quote counts as never closed in three cases: no quote closes it within 1 MiB, no quote closes it before the
  end of the file, or the next quote begins a quoted field that begins and ends on a later line. Then the record
  ends with the line of the open quote, so that the record does not include the rows below.

The first record may be a header. A header with the dataset's columns in their order is skipped. Any other
header is an error, because the rows below it would be stored in the wrong columns. A wrong header further below is an
error for the same reason.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import Checked, Problem
from chalicelib.core.streams import Readable
from chalicelib.formats.csv_header import is_header, refuse_another
from chalicelib.formats.csv_patterns import (
    ANY_RECORD,
    BLANK_LINES,
    ENDED,
    FIELD,
    FIELDS,
    RECORD,
    REST_OF_FIELD,
    REST_OF_LINE,
    SPACES,
    clean_lines,
)

CHUNK = 256 * 1024  # bytes read from the stream at a time
MAX_RECORD = 1024 * 1024  # bytes, without the line terminator
BOM = b"\xef\xbb\xbf"
_NEWLINE = ord("\n")

TOO_LONG = Problem(None, "the record is longer than 1 MiB")
NEVER_CLOSED = Problem(None, "a quote is never closed (or not within 1 MiB)")
BAD_QUOTING = Problem(None, "a quote stands inside an unquoted field or text follows a closing quote")


@dataclass(frozen=True)
class Checkpoint:
    """A position between two records. Another CSV reader can continue there.

    `offset` and `lines` are the numbers of bytes and physical lines before the position. `records` is true if any
    record stands before the position.
    """

    offset: int = 0
    lines: int = 0
    records: bool = False


BEGINNING = Checkpoint()


@dataclass(frozen=True)
class Clean:
    """A run of valid lines. `line` is the number of the first line, counted from 1."""

    line: int
    data: bytes
    lines: int

    def for_copy(self) -> bytes:
        """Return the run in COPY's text format with `,` as delimiter."""
        data = self.data.replace(b'"', b"") if b'"' in self.data else self.data
        return data.replace(b"\r\n", b"\n") if b"\r" in data else data


@dataclass(frozen=True, slots=True)
class Record:
    """One record with its fields, or with the problem because of which it cannot be split. It begins on `line` and has
    `lines` physical lines.

    If the rules have already checked the values, `checked` is the result. The rules have checked whole values, even if
    `raw` and `fields` contain only the beginning of long values.
    """

    line: int
    lines: int
    raw: bytes
    fields: tuple[bytes, ...] | None = None
    problem: Problem | None = None
    checked: Checked | None = None

    def for_copy(self) -> None:
        return None  # the rules have to check the record first


@dataclass(frozen=True, slots=True)
class Skipped:
    """Blank lines or the header. They are neither loaded nor rejected."""

    line: int
    lines: int

    def for_copy(self) -> None:
        return None


class Token(Protocol):
    """A part of the file: `lines` physical lines, beginning with number `line`."""

    @property
    def line(self) -> int: ...
    @property
    def lines(self) -> int: ...
    def for_copy(self) -> bytes | None:
        """Return the rows in a format of COPY. Return None if the part has no rows, or if they must be checked
        first."""


def split(raw: bytes) -> tuple[bytes, ...]:
    """Return the fields of a well-formed record. `raw` is the record without its line terminator."""
    return tuple(_unquoted(field) for field in FIELD.findall(raw + b"\n"))


class Reader:
    """Reads `stream` once and yields tokens. The tokens cover all physical lines in order, without gaps.

    `stream` begins at `start`: it has the whole file, or the rest that an earlier CSV reader has not read.
    """

    def __init__(
        self,
        dataset: Dataset,
        stream: Readable,
        *,
        start: Checkpoint = BEGINNING,
        fast: bool = True,
    ) -> None:
        self._dataset, self._stream = dataset, stream
        self._clean = clean_lines(dataset) if fast else None
        self._buffer = b""
        self._before = start.offset  # bytes of the file before the buffer
        self._position = 0
        self._line = start.lines + 1
        self._ended = False
        self._header_possible = not start.records

    @property
    def offset(self) -> int:
        """The position after the last token, in bytes. After a last line without a line break, it is one too large."""
        return self._before + self._position

    def __iter__(self) -> Iterator[Token]:
        if not self._before:
            self._skip_bom()
        while self._more() or self._position < len(self._buffer):
            yield from self._clean_run()
            while self._position < len(self._buffer):
                token = self._record()
                if token is None:
                    break  # the record goes on after the end of the buffer
                if isinstance(token, Record):
                    refuse_another(self._dataset, token.raw)
                yield token
                if isinstance(token, Skipped):
                    yield from self._blank_run()
                yield from self._clean_run()

    def _skip_bom(self) -> None:
        while len(self._buffer) < len(BOM) and self._more():
            pass
        if self._buffer.startswith(BOM):
            self._position = len(BOM)

    def _more(self) -> bool:
        """Read more input. At the end of the stream, add a newline if the last line has none, and return False."""
        if self._ended:
            return False
        data = self._stream.read(CHUNK)
        rest = self._buffer[self._position :]
        self._before += self._position
        if data:
            self._buffer = rest + data
        else:
            self._ended = True
            self._buffer = rest if not rest or rest.endswith(b"\n") else rest + b"\n"
        self._position = 0
        return not self._ended

    def _clean_run(self) -> Iterator[Token]:
        if self._clean is None:
            return
        start = self._position
        match = self._clean.match(self._buffer, start, self._buffer.rfind(b"\n") + 1)
        if match is None or match.end() == start:
            return
        run = match.group()
        if _is_utf8(run):
            yield self._taken(run)
        else:  # test each line: to match the pattern again after each bad line would take quadratic time
            for decodable, lines in groupby(run.splitlines(keepends=True), key=_is_utf8):
                if decodable:
                    yield self._taken(b"".join(lines))
                else:
                    yield from (token for _ in lines if (token := self._record()))

    def _blank_run(self) -> Iterator[Token]:
        """Skip further blank lines as one token, because a file may have millions of them."""
        if self._clean is not None and (match := BLANK_LINES.match(self._buffer, self._position)):
            lines = match.group().count(b"\n")
            self._advance(match.end(), lines)
            yield Skipped(self._line - lines, lines)

    def _taken(self, run: bytes) -> Clean:
        lines = run.count(b"\n")
        self._header_possible = False
        self._advance(self._position + len(run), lines)
        return Clean(self._line - lines, run, lines)

    def _record(self) -> Record | Skipped | None:
        """Return the token at the current position, or None if its end has not been read yet. Raises LoadError."""
        match = RECORD.match(self._buffer, self._position)
        raw = _without_terminator(match.group()) if match else b""
        if match is None or len(raw) > MAX_RECORD:
            return self._malformed()
        lines = raw.count(b"\n") + 1
        fields = split(raw)
        self._advance(match.end(), lines)
        line = self._line - lines
        if not raw.strip() or (self._header_possible and is_header(self._dataset, fields)):
            return Skipped(line, lines)
        self._header_possible = False
        wanted = len(self._dataset.columns)
        if len(fields) != wanted:
            return Record(line, lines, raw, problem=_miscounted(wanted, len(fields)))
        return Record(line, lines, raw, fields)

    def _malformed(self) -> Record | None:
        """Return a record that breaks the rules of quoting or is too long, or None if its end has not been read yet."""
        match = ANY_RECORD.match(self._buffer, self._position)
        raw = _without_terminator(match.group()) if match else b""
        if match is None and not self._ended and len(self._buffer) - self._position <= MAX_RECORD + 2:
            return None
        self._header_possible = False
        if match is None or len(raw) > MAX_RECORD:
            return self._dropped()
        lines = raw.count(b"\n") + 1
        self._advance(match.end(), lines)
        return Record(self._line - lines, lines, raw, problem=BAD_QUOTING)

    def _dropped(self) -> Record:
        """Read a record of any length in bounded memory and linear time, and keep only its beginning.

        Each step passes over all whole fields in a window of 1 MiB. If the window begins with a quoted field and does
        not contain its closing quote, the quote counts as never closed.
        """
        line, start, kept = self._line, self.offset, bytearray()
        ends = closed = False
        while not ends:
            while len(self._buffer) - self._position < MAX_RECORD + 2 and self._more():
                pass
            # The window includes the byte after the longest possible field: this byte shows whether the last quote
            # closes the field.
            window = self._position + MAX_RECORD + 2
            if (fields := FIELDS.match(self._buffer, self._position, window)) and fields.group():
                self._pass(fields.end(), kept)
                continue
            opening = SPACES.match(self._buffer, self._position, window).end()  # type: ignore[union-attr]
            quoted = ENDED.match(self._buffer, opening, window)
            closed = self._buffer[opening : opening + 1] != b'"' or bool(quoted and len(quoted.group()) <= MAX_RECORD)
            if quoted and closed:
                self._pass(quoted.end(), kept)
            self._pass_up_to(REST_OF_FIELD if closed else REST_OF_LINE, kept)
            ends = self._buffer[self._position] == _NEWLINE
            self._pass(self._position + 1, kept)
        raw = _without_terminator(bytes(kept))
        if self.offset - start > len(kept) or len(raw) > MAX_RECORD:
            return Record(line, self._line - line, raw[:MAX_RECORD], problem=TOO_LONG)
        return Record(line, self._line - line, raw, problem=BAD_QUOTING if closed else NEVER_CLOSED)

    def _pass_up_to(self, pattern: re.Pattern[bytes], kept: bytearray) -> None:
        """Pass over everything that `pattern` matches. Read more input while the match reaches the end of the
        buffer."""
        while (match := pattern.match(self._buffer, self._position)) and match.end() == len(self._buffer):
            self._pass(match.end(), kept)
            if not self._more() and not self._buffer:
                self._buffer = b"\n"
        if match:
            self._pass(match.end(), kept)

    def _pass(self, end: int, kept: bytearray) -> None:
        kept += self._buffer[self._position : min(end, self._position + MAX_RECORD + 2 - len(kept))]
        self._advance(end, self._buffer.count(b"\n", self._position, end))

    def _advance(self, position: int, lines: int) -> None:
        self._position = position
        self._line += lines


def _miscounted(wanted: int, sent: int) -> Problem:
    general = f"expected {wanted} fields, found {'fewer' if sent < wanted else 'more'}"
    return Problem(None, f"expected {wanted} fields, found {sent}", general)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_terminator(raw: bytes) -> bytes:
    return raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]


def _unquoted(field: bytes) -> bytes:
    if field.startswith(b'"'):
        return field[1:-1].replace(b'""', b'"')
    return field
