"""Converts a CSV file to records. The file is read as a stream, in bounded memory.

There are two paths, which give the same result for every input. The fast path passes runs of clean lines on without
parsing. The slow path splits every other record by RFC 4180.

These rules say where a record ends. They apply to valid records and to rejected records:
- A quote opens a quoted field only at the beginning of a field. It may follow spaces there, but then the
  record is rejected. The field runs to its closing quote, across line breaks and doubled quotes.
- Any other quote is an ordinary character, and so is everything after a closing quote up to the next delimiter
  or line break. A record with such a quote or such text is rejected.
- A record ends at the first line break outside a quoted field, however long the record is.
- A quote counts as never closed in three cases: no quote closes it within 1 MiB, no quote closes it before the
  end of the file, or the next quote begins a quoted field that begins and ends on a later line. Then the record
  ends with the line of the open quote, so that the record does not include the rows below.

A layout says which delimiter separates the fields, which column each field holds, and whether the first record is a
header. The reader skips the header. It also skips the same header below rows, because a file that was joined from two
files has such a header. A header with other columns or another order is an error, because the rows below it would be
stored in the wrong columns.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from chalicelib.core import reasons
from chalicelib.core.dataset import Dataset
from chalicelib.core.remembered import Remembered
from chalicelib.core.streams import Readable
from chalicelib.formats.containers import HEAD
from chalicelib.formats.csv_faults import bad_quoting
from chalicelib.formats.csv_header import is_header, refused_below, repeats_header
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_patterns import (
    REST_OF_LINE,
    clean_lines,
    decimals,
    patterns,
    split,
    without_terminator,
)
from chalicelib.formats.csv_tokens import BEGINNING, Checkpoint, Clean, Record, Skipped, Token
from chalicelib.formats.rejected_runs import RejectedRun, never, shapes

CHUNK = 256 * 1024  # bytes read from the stream at a time
MAX_RECORD = 1024 * 1024  # bytes, without the line terminator
BOM = b"\xef\xbb\xbf"
_NEWLINE = ord("\n")
_LINES = re.compile(rb"[^\n]*+\n")  # splitlines() would also end a line at CR

TOO_LONG, NEVER_CLOSED = reasons.RECORD_TOO_LONG.of(), reasons.NEVER_CLOSED.of()


class Reader:
    """Reads `stream` once and yields tokens. The tokens cover all physical lines in order, without gaps.

    `stream` begins at `start`: it has the whole file, or the rest that an earlier CSV reader has not read. While
    `counts_only` returns true, a run of rejected lines may be one token.
    """

    def __init__(
        self,
        dataset: Dataset,
        stream: Readable,
        layout: CsvLayout | None = None,
        *,
        start: Checkpoint = BEGINNING,
        fast: bool = True,
        counts_only: Callable[[], bool] = never,
    ) -> None:
        self._dataset, self._stream = dataset, stream
        self._layout = layout or CsvLayout.by_position(dataset)
        self._patterns = patterns(self._layout.delimiter)
        is_clean_possible = fast and not self._layout.is_corrected  # a line of corrected rejects may have apostrophes
        self._clean = clean_lines(dataset, self._layout) if is_clean_possible else None
        self._decimals = decimals(dataset, self._layout)
        self._counts_only = counts_only
        self._shapes = shapes(self._layout.delimiter, len(self._layout.positions))
        self._known = Remembered[bytes, Record]()  # short records by their bytes
        self._buffer = b""
        self._before = start.offset  # bytes of the file before the buffer
        self._position = 0
        self._line = start.lines + 1
        self._ended = False
        # A reader may continue after lines without any record. Then it does not know whether the header is one of these
        # lines or follows them. If the layout has a header, the reader looks for a repeated header. This finds the
        # header, too.
        self._is_first = not start.lines or not (start.records or self._layout.has_header)
        self._empty = b" \t\r\n\x0b\x0c" + self._layout.delimiter

    @property
    def offset(self) -> int:
        """The position after the last token, in bytes. After a last line without a line break, it is one too large."""
        return self._before + self._position

    def __iter__(self) -> Iterator[Token]:
        if not self._before:
            self._skip_bom()
            yield from self._sep_line()
        while self._more() or self._position < len(self._buffer):
            yield from self._clean_run()
            while self._position < len(self._buffer):
                token = (self._rejected_run() if self._counts_only() else None) or self._record()
                if token is None:
                    break  # the record goes on after the end of the buffer
                yield token
                if isinstance(token, Skipped):
                    yield from self._blank_run()
                yield from self._clean_run()

    def _skip_bom(self) -> None:
        while len(self._buffer) < len(BOM) and self._more():
            pass
        if self._buffer.startswith(BOM):
            self._position = len(BOM)

    def _sep_line(self) -> Iterator[Token]:
        if self._layout.has_sep_line:
            while b"\n" not in self._buffer and self._more():
                pass
            self._advance(self._buffer.index(b"\n") + 1, 1)
            yield Skipped(1, 1)

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
        if len(run) <= MAX_RECORD and _is_utf8(run):
            yield self._taken(run)
        else:  # test each line: to match the pattern again after each bad line would take quadratic time
            for is_record, lines in groupby(_LINES.findall(run), key=_may_be_record):
                if is_record:
                    yield self._taken(b"".join(lines))
                else:
                    yield from (token for _ in lines if (token := self._record()))

    def _blank_run(self) -> Iterator[Token]:
        """Skip further blank lines as one token, because a file may have millions of them."""
        if self._clean is not None and (match := self._patterns.blank_lines.match(self._buffer, self._position)):
            lines = match.group().count(b"\n")
            self._advance(match.end(), lines)
            yield Skipped(self._line - lines, lines)

    def _rejected_run(self) -> RejectedRun | None:
        """Take a run of rejected lines as one token. Return None if no such run begins here."""
        if self._is_first or len(self._buffer) > MAX_RECORD:  # the buffer may have a line that is too long
            return None
        for pattern, problem in self._shapes:
            if match := pattern.match(self._buffer, self._position):
                lines = match.group().count(b"\n")
                self._advance(match.end(), lines)
                return RejectedRun(self._line - lines, match.group(), lines, problem)
        return None

    def _taken(self, run: bytes) -> Clean:
        lines = run.count(b"\n")
        self._is_first = False
        self._advance(self._position + len(run), lines)
        return Clean(self._line - lines, run, lines, self._decimals)

    def _record(self) -> Record | Skipped | None:
        """Return the token at the current position, or None if its end has not been read yet. Raises LoadError."""
        match = self._patterns.record.match(self._buffer, self._position)
        if match and (known := self._known.get(match.group())):
            return self._again(known, match.end())
        raw = without_terminator(match.group()) if match else b""
        if match is None or len(raw) > MAX_RECORD:
            return self._malformed()
        lines = raw.count(b"\n") + 1
        self._advance(match.end(), lines)
        line = self._line - lines
        rest = raw.strip(self._empty)
        if not rest or (rest[0] >= 0x80 and self._patterns.blank_lines.fullmatch(rest + b"\n")):
            return Skipped(line, lines)
        fields = split(raw, self._layout.delimiter)
        if self._is_header(raw, fields):
            return Skipped(line, lines)
        sent = self._layout.trimmed(fields)
        problem = self._layout.miscounted(sent)
        values = None if problem else self._layout.values(self._dataset, sent)
        return self._remembered(match.group(), Record(line, lines, raw, values, problem))

    def _remembered(self, read: bytes, record: Record) -> Record:
        """Remember a short record. `read` has the bytes of the record and its line end. They decide about everything in
        the record but its line."""
        self._known.remember(read, record, len(read))
        return record

    def _again(self, known: Record, end: int) -> Record:
        """Return the record at the current position, which has the same bytes as `known` and ends at `end`."""
        self._advance(end, known.lines)
        return Record(self._line - known.lines, known.lines, known.raw, known.fields, known.problem)

    def _is_header(self, raw: bytes, fields: Sequence[bytes] = ()) -> bool:
        """Return whether a record is the header of the layout. Raises LoadError if it is another header."""
        if not self._is_first:
            return repeats_header(self._dataset, self._layout, raw, fields)
        self._is_first = False
        if self._layout.has_header:
            return True
        # The format was found from the first HEAD bytes, so it knows a header that ends there. In UTF-16, these bytes
        # have half as many characters.
        if self.offset > HEAD // 2 and is_header([field.decode("utf-8", "replace") for field in fields]):
            raise refused_below(self._dataset, fields)
        return repeats_header(self._dataset, self._layout, raw, fields)

    def _malformed(self) -> Record | Skipped | None:
        """Return a record that breaks the rules of quoting or is too long, or None if its end has not been read yet."""
        match = self._patterns.any_record.match(self._buffer, self._position)
        if match and (known := self._known.get(match.group())):
            return self._again(known, match.end())
        raw = without_terminator(match.group()) if match else b""
        if match is None and not self._ended and len(self._buffer) - self._position <= MAX_RECORD + 2:
            return None
        if match is None or len(raw) > MAX_RECORD:
            return self._dropped()
        lines = raw.count(b"\n") + 1
        self._advance(match.end(), lines)
        if self._is_header(raw):
            return Skipped(self._line - lines, lines)
        problem = bad_quoting(raw, self._layout.delimiter)
        return self._remembered(match.group(), Record(self._line - lines, lines, raw, problem=problem))

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
            if (fields := self._patterns.fields.match(self._buffer, self._position, window)) and fields.group():
                self._pass(fields.end(), kept)
                continue
            opening = self._patterns.spaces.match(self._buffer, self._position, window).end()  # type: ignore[union-attr]
            quoted = self._patterns.ended.match(self._buffer, opening, window)
            closed = self._buffer[opening : opening + 1] != b'"' or bool(quoted and len(quoted.group()) <= MAX_RECORD)
            if quoted and closed:
                self._pass(quoted.end(), kept)
            self._pass_up_to(self._patterns.rest_of_field if closed else REST_OF_LINE, kept)
            ends = self._buffer[self._position] == _NEWLINE
            self._pass(self._position + 1, kept)
        raw = without_terminator(bytes(kept))
        if self.offset - start > len(kept) or len(raw) > MAX_RECORD:
            self._is_first = False
            return Record(line, self._line - line, raw[:MAX_RECORD], problem=TOO_LONG)
        self._is_header(raw)  # raises LoadError for another header; the layout's own header is rejected for its quote
        problem = bad_quoting(raw, self._layout.delimiter) if closed else NEVER_CLOSED
        return Record(line, self._line - line, raw, problem=problem)

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


def _may_be_record(line: bytes) -> bool:
    """Return whether a clean line is not too long for a record, and can be decoded. An ignored field of any length is
    clean."""
    return len(line) <= MAX_RECORD + 3 and len(without_terminator(line)) <= MAX_RECORD and _is_utf8(line)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
