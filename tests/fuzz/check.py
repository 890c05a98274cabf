"""Passes one input through the product's reader, and through the stager, which writes rows into the staging table.
Compares the result with that of the oracle. This shows whether a record was lost or invented."""

import io
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.datasets import Dataset, Kind
from chalicelib.core.errors import LoadError
from chalicelib.core.rules import check_fields, check_stored
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader, Token
from chalicelib.formats.pg_copy import BINARY, CopyFormat, text_format
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.rejects import Reject
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging_table import StagingTable
from tests.fuzz.avro_oracle import Unreadable, Wanted, avro_rows
from tests.fuzz.oracle import Refused, csv_records

EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_ESCAPED = {b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t", b"\\,": b","}
Row = tuple[Any, ...]


class Unaccounted(AssertionError):
    """Raised if a record was lost, invented or changed, or if the fast and the slow path of the CSV reader have
    different results."""


class Drip:
    """A stream that returns at most `size` bytes per read."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file, self._size = io.BytesIO(data), size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(self._size, size))


@dataclass
class Staged:
    """The product's result for an input: the rejects, the counts, and what went to COPY. `rows` has a row for each line
    of COPY, or None for a line whose columns are all NULL."""

    rows: list[Row | None] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    received: int = 0
    rejected: int = 0


class _Database:
    """Takes the place of a database session, with only the methods that the stager needs. It keeps the blocks for COPY.
    Every query finds empty tables."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []

    def copy_in(self, _sql: str, blocks: Iterable[bytes]) -> int:
        self.blocks += blocks
        return 0

    def run(self, _sql: str, **_params: Any) -> list[list[Any]]:
        return []


class _Rejects:
    def __init__(self) -> None:
        self.found: list[Reject] = []

    def add(self, reject: Reject) -> None:
        self.found.append(reject)


def staged(dataset: Dataset, tokens: Iterable[Token], copy_format: CopyFormat) -> Staged:
    database: Any = _Database()
    rejects: Any = _Rejects()
    stager = Stager(StagingTable(dataset, copy_format), tokens, rejects)
    for _ in stager.run(database):
        pass
    read = _copied_binary if copy_format is BINARY else _copied_text
    rows = list(read(dataset, b"".join(database.blocks)))
    return Staged(rows, rejects.found, stager.received, stager.rejected)


def check_csv(dataset: Dataset, data: bytes, drip: int = 1 << 20) -> int:
    """Return the number of records, or 0 if both the reader and the oracle refuse the header.

    Raises Unaccounted if the results of the reader and the oracle differ."""
    try:
        expected, lines = csv_records(data, dataset.column_names)
    except Refused:
        _refused(dataset, Reader(dataset, io.BytesIO(data), fast=False))
        _refused(dataset, Reader(dataset, Drip(data, drip)))
        return 0
    text = text_format(CsvLayout.by_position(dataset))
    slow = staged(dataset, Reader(dataset, io.BytesIO(data), fast=False), text)
    fast = staged(dataset, Reader(dataset, Drip(data, drip)), text)
    for found in (slow, fast):
        _same("lines", len(found.rows), lines)
        _same("records", found.received, len(expected))
        rows: list[Row | None] = [None] * lines
        rejects = []
        for record in expected:
            checked = check_fields(dataset, record.fields) if record.fields is not None else None
            if checked is not None and checked.valid:
                rows[record.line - 1] = tuple(map(_value, dataset.columns, map(str, checked.values)))
            else:
                rejects.append((record.line, record.raw))
        _same("rows", found.rows, rows)
        _same("rejects", [(r.place, r.raw) for r in found.rejects], rejects)
        _same("sum", found.rejected + sum(row is not None for row in found.rows), found.received)
    _same("reasons", [r.reasons for r in fast.rejects], [r.reasons for r in slow.rejects])
    return len(expected)


def _refused(dataset: Dataset, tokens: Iterable[Token]) -> None:
    try:
        staged(dataset, tokens, text_format(CsvLayout.by_position(dataset)))
    except LoadError as error:
        _same("message", error.detail.startswith("the header names "), True)
    else:
        raise Unaccounted("a wrong header was read as the right header or as a row")


def check_avro(dataset: Dataset, data: bytes) -> int:
    """Return the number of rows, or 0 if both the reader and the oracle refuse the file.

    Raises Unaccounted if the results of the reader and the oracle differ."""
    kinds = {Kind.ID: "id", Kind.TEXT: "text", Kind.INSTANT: "instant"}
    try:
        expected = avro_rows(data, [Wanted(c.name, kinds[c.kind], c.aliases) for c in dataset.columns])
    except Unreadable:
        expected = None
    try:
        found = staged(
            dataset, replace(FileReading.of_own_backup(dataset), is_own_backup=False).tokens(io.BytesIO(data)), BINARY
        )
    except LoadError as error:
        _same("refusal", expected, None)
        _same("message", bool(error.detail), True)
        return 0
    if expected is None:
        raise Unaccounted("an unreadable file was read")
    rows: list[Row | None] = []
    for row in expected:
        checked = check_stored(dataset, row)
        valid = tuple(map(_value, dataset.columns, map(str, checked.values))) if checked.valid else None
        rows.append(valid)
    _same("rows", found.rows, rows)
    _same("rejects", [r.place for r in found.rejects], [n for n, row in enumerate(rows, 1) if row is None])
    _same("sum", (found.received, found.rejected), (len(rows), rows.count(None)))
    return len(rows)


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Unaccounted(f"{what}: {found!r:.500} instead of {expected!r:.500}")


def _value(column: Any, text: str) -> Any:
    """Parse the text of a value. The product and COPY may write the same value in different ways."""
    if column.kind is Kind.ID:
        return int(text)
    if column.kind is Kind.TEXT:
        return text
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _copied_text(dataset: Dataset, data: bytes) -> Iterator[Row | None]:
    """Parse COPY's text format, as Postgres documents it. The delimiter is a comma."""
    for line in data.split(b"\n")[:-1]:
        # NUL stands for a backslash here, because no valid text has a NUL.
        parts = re.split(rb"(?<!\\),", line.replace(b"\\\\", b"\0"))
        if parts == [b"\\N"] * len(dataset.columns):
            yield None
            continue
        texts = [re.sub(rb"\\[nrt,]", lambda m: _ESCAPED[m[0]], part).replace(b"\0", b"\\").decode() for part in parts]
        yield tuple(_value(c, text) for c, text in zip(dataset.columns, texts, strict=True))


def _copied_binary(dataset: Dataset, data: bytes) -> Iterator[Row | None]:
    """Parse the tuples of COPY's binary format. The tuples stand between a fixed header and a fixed trailer."""
    at = len(BINARY.head)
    if not data.startswith(BINARY.head) or not data.endswith(BINARY.tail):
        raise Unaccounted("the data does not have COPY's binary format")
    while at < len(data) - len(BINARY.tail):
        values: list[Any] = []
        (count,) = struct.unpack_from("!h", data, at)
        at += 2
        for column in dataset.columns[:count]:
            (size,) = struct.unpack_from("!i", data, at)
            at += 4
            values.append(None if size < 0 else _binary(column, data[at : at + size]))
            at += max(size, 0)
        yield tuple(values) if values != [None] * len(dataset.columns) else None


def _binary(column: Any, field: bytes) -> Any:
    if column.kind is Kind.ID:
        return int.from_bytes(field, "big", signed=True)
    if column.kind is Kind.TEXT:
        return field.decode()
    return EPOCH_2000 + timedelta(microseconds=int.from_bytes(field, "big", signed=True))
