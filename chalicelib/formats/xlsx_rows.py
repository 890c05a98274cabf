"""The first sheet of an XLSX workbook as the records of a file. `line` is the number of the row in the sheet."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

from chalicelib.core.datasets import Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB, Readable
from chalicelib.formats.csv_header import read_header, repeats_header
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import MAX_RECORD, TOO_LONG, Record, Skipped, Token, miscounted
from chalicelib.formats.file_format import Format, notices_of
from chalicelib.formats.xlsx import MAX_SIZE, rows


def read_workbook(stream: Readable) -> bytes:
    """Return all of a workbook, which has to be in memory. Raises LoadError if it is too large."""
    parts, size = [], 0
    while data := stream.read(MIB):
        size += len(data)
        if size > MAX_SIZE:
            raise LoadError(f"the XLSX file has more than {MAX_SIZE // MIB} MB: save it as CSV UTF-8")
        parts.append(data)
    return b"".join(parts)


def describe_workbook(dataset: Dataset, file_format: Format, data: bytes) -> Format:
    """Complete the format of an XLSX file by its first row that is not empty. Raises LoadError."""
    for _, cells in rows(data):
        if any(cell.strip() for cell in cells):
            header = read_header(dataset, cells)
            if header is None:
                return replace(file_format, notices=notices_of(dataset, cells))
            layout = CsvLayout(b",", header.positions, has_header=True)
            return replace(file_format, layout=layout, ignored_columns=header.ignored)
    return file_format


@dataclass(frozen=True)
class XlsxRows:
    """The rows of a workbook, read once, without the first `skipped` ones."""

    dataset: Dataset
    data: bytes
    layout: CsvLayout
    skipped: int = 0

    @property
    def offset(self) -> int:
        """Always 0: a workbook is read from its beginning."""
        return 0

    def __iter__(self) -> Iterator[Token]:
        is_first = True
        for line, cells in rows(self.data):
            is_empty = not any(cell.strip() for cell in cells)
            is_header = is_first and not is_empty and self.layout.has_header
            is_first = is_first and is_empty
            if line <= self.skipped:
                continue
            yield Skipped(line, 1) if is_empty or is_header else self._record(line, cells)

    def _record(self, line: int, cells: list[bytes]) -> Record | Skipped:
        raw = as_csv(cells)
        if repeats_header(self.dataset, self.layout, raw):
            return Skipped(line, 1)
        if len(raw) > MAX_RECORD:
            return Record(line, 1, raw[:MAX_RECORD], problem=TOO_LONG)
        fields, wanted = self.layout.trimmed(cells), len(self.layout.positions)
        if len(fields) != wanted:
            return Record(line, 1, raw, problem=miscounted(wanted, len(fields)))
        return Record(line, 1, raw, tuple(self.layout.in_order(fields)))


class XlsxSeeker:
    """The second reading of a workbook, for its rows on given lines in ascending order."""

    def __init__(self, tokens: XlsxRows) -> None:
        self._records = (token for token in tokens if isinstance(token, Record))

    def record(self, line: int) -> Record:
        return next(record for record in self._records if record.line == line)


def as_csv(cells: list[bytes]) -> bytes:
    """Return a row as the CSV record that it would be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([cell.decode("utf-8", "surrogatepass") for cell in cells])
    return text.getvalue().encode("utf-8", "surrogatepass")
