"""Reads a CSV file a second time, to fetch the records on given lines."""

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.core.dataset import Dataset
from chalicelib.core.streams import Readable
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_marks import Marks
from chalicelib.formats.csv_patterns import patterns, split
from chalicelib.formats.csv_reader import BOM, CHUNK, MAX_RECORD
from chalicelib.formats.csv_tokens import Record


@dataclass(frozen=True)
class Jumps:
    """The marks of the first reading, and a function that opens the file again at an offset. A jump leaves out at least
    `least` bytes. S3 sends as many in about the time of another request."""

    marks: Marks
    open_at: Callable[[int], Readable]
    least: int = 2 * 1024 * 1024


class Seeker:
    """Reads a file a second time to fetch the records on given lines. The line numbers must ascend, and the records on
    these lines must be well-formed.

    The seeker only counts lines, which is several times faster than parsing all records again. With `jumps`, it leaves
    out large parts without requested lines. Besides the requested record, the seeker keeps one chunk of lines in
    memory.
    """

    def __init__(self, dataset: Dataset, stream: Readable, layout: CsvLayout, jumps: Jumps | None = None) -> None:
        self._dataset, self._stream, self._layout, self._jumps = dataset, stream, layout, jumps
        self._offset = 0  # bytes of the file before the end of `_lines`
        self._record = patterns(layout.delimiter).record
        self._first = 1  # number of the first of `_lines`
        self._lines = [b""]  # the last line is incomplete
        self._started = False

    def record(self, line: int) -> Record:
        self._jump(line)
        while line - self._first >= len(self._lines) - 1:
            if not self._next_lines():
                raise LookupError("the file has become shorter")
        raw = self._lines[line - self._first]
        if b'"' in raw:
            raw = self._quoted(line)
        raw = raw.removesuffix(b"\r").removesuffix(b"\r")
        fields = self._layout.trimmed(split(raw, self._layout.delimiter))
        return Record(line, raw.count(b"\n") + 1, raw, self._layout.values(self._dataset, fields))

    def _jump(self, line: int) -> None:
        """Go on reading at the last mark before `line`, if this leaves out enough bytes."""
        if self._jumps is None:
            return
        mark = self._jumps.marks.last_before(line)
        if mark.offset - self._offset >= self._jumps.least:
            self._stream, self._offset = self._jumps.open_at(mark.offset), mark.offset
            self._first, self._lines, self._started = mark.lines + 1, [b""], True

    def _quoted(self, line: int) -> bytes:
        """Return the record that begins on `line`, with all its lines."""
        count = 1
        while True:
            start = line - self._first
            while start + count >= len(self._lines) and self._next_lines(keep=line):
                start = 0
            if match := self._record.match(b"\n".join(self._lines[start : start + count]) + b"\n"):
                return match.group()[:-1]
            if start + count >= len(self._lines):
                raise LookupError("the file has become shorter")
            count *= 2

    def _next_lines(self, keep: int | None = None) -> bool:
        """Read more lines. First drop the lines before the line `keep`. If `keep` is None, drop all complete lines.
        Returns False at the end of the file."""
        data = self._stream.read(CHUNK)
        self._offset += len(data)
        if not data and not self._lines[-1]:
            return False
        kept = len(self._lines) - 1 if keep is None else keep - self._first
        self._first += kept
        del self._lines[:kept]
        self._lines[-1:] = (self._lines[-1] + (data or b"\n")).split(b"\n")
        if not self._started and (len(self._lines[0]) >= len(BOM) or len(self._lines) > 1):
            self._started = True
            self._lines[0] = self._lines[0].removeprefix(BOM)
        self._lines[-1] = self._lines[-1][: MAX_RECORD + 3]  # a longer line cannot be a valid record
        return True
