"""Passes a CSV file through the product, in all ways of reading, and compares the results with the oracle's. No record
may be lost or invented."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import UNDECLARED, Dates, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import Broken, Missing
from chalicelib.core.rules import check_fields, is_instant
from chalicelib.core.streams import Peekable, skip
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_tokens import BEGINNING, Checkpoint, Skipped, Token
from chalicelib.formats.file_format import Format
from chalicelib.ingest.file_reading import FileReading
from tests.fuzz.oracle import Aside, Found, Names, Refused, Understood, is_nothing, is_whole, understood
from tests.fuzz.staged import Row, Unaccounted, same, staged, value

_ALL = [name for d in DATASETS.values() for column in d.columns for name in (column.name, *column.aliases)]


@cache
def names_of(dataset: Dataset) -> Names:
    """Return what the oracle has to know about a dataset."""
    sent = [(column.name, *column.aliases) for column in dataset.columns]
    return Names.of(sent, _ALL, sum(not column.may_be_absent for column in dataset.columns))


class Drip:
    """A stream that returns at most `size` bytes per read."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file, self._size = io.BytesIO(data), size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(self._size, size))


class Ignored(bytes):
    """A field that no column of the dataset takes."""


@dataclass(frozen=True)
class Way:
    """A way to read a file: by the fast or the slow path, in pieces of the input's size or all at once. If it `stops`,
    it does so after every token, and another reader goes on from the checkpoint."""

    is_fast: bool
    in_pieces: bool = False
    stops: bool = False

    def tokens(self, reading: FileReading, data: bytes, drip: int) -> Iterator[Token]:
        size = drip if self.in_pieces else len(data) + 1
        if not self.stops:
            yield from self._reader(reading, data, size, BEGINNING)
            return
        start, has_records = BEGINNING, False
        while (token := next(iter(reader := self._reader(reading, data, size, start)), None)) is not None:
            has_records |= not isinstance(token, Skipped)
            start = Checkpoint(reader.offset, token.line + token.lines - 1, has_records)
            yield token

    def _reader(self, reading: FileReading, data: bytes, size: int, start: Checkpoint) -> Reader:
        file_format = reading.file_format
        stream = file_format.text(Drip(data[start.offset :] if reading.has_ranges else data, size))
        if not reading.has_ranges:
            skip(stream, start.offset)
        return Reader(reading.dataset, stream, file_format.layout, start=start, fast=self.is_fast)


WAYS = (
    Way(is_fast=False),
    Way(is_fast=True),
    Way(is_fast=False, in_pieces=True),
    Way(is_fast=True, in_pieces=True),
    Way(is_fast=False, stops=True),
    Way(is_fast=True, in_pieces=True, stops=True),
)
QUOTING = (  # the beginnings of the reasons for a record that breaks the rules of quoting
    "a quote stands inside an unquoted field",
    "a quote is never closed",
    "a space or an invisible character stands before an opening quote",
    "a backslash stands before a quote",
    "text follows a closing quote",
)
LONGEST_STOPPED = 4096  # bytes of an input that the slow path reads with stops, which takes quadratic time


def check_csv(
    dataset: Dataset,
    data: bytes,
    drip: int = 1 << 20,
    declared: Declarations = UNDECLARED,
    oracle: Callable[..., Understood] = understood,
) -> int:
    """Return the number of records, or 0 if both the product and the oracle refuse the file.

    Raises Unaccounted if the results of the product and the oracle differ."""
    try:
        expected = oracle(
            data,
            names_of(dataset),
            declared.encoding,
            declared.delimiter,
            lambda fields: check_fields(dataset, _by_position(dataset, fields), declared.dates).valid,
        )
    except Aside:
        with suppress(LoadError):
            FileReading.of_file(dataset, Peekable(io.BytesIO(data)), declared)
        return 0
    except Refused as refusal:
        for way in _ways(data):
            _refused(dataset, data, declared, way, drip, str(refusal))
        return 0
    reading = FileReading.of_file(dataset, Peekable(Drip(data, drip)), declared)
    same("format", _shown(reading.file_format), _expected_format(dataset, expected, declared.dates))
    rows, rejects = _expected(dataset, expected, declared.dates)
    reasons = []
    for way in _ways(data):
        found = staged(dataset, way.tokens(reading, data, drip), reading.copy_format, declared.dates)
        same(f"{way}: lines", len(found.rows), expected.lines)
        same(f"{way}: records", found.received, len(expected.records))
        for place, (copied, row) in enumerate(zip(found.rows, rows, strict=True), 1):
            if copied != row and not _same_but_for_ignored(copied, row):
                raise Unaccounted(f"{way}: line {place}: {copied!r:.500} instead of {row!r:.500}")
        same(f"{way}: rejects", [(r.place, r.raw) for r in found.rejects], [(r.line, r.raw) for r, _ in rejects])
        for reject, (_, begins) in zip(found.rejects, rejects, strict=True):
            if not (text := "; ".join(reject.reasons)).startswith(begins):
                raise Unaccounted(f"{way}: reason: {text!r:.500} instead of {begins!r:.500}")
        same(f"{way}: sum", found.rejected + sum(row is not None for row in found.rows), found.received)
        reasons.append([r.reasons for r in found.rejects])
    same("reasons", reasons, reasons[:1] * len(reasons))
    _found_again(reading, data, drip, expected)
    return len(expected.records)


