"""Reads the first sheet of an XLSX workbook as the records of a file. `line` is the number of a row in the sheet.

Each row is converted to a CSV record. Therefore runs of valid rows take the fast path of CSV files.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.core.dataset import Dataset
from chalicelib.core.streams import MIB, Readable
from chalicelib.formats.csv_header import read_header, repeats_header
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_patterns import clean_lines, decimals
from chalicelib.formats.csv_reader import MAX_RECORD, TOO_LONG
from chalicelib.formats.csv_tokens import Clean, Record, Skipped, Token
from chalicelib.formats.file_format import Format, notices_of
from chalicelib.formats.xlsx import MAX_SIZE, Sheet, too_large

Rows = Iterable[tuple[int, list[str]]]
_RUN = 256 * 1024  # about this many characters of rows are matched at once
_QUOTE = '"'
_SPECIAL, _QUOTED = re.compile(r'["\r\n]'), re.compile(r'[",\r\n]')


def read_sheet(stream: Readable) -> Sheet:
    """Read a workbook into memory, and return its first sheet. Raises LoadError."""
    parts, size = [], 0
    while data := stream.read(MIB):
        size += len(data)
        if size > MAX_SIZE:
            raise too_large()
        parts.append(data)
    return Sheet.of(b"".join(parts))


def describe_sheet(dataset: Dataset, file_format: Format, sheet: Rows) -> Format:
    """Complete the format of an XLSX file with the header, if the first row that is not empty is a header. Raises
    LoadError."""
    first = next((texts for _, texts in sheet if not _is_empty(texts)), None)
    if first is None:
        return file_format
    fields = [text.encode() for text in first]
    header = read_header(dataset, fields)
    if header is None:
        layout = CsvLayout.by_position(dataset, width=len(fields))
        return replace(file_format, layout=layout, notices=notices_of(dataset, fields, file_format.declared.dates))
    layout = CsvLayout(b",", header.positions, has_header=True, names=header.names)
    return replace(file_format, layout=layout, ignored_columns=header.ignored)


@dataclass
class _Run:
    """Consecutive rows, and the CSV record of each row. `first` is the line of the first row."""

    first: int = 0
    rows: list[Sequence[str]] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, line: int, texts: Sequence[str], record: str) -> None:
        self.first = self.first or line
        self.rows.append(texts)
        self.records.append(record)
        self.size += len(record)


@dataclass(frozen=True)
class XlsxRows:
    """Yields the rows of a sheet as tokens, without the first `skipped` rows."""

    dataset: Dataset
    sheet: Rows
    layout: CsvLayout
    skipped: int = 0

    @property
    def offset(self) -> int:
        """The offset is always 0, because every invocation reads a workbook from its beginning."""
        return 0

    def __iter__(self) -> Iterator[Token]:
        is_first, run = True, _Run()
        for line, texts in self.sheet:
            is_empty = _is_empty(texts)
            is_header = is_first and not is_empty and self.layout.has_header
            is_first = is_first and is_empty
            if line <= self.skipped:
                continue
            if is_empty or is_header or run.size >= _RUN:
                yield from self._tokens(run)
                run = _Run()
            if is_empty or is_header:
                yield Skipped(line, 1)
                continue
            sent = self.layout.trimmed(texts)
            run.add(line, sent, as_csv(sent))
        yield from self._tokens(run)

    def _tokens(self, run: _Run) -> Iterator[Token]:
        """Split a run into clean lines, and records that the rules must check."""
        clean, without_decimals = clean_lines(self.dataset, self.layout), decimals(self.dataset, self.layout)
        data = "".join(f"{record}\n" for record in run.records).encode()
        at = position = 0
        while at < len(run.records):
            match = clean.match(data, position) if not self.layout.is_corrected else None
            if match and match.end() > position:
                lines = match.group().count(b"\n")  # a clean line has no other line break
                yield Clean(run.first + at, match.group(), lines, without_decimals)
                at, position = at + lines, match.end()
            else:
                raw = run.records[at].encode()
                yield self._record(run.first + at, run.rows[at], raw)
                at, position = at + 1, position + len(raw) + 1

    def _record(self, line: int, texts: Sequence[str], raw: bytes) -> Record | Skipped:
        fields = [text.encode() for text in texts]
        if repeats_header(self.dataset, self.layout, raw, fields):
            return Skipped(line, 1)
        if len(raw) > MAX_RECORD:
            return Record(line, 1, raw[:MAX_RECORD], problem=TOO_LONG)
        if problem := self.layout.miscounted(texts):
            return Record(line, 1, raw, problem=problem)
        return Record(line, 1, raw, self.layout.values(self.dataset, fields))


class XlsxSeeker:
    """The second reading of a sheet. The caller must ask for lines in ascending order."""

    def __init__(self, rows: XlsxRows) -> None:
        self._rows, self._sheet = rows, iter(rows.sheet)

    def record(self, line: int) -> Record:
        texts = next(texts for number, texts in self._sheet if number == line)
        sent = self._rows.layout.trimmed(texts)
        fields = self._rows.layout.values(self._rows.dataset, [text.encode() for text in sent])
        return Record(line, 1, as_csv(sent).encode(), fields)


def as_csv(texts: Sequence[str]) -> str:
    """Convert a row to a CSV record with commas."""
    record = ",".join(texts)
    if not _SPECIAL.search(record) and record.count(",") == len(texts) - 1:
        return record
    return ",".join(f'"{text.replace(_QUOTE, _QUOTE + _QUOTE)}"' if _QUOTED.search(text) else text for text in texts)


def _is_empty(texts: Sequence[str]) -> bool:
    return not "".join(texts).strip(" \t\r\n\v\f")
