"""Remembers positions of the first reading of a CSV file, so that the second reading can leave out parts of it."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_tokens import BEGINNING, Checkpoint, Token


@dataclass
class Marks:
    """Positions between records, in the order of the file. They are at least `distance` bytes apart."""

    distance: int = 512 * 1024
    _passed: list[Checkpoint] = field(default_factory=list)

    def add(self, mark: Checkpoint) -> None:
        self._passed.append(mark)

    def last_before(self, line: int) -> Checkpoint:
        """Return the last position before a line."""
        before = bisect_left(self._passed, line, key=lambda mark: mark.lines)
        return self._passed[before - 1] if before else BEGINNING


class MarkingReader:
    """Yields the tokens of a reader that begins at `start`, and adds positions between them to `marks`."""

    def __init__(self, reader: Reader, start: Checkpoint, marks: Marks) -> None:
        self._reader, self._start, self._marks = reader, start, marks

    @property
    def offset(self) -> int:
        return self._reader.offset

    def __iter__(self) -> Iterator[Token]:
        lines, last = self._start.lines, self._start.offset
        for token in self._reader:
            yield token
            lines += token.lines
            if self.offset - last >= self._marks.distance:
                last = self.offset
                self._marks.add(Checkpoint(last, lines))
