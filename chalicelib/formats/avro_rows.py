"""Reads an Avro file as tokens, with the same interface as the tokens of a CSV file. A token is either a run of valid
rows or one rejected record. Each row counts as one line."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.kinds.values import ABSENT
from chalicelib.core.rules import Checked, all_stored_are_valid, check_stored, shown_stored
from chalicelib.core.streams import Readable
from chalicelib.formats.avro_container import Container
from chalicelib.formats.avro_fields import AvroFields
from chalicelib.formats.csv_reader import MAX_RECORD
from chalicelib.formats.csv_tokens import Record, Token
from chalicelib.formats.file_format import Format
from chalicelib.formats.gzip_stream import Expansion
from chalicelib.formats.pg_copy import binary_rows

LEFT_OUT = "the restore point has columns that this release does not have, and they were left out: {columns}"


@dataclass(frozen=True, slots=True)
class StoredRows:
    """A run of valid rows. `data` has the rows in COPY's binary format. `rows` has the values as they are in the
    file."""

    line: int
    dataset: Dataset
    rows: list[tuple[Any, ...]]
    data: bytes

    @property
    def lines(self) -> int:
        return len(self.rows)

    def for_copy(self) -> bytes:
        return self.data


def describe_avro(dataset: Dataset, file_format: Format, beginning: bytes) -> Format:
    """Complete the format of an Avro file with what its header says. `beginning` must contain the whole header. Raises
    LoadError."""
    fields = AvroFields.of(dataset, Container(io.BytesIO(beginning)).schema)
    # The reader returns values in the order of the dataset. COPY gets only the columns of the file.
    layout = replace(file_format.layout, has_header=True, positions=fields.columns)
    return replace(file_format, layout=layout, ignored_columns=fields.ignored)


def describe_own_backup(dataset: Dataset, file_format: Format, beginning: bytes) -> Format:
    """Do the same for a file of our own restore points. If a later release has made the file with columns that this
    release does not have, a notice names them. Raises LoadError."""
    found = describe_avro(dataset, file_format, beginning)
    if not found.ignored_columns:
        return found
    return replace(found, notices=(LEFT_OUT.format(columns=", ".join(found.ignored_columns)),))


@dataclass(frozen=True)
class AvroRows:
    """Yields the tokens of a file, without the first `skipped` rows.

    `offset` is always 0, because every invocation reads an Avro file from its beginning, even after a handover.

    The decompressed size of a file is limited, unless the file is trusted. A trusted file is one of our own restore
    points, whose checksum is known. It may exceed the limit, because equal texts compress extremely well. The rules for
    texts do not apply to it, because a release with other rules may have stored the texts.
    """

    dataset: Dataset
    stream: Readable
    skipped: int = 0
    is_trusted: bool = False

    @property
    def offset(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Token]:
        from chalicelib.formats.avro import records

        line = 1 + self.skipped
        expansion = None if self.is_trusted else Expansion("the Avro file")
        for batch in records(self.dataset, self.stream, expansion, skip=self.skipped, is_trusted=self.is_trusted):
            columns = tuple(zip(*batch, strict=True))
            if all_stored_are_valid(self.dataset, columns, is_trusted=self.is_trusted):
                yield StoredRows(line, self.dataset, batch, binary_rows(self.dataset, columns))
            else:
                yield from self._mixed_rows(line, batch)
            line += len(batch)

    def _mixed_rows(self, line: int, batch: list[tuple[Any, ...]]) -> Iterator[Token]:
        """Check the rows of a batch one by one. A valid row may also change here: the rules remove white space at the
        ends of texts. If nothing is left of a text in an optional column, it is NULL."""
        dataset = self.dataset
        for number, row in enumerate(batch, line):
            checked = check_stored(dataset, row, is_trusted=self.is_trusted)
            if checked.valid:
                values = [
                    (ABSENT if sent is ABSENT else None if value is None else column.kind.stored(value),)
                    for column, sent, value in zip(dataset.columns, row, checked.values, strict=True)
                ]
                yield StoredRows(number, dataset, [row], binary_rows(dataset, values))
            else:
                yield _record(dataset, number, row, checked)


class AvroSeeker:
    """Reads a file a second time and returns the rows of given lines. The caller gives the lines in ascending order.
    Each of them must have a valid row."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._runs = (token for token in tokens if isinstance(token, StoredRows))
        self._run = next(self._runs)

    def record(self, line: int) -> Record:
        while line >= self._run.line + self._run.lines:
            self._run = next(self._runs)
        return _record(self._run.dataset, line, self._run.rows[line - self._run.line])


def _record(dataset: Dataset, line: int, row: tuple[Any, ...], checked: Checked | None = None) -> Record:
    """Return a row as a CSV record, for the reject file. A value is cut off at the maximum length of a CSV record.
    `raw` has only the columns of the file. The fields of other columns are None."""
    shown = [
        None if value is ABSENT else "" if value is None else str(value)[:MAX_RECORD]
        for value in shown_stored(dataset, row)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([value for value in shown if value is not None])
    raw = _bytes(text.getvalue())
    return Record(line, 1, raw, tuple(None if value is None else _bytes(value) for value in shown), checked=checked)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:MAX_RECORD]
