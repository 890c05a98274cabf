"""What an object holds, by its name: a dataset, a format, and how to read its records."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote_plus

from chalicelib.core.datasets import DATASETS, Dataset, Kind, by_file_name
from chalicelib.core.errors import LoadError
from chalicelib.core.rules import Checked, all_stored_are_valid, check_stored, shown_stored
from chalicelib.core.streams import Hashed, Readable, skip
from chalicelib.formats.csv_reader import BEGINNING, MAX_RECORD, Position, Reader, Record, Token
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.formats.gzip_stream import Expansion, Unzipped
from chalicelib.formats.pg_copy import BINARY, TEXT, Form, binary_rows
from chalicelib.loads.object_versions import ObjectCreated

SUFFIXES = (".csv", ".csv.gz", ".avro")


def created_objects(event: dict[str, Any]) -> Iterator[ObjectCreated]:
    """The object versions an S3 notification tells of; keys of folders (ending in `/`) are left out.

    Without bucket versioning the ETag and the event's sequencer stand for the version.
    """
    for record in event["Records"]:
        bucket, item = record["s3"]["bucket"]["name"], record["s3"]["object"]
        key, version_id, sequencer = unquote_plus(item["key"]), item.get("versionId"), item.get("sequencer")
        if version_id == "null":  # versioning is suspended: every new object has this one
            version_id = None
        if key.endswith("/"):
            continue
        version = version_id or f"{item.get('eTag', '')}:{sequencer or ''}"
        yield ObjectCreated(key, f"s3://{bucket}/{key}", version, version_id, sequencer)


@dataclass(frozen=True)
class Source:
    """A recognised object: its dataset and the suffix that names its format."""

    dataset: Dataset
    suffix: str

    @classmethod
    def of(cls, key: str) -> "Source | None":
        """What `key` holds by its base name, or None where it is nothing we load."""
        name = key.rsplit("/", 1)[-1]
        dataset = by_file_name(name)
        suffix = next((s for s in SUFFIXES if name.endswith(s)), None)
        return cls(dataset, suffix) if dataset and suffix else None

    @property
    def kind(self) -> str:
        return "restore" if self.suffix == ".avro" else "csv"

    @property
    def form(self) -> Form:
        """How its valid rows go to COPY."""
        return BINARY if self.suffix == ".avro" else TEXT

    @property
    def has_ranges(self) -> bool:
        """Whether it can be read from the middle: packed files are unpacked from their beginning."""
        return self.suffix == ".csv"

    def tokens(self, stream: Readable, start: Position = BEGINNING) -> "Tokens":
        """The records of the object from `start` on, where `stream` begins if the object has ranges.

        Raises LoadError, now or later, where it is not what its name says.
        """
        if self.suffix == ".avro":
            return _StoredTokens(self.dataset, stream, start.lines)
        if self.suffix == ".csv.gz":
            stream = Unzipped(stream)
            skip(stream, start.offset)
        return Reader(self.dataset, stream, start=start)

    def seeker(self, stream: Readable) -> "Seeker | StoredSeeker":
        """For a second reading, of the records on some lines."""
        if self.suffix == ".avro":
            return StoredSeeker(_stored_rows(self.dataset, stream))
        return Seeker(Unzipped(stream) if self.suffix == ".csv.gz" else stream)


class Tokens(Protocol):
    """The records of an object, read once. `offset` tells where the last one ended, for a Position."""

    @property
    def offset(self) -> int: ...
    def __iter__(self) -> Iterator[Token]: ...


def unrecognised(key: str) -> LoadError:
    names = ", ".join(DATASETS)
    return LoadError(
        f"{key.rsplit('/', 1)[-1]!r} is not a file Hireflow loads: its name must start with one of {names}"
        f" and end in one of {', '.join(SUFFIXES)}"
    )


@dataclass(frozen=True, slots=True)
class StoredRows:
    """A run of valid rows from a backup; a line is a row. `data` is for COPY, `rows` as the file has them."""

    line: int
    dataset: Dataset
    rows: list[tuple[Any, ...]]
    data: bytes

    @property
    def lines(self) -> int:
        return len(self.rows)

    def for_copy(self) -> bytes:
        return self.data


class StoredSeeker:
    """Second reading of a backup, for its rows on given lines (ascending, each known to be valid)."""

    def __init__(self, tokens: Iterator[Token]) -> None:
        self._runs = (token for token in tokens if isinstance(token, StoredRows))
        self._run = next(self._runs)

    def record(self, line: int) -> Record:
        while line >= self._run.line + self._run.lines:
            self._run = next(self._runs)
        return _stored_record(self._run.dataset, line, self._run.rows[line - self._run.line])


@dataclass(frozen=True)
class _StoredTokens:
    """The rows of a backup after the first `skipped` ones, which alone tell the position: a row is a line."""

    dataset: Dataset
    stream: Readable
    skipped: int

    @property
    def offset(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Token]:
        return _stored_rows(self.dataset, self.stream, self.skipped)


def _stored_rows(dataset: Dataset, stream: Readable, skipped: int = 0) -> Iterator[Token]:
    from chalicelib.formats.avro import records

    ordered = isinstance(stream, Hashed)  # a backup of ours, whatever equal texts it holds
    line = 1 + skipped
    for batch in records(dataset, stream, None if ordered else Expansion("the Avro file"), skip=skipped):
        columns = tuple(zip(*batch, strict=True))
        if all_stored_are_valid(dataset, columns):
            yield StoredRows(line, dataset, batch, binary_rows(dataset, columns))
        else:
            yield from _mixed_rows(dataset, line, batch)
        line += len(batch)


def _mixed_rows(dataset: Dataset, line: int, batch: list[tuple[Any, ...]]) -> Iterator[Token]:
    """Row by row; a valid one may yet have to lose white space."""
    instants = [column.kind is Kind.INSTANT for column in dataset.columns]
    for number, row in enumerate(batch, line):
        checked = check_stored(dataset, row)
        if checked.valid:
            values = [
                (sent if is_instant else v,) for sent, v, is_instant in zip(row, checked.values, instants, strict=True)
            ]
            yield StoredRows(number, dataset, [row], binary_rows(dataset, values))
        else:
            yield _stored_record(dataset, number, row, checked)


def _stored_record(dataset: Dataset, line: int, row: tuple[Any, ...], checked: Checked | None = None) -> Record:
    """A stored row as the CSV record it would have come from, for a report; values are as long as a record may be."""
    shown = [str(value)[:MAX_RECORD] for value in shown_stored(dataset, row)]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(shown)
    raw, *fields = (value.encode("utf-8", "surrogateescape")[:MAX_RECORD] for value in (text.getvalue(), *shown))
    return Record(line, 1, raw, tuple(fields), checked=checked)
