"""Passes records through the product's stager, and reads what it sends to COPY."""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.table import Kind
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_tokens import Token
from chalicelib.formats.pg_copy import BINARY, CopyFormat
from chalicelib.ingest.rejects import Reject
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging_table import StagingTable
from tests import values

EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_ESCAPED = {b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
Row = tuple[Any, ...]


class Unaccounted(AssertionError):
    """Raised if a record was lost, invented or changed, or if the fast and the slow path of the CSV reader have
    different results."""


def same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Unaccounted(f"{what}: {found!r:.500} instead of {expected!r:.500}")


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
    is_full = False

    def __init__(self) -> None:
        self.found: list[Reject] = []

    def add(self, reject: Reject) -> None:
        self.found.append(reject)


def staged(dataset: Dataset, tokens: Iterable[Token], copy_format: CopyFormat, dates: Dates = "iso") -> Staged:
    database: Any = _Database()
    rejects: Any = _Rejects()
    stager = Stager(StagingTable(dataset, copy_format), tokens, rejects, dates=dates)
    for _ in stager.run(database):
        pass
    data = b"".join(database.blocks)
    layout = copy_format.layout or CsvLayout.by_position(dataset)
    rows = list(_copied_binary(dataset, data) if copy_format.head else _copied_text(dataset, layout, data))
    return Staged(rows, rejects.found, stager.received, stager.rejected)


def value(column: Any, text: str) -> Any:
    """Parse the text of a value. The product and COPY may write the same value in different ways."""
    if column.kind is Kind.TEXT:
        return text
    if column.kind is not Kind.INSTANT:
        return values.meaning(column, text)
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _copied_text(dataset: Dataset, layout: CsvLayout, data: bytes) -> Iterator[Row | None]:
    """Parse COPY's text format with the delimiter of a file, as Postgres documents it."""
    d = layout.delimiter
    between, escape = re.compile(rb"(?<!\\)" + re.escape(d)), re.compile(rb"\\[nrt" + re.escape(d) + rb"]")
    for line in data.split(b"\n")[:-1]:
        # NUL stands for a backslash here, because no valid text has a NUL.
        parts = between.split(line.replace(b"\\\\", b"\0"))
        if len(parts) == len(layout.positions) and set(parts) == {b""}:
            yield None
            continue
        texts = [
            None if part == b"" else escape.sub(lambda m: _ESCAPED.get(m[0], d), part).replace(b"\0", b"\\").decode()
            for part in parts
        ]
        yield tuple(
            text if at is None or text is None else value(dataset.columns[at], text)
            for at, text in zip(layout.positions, texts, strict=True)
        )


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
