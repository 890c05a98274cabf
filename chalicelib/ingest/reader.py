"""Bytes of a CSV file -> records, as a stream in bounded memory.

Two paths that agree on every input: runs of clean lines pass through untouched, any other record is
split by RFC 4180. Nothing a record does can swallow the next one: where a quote makes a record run
on over lines that do not fit together, only its first physical line is given up and reading resumes
at the following line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Protocol

from chalicelib.datasets import Dataset
from chalicelib.ingest.patterns import FIELD, OPEN_QUOTE, RECORD, UNFINISHED, clean_lines
from chalicelib.storage import Readable

CHUNK = 256 * 1024  # bytes asked of the source at a time
MAX_RECORD = 1024 * 1024  # bytes, terminator not counted
_BOM = b"\xef\xbb\xbf"

TOO_LONG = "the record is longer than 1 MiB"
NEVER_CLOSED = "a quote is never closed (or not within 1 MiB)"
BAD_QUOTING = "a quote stands inside an unquoted field or text follows a closing quote"


@dataclass(frozen=True)
class Clean:
    """A run of valid lines; `line` is the number of the first, from 1."""

    line: int
    data: bytes
    lines: int

    def for_copy(self) -> bytes:
        """The run in COPY's text format with `,` as delimiter."""
        data = self.data.replace(b'"', b"") if b'"' in self.data else self.data
        return data.replace(b"\r\n", b"\n") if b"\r" in data else data

    def record(self, line: int) -> "Record":
        """The record on one of the run's lines."""
        raw = self._split_lines[line - self.line]
        return Record(line, 1, raw, split(raw))

    @cached_property
    def _split_lines(self) -> list[bytes]:
        return self.data.splitlines()


@dataclass(frozen=True, slots=True)
class Record:
    """One record over `lines` physical lines: its fields, or the problem that kept it from being split."""

    line: int
    lines: int
    raw: bytes
    fields: tuple[bytes, ...] | None = None
    problem: str | None = None

    def for_copy(self) -> None:
        return None  # it has to be checked first

    def record(self, _line: int) -> "Record":
        return self


@dataclass(frozen=True, slots=True)
class Skipped:
    """A blank line or the header: neither loaded nor rejected."""

    line: int
    lines: int

    def for_copy(self) -> None:
        return None

    def record(self, line: int) -> Record:
        raise LookupError(f"line {line} holds no record")


class Token(Protocol):
    """A stretch of `lines` physical lines that starts at `line`."""

    @property
    def line(self) -> int: ...
    @property
    def lines(self) -> int: ...
    def for_copy(self) -> bytes | None:
        """Valid rows, one a line, in COPY's text format; None where there is nothing to copy as it is."""

    def record(self, line: int, /) -> Record:
        """The record that starts on `line`."""


def split(raw: bytes) -> tuple[bytes, ...]:
    """The fields of a well-formed record, without its line terminator."""
    return tuple(_unquoted(field) for field in FIELD.findall(raw + b"\n"))


class Seeker:
    """Second reading of a file, for the records on given lines (ascending, each known to hold one)."""

    def __init__(self, tokens: "Iterable[Token]") -> None:
        self._tokens = iter(tokens)
        self._token: Token | None = None

    def record(self, line: int) -> Record:
        while self._token is None or line >= self._token.line + self._token.lines:
            self._token = next(self._tokens)
        return self._token.record(line)


class Reader:
    """Reads `source` once. Physical lines are covered in order, without gaps, by the tokens."""

    def __init__(self, dataset: Dataset, source: Readable, *, chunk: int = CHUNK, fast: bool = True) -> None:
        self._dataset, self._source, self._chunk = dataset, source, chunk
        self._clean = clean_lines(dataset) if fast else None
        self._buffer = b""
        self._position = 0
        self._line = 1
        self._ended = False
        self._header_possible = True

    def __iter__(self) -> Iterator[Token]:
        self._skip_bom()
        while self._more() or self._position < len(self._buffer):
            yield from self._clean_run()
            while self._position < len(self._buffer):
                token = self._record()
                if token is None:
                    break  # the record goes on beyond what was read
                yield token
                yield from self._clean_run()

    def _skip_bom(self) -> None:
        while len(self._buffer) < len(_BOM) and self._more():
            pass
        if self._buffer.startswith(_BOM):
            self._position = len(_BOM)

    def _more(self) -> bool:
        """Read on; False when the source is used up, where a missing last newline is supplied."""
        if self._ended:
            return False
        data = self._source.read(self._chunk)
        rest = self._buffer[self._position :]
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
        else:  # line by line, once: matching anew after each bad line would be quadratic
            for decodable, lines in groupby(run.splitlines(keepends=True), key=_is_utf8):
                if decodable:
                    yield self._taken(b"".join(lines))
                else:
                    yield from (token for _ in lines if (token := self._record()))

    def _taken(self, run: bytes) -> Clean:
        lines = run.count(b"\n")
        self._header_possible = False
        self._advance(self._position + len(run), lines)
        return Clean(self._line - lines, run, lines)

    def _record(self) -> Record | Skipped | None:
        """The token at the position, or None where more input is needed to tell."""
        match = RECORD.match(self._buffer, self._position)
        if match is None:
            return self._unsplittable()
        raw = _without_terminator(match.group())
        lines = raw.count(b"\n") + 1
        fields = split(raw)
        wanted = len(self._dataset.columns)
        if len(raw) > MAX_RECORD or (len(fields) != wanted and lines > 1):
            return self._first_line()
        self._advance(match.end(), lines)
        line = self._line - lines
        if not raw.strip() or self._is_header(fields):
            return Skipped(line, lines)
        self._header_possible = False
        if len(fields) != wanted:
            return Record(line, lines, raw, problem=f"expected {wanted} fields, found {len(fields)}")
        return Record(line, lines, raw, fields)

    def _unsplittable(self) -> Record | None:
        """No record begins at the position, or it has not been read to its end."""
        may_go_on = not self._ended and len(self._buffer) - self._position <= MAX_RECORD + 2
        if may_go_on and UNFINISHED.match(self._buffer, self._position):
            return None
        return self._first_line()

    def _first_line(self) -> Record | None:
        """Give up the physical line at the position; None where its end has not been read yet."""
        self._header_possible = False
        end = self._buffer.find(b"\n", self._position)
        if end < 0:
            return self._endless_line() if len(self._buffer) - self._position > MAX_RECORD + 2 else None
        raw = _without_terminator(self._buffer[self._position : end + 1])
        self._advance(end + 1, 1)
        if len(raw) > MAX_RECORD:
            return Record(self._line - 1, 1, raw[:MAX_RECORD], problem=TOO_LONG)
        return Record(self._line - 1, 1, raw, problem=NEVER_CLOSED if OPEN_QUOTE.match(raw) else BAD_QUOTING)

    def _endless_line(self) -> Record:
        """Drop a line longer than a record may be, keeping only its beginning."""
        raw = self._buffer[self._position : self._position + MAX_RECORD]
        while (end := self._buffer.find(b"\n", self._position)) < 0:
            self._position = len(self._buffer)
            if not self._more() and not self._buffer:
                self._buffer = b"\n"
        self._advance(end + 1, 1)
        return Record(self._line - 1, 1, raw, problem=TOO_LONG)

    def _advance(self, position: int, lines: int) -> None:
        self._position = position
        self._line += lines

    def _is_header(self, fields: tuple[bytes, ...]) -> bool:
        if not self._header_possible:
            return False
        names = [field.decode("utf-8", "replace").strip().lower() for field in fields]
        return names == list(self._dataset.column_names)


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