def _ways(data: bytes) -> Sequence[Way]:
    return [way for way in WAYS if way.is_fast or not way.stops or len(data) <= LONGEST_STOPPED]


def _refused(dataset: Dataset, data: bytes, declared: Declarations, way: Way, drip: int, message: str) -> None:
    try:
        reading = FileReading.of_file(dataset, Peekable(io.BytesIO(data)), declared)
        staged(dataset, way.tokens(reading, data, drip), reading.copy_format)
    except LoadError as error:
        same("message", error.detail[: len(message)], message)
    else:
        raise Unaccounted(f"{way}: a file that has to be refused was read")


def _shown(file_format: Format) -> tuple[object, ...]:
    shown = file_format.shown()
    is_by_position = any("by their position" in notice for notice in file_format.notices)
    return (*shown.values(), file_format.layout.positions, file_format.layout.has_sep_line, is_by_position)


def _expected_format(dataset: Dataset, expected: Understood, dates: Dates) -> tuple[object, ...]:
    """The same as `_shown` returns. There is a notice if the first record has no number, no date and no valid value of
    a column."""
    texts = [text.decode("utf-8", "replace") for text in expected.first or ()]
    is_row = any(is_whole(text) or is_instant(text, dates) for text in texts)
    is_row = is_row or any(_is_value(column, text, dates) for column, text in zip(dataset.columns, texts, strict=False))
    is_odd = bool(texts) and not is_row
    shown = ("csv", expected.delimiter.decode(), expected.encoding, expected.has_header, list(expected.ignored))
    return (*shown, expected.positions, expected.has_sep_line, is_odd)


def _is_value(column: Column, text: str, dates: Dates) -> bool:
    """Whether a text is a value of a column whose values are not texts."""
    if column.kind is Kind.TEXT:
        return False
    try:
        column.kind.check_in_file(dates, text)
    except (Broken, Missing):
        return False
    return True


def _expected(
    dataset: Dataset, expected: Understood, dates: Dates
) -> tuple[list[Row | None], list[tuple[Found, tuple[str, ...]]]]:
    """The row or None of each line, in the order of the file, and the rejects with the possible beginnings of their
    reasons."""
    rows: list[Row | None] = [None] * expected.lines
    rejects: list[tuple[Found, tuple[str, ...]]] = []
    for record in expected.records:
        if record.fields is None:
            miscounted = f"expected {len(expected.positions)} fields, found {record.found}"
            rejects.append((record, QUOTING if record.found is None else (miscounted,)))
            continue
        checked = check_fields(dataset, _in_order(dataset, expected, record.fields), dates)
        if checked.valid:
            stored = zip(dataset.columns, checked.values, strict=True)
            values = [None if sent is None else value(column, str(sent)) for column, sent in stored]
            rows[record.line - 1] = tuple(
                Ignored(field) if at is None else values[at]
                for at, field in zip(expected.positions, record.fields, strict=True)
            )
        else:
            rejects.append((record, ("; ".join(problem.text for problem in checked.problems),)))
    return rows, rejects


def _same_but_for_ignored(copied: Row | None, row: Row | None) -> bool:
    """Whether two rows are equal, where COPY may have an ignored field as it was sent, or NULL in its place."""
    return (
        copied is not None
        and row is not None
        and len(copied) == len(row)
        and all(c == r or (isinstance(r, Ignored) and _ignored(c, r)) for c, r in zip(copied, row, strict=True))
    )


def _ignored(copied: object, sent: bytes) -> bool:
    return copied is None or copied == sent.decode("utf-8", "replace")


def _found_again(reading: FileReading, data: bytes, drip: int, expected: Understood) -> None:
    """Check that the second reading of a file finds the records of the first one."""
    seeker = reading.seeker(Drip(data, drip))
    for record in expected.records:
        if record.fields is not None:
            again = seeker.record(record.line)
            in_order = tuple(_in_order(reading.dataset, expected, record.fields))
            same("found again", (again.line, again.raw, again.fields), (record.line, record.raw, in_order))


def _by_position(dataset: Dataset, fields: tuple[bytes, ...]) -> list[bytes | None]:
    """The field of each column, for a record of a file without a header."""
    positions = tuple(range(len(fields)))
    return _in_order(dataset, Understood("utf-8", b",", positions), fields)


def _in_order(dataset: Dataset, expected: Understood, fields: tuple[bytes, ...]) -> list[bytes | None]:
    """The field of each column, None for one that the record leaves out."""
    positions, found = expected.positions, list[bytes | None]()
    for at, column in enumerate(dataset.columns):
        field = fields[positions.index(at)] if at in positions else None
        is_left_out = not expected.has_header and column.may_be_absent and all(map(is_nothing, fields[at:]))
        found.append(None if is_left_out else field)
    return found
