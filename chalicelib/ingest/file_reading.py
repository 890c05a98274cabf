"""Reads objects of all formats: all records in order, and in the second reading some of them again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Peekable, Readable, skip
from chalicelib.formats.avro_container import MOST_AHEAD
from chalicelib.formats.avro_rows import AvroRows, AvroSeeker, describe_avro, describe_own_backup
from chalicelib.formats.containers import HEAD, Container
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_marks import MarkingReader, Marks
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_seeker import Jumps, Seeker
from chalicelib.formats.csv_tokens import BEGINNING, Checkpoint, Record, Token
from chalicelib.formats.file_format import Format, describe
from chalicelib.formats.pg_copy import CopyFormat, binary_format, text_format
from chalicelib.formats.rejected_runs import never

if TYPE_CHECKING:
    from chalicelib.formats.xlsx import Sheet


NOT_AVRO = "the file is not an Avro file, although its name ends in .avro: the name of a CSV file must end in .csv"


class Tokens(Protocol):
    """The records of an object. They can be read only once. `offset` is the position in bytes after the last record
    that was read. A Checkpoint stores it."""

    @property
    def offset(self) -> int: ...
    def __iter__(self) -> Iterator[Token]: ...


class RecordSeeker(Protocol):
    """The second reading of an object. `record` returns the record on a line. The caller must ask for lines in
    ascending order."""

    def record(self, line: int) -> Record: ...


@dataclass(frozen=True)
class FileReading:
    """The way to read a file of `dataset`, after its format was understood.

    `is_own_backup` is true if Hireflow itself copied the object from one of its restore points, for a restore. The
    format does not show this. `sheet` is the first sheet of an XLSX file. Such a file is read as a whole to find its
    format, so the sheet is kept. `marks` are positions that the first reading has passed, if the object has ranges.
    """

    dataset: Dataset
    file_format: Format
    is_own_backup: bool = False
    sheet: "Sheet | None" = None
    marks: Marks = field(default_factory=Marks, compare=False)

    @classmethod
    def of_own_backup(cls, dataset: Dataset, stream: Peekable) -> "FileReading":
        """Find the columns of a file of our own restore points. Its beginning is only peeked at. Raises LoadError."""
        file_format = Format(Container.AVRO, CsvLayout.by_position(dataset))
        return cls(dataset, describe_own_backup(dataset, file_format, stream.peek(MOST_AHEAD)), is_own_backup=True)

    @classmethod
    def of_file(
        cls, dataset: Dataset, stream: Peekable, declared: Declarations = UNDECLARED, *, is_called_avro: bool = False
    ) -> "FileReading":
        """Find the format of a file by its beginning. The beginning is only peeked at, so it can still be read from the
        stream. An XLSX file is read as a whole.

        Raises LoadError if Hireflow does not read the file. If its sender calls a plain text an Avro file, by its name
        or its media type, the text is not read: a damaged Avro file looks like text without valid rows, or like an
        empty file.
        """
        head = stream.peek(HEAD + 1)
        file_format = describe(dataset, head, complete=len(head) <= HEAD, declared=declared)
        if is_called_avro and file_format.container is Container.TEXT and not file_format.coding.is_gzipped:
            raise LoadError(NOT_AVRO)
        if file_format.container is Container.AVRO:
            file_format = describe_avro(dataset, file_format, stream.peek(MOST_AHEAD))
        if file_format.container is Container.XLSX:
            from chalicelib.formats.xlsx_rows import describe_sheet, read_sheet

            sheet = read_sheet(stream)
            return cls(dataset, describe_sheet(dataset, file_format, sheet), sheet=sheet)
        return cls(dataset, file_format)

    @property
    def copy_format(self) -> CopyFormat:
        """The format in which COPY receives the valid rows."""
        layout = self.file_format.layout
        return binary_format(layout) if self._is_avro else text_format(layout)

    @property
    def is_compressed(self) -> bool:
        """Whether the object may have much more data than bytes."""
        return self.file_format.container is not Container.TEXT or self.file_format.coding.is_gzipped

    @property
    def has_ranges(self) -> bool:
        """Whether reading can start in the middle of the object (see `Format.has_ranges`)."""
        return self.file_format.has_ranges

    def tokens(
        self, stream: Readable, start: Checkpoint = BEGINNING, *, counts_only: Callable[[], bool] = never
    ) -> Tokens:
        """Return the records of the object from `start` on. `stream` begins at `start` if the object has ranges, and
        otherwise at the beginning of the object. While `counts_only` returns true, rejects of a text may be read as
        runs, which are only counted.

        Raises LoadError, here or while the records are read, if the object does not have the format of its beginning.
        """
        if self._is_avro:
            return AvroRows(self.dataset, stream, start.lines, is_trusted=self.is_own_backup)
        if self.sheet is not None:
            from chalicelib.formats.xlsx_rows import XlsxRows

            return XlsxRows(self.dataset, self.sheet, self.file_format.layout, start.lines)
        stream = self.file_format.text(stream)
        if not self.has_ranges:
            skip(stream, start.offset)
        reader = Reader(self.dataset, stream, self.file_format.layout, start=start, counts_only=counts_only)
        return MarkingReader(reader, start, self.marks) if self.has_ranges else reader

    def seeker(self, stream: Readable, open_at: Callable[[int], Readable] | None = None) -> RecordSeeker:
        """Return the second reading of the object. `stream` begins at the beginning of the object. `open_at` opens the
        object again at an offset, so that the second reading can leave out large parts of it."""
        if self._is_avro:
            return AvroSeeker(AvroRows(self.dataset, stream, is_trusted=self.is_own_backup))
        if self.sheet is not None:
            from chalicelib.formats.xlsx_rows import XlsxRows, XlsxSeeker

            return XlsxSeeker(XlsxRows(self.dataset, self.sheet, self.file_format.layout))
        jumps = Jumps(self.marks, open_at) if open_at else None  # without ranges, there are no marks
        return Seeker(self.dataset, self.file_format.text(stream), self.file_format.layout, jumps)

    @property
    def _is_avro(self) -> bool:
        return self.file_format.container is Container.AVRO
