"""Determines the type of an object from its name: its dataset and its format. Also returns the code that reads the
format."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.datasets import DATASETS, Dataset, by_file_name
from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Readable, skip
from chalicelib.formats.avro_rows import AvroRows, AvroSeeker
from chalicelib.formats.csv_reader import BEGINNING, Checkpoint, Reader, Record, Token
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.formats.gzip_stream import Unzipped
from chalicelib.formats.pg_copy import BINARY, TEXT, CopyFormat

SUFFIXES = (".csv", ".csv.gz", ".avro")


class Tokens(Protocol):
    """The records of an object, which can be read once. `offset` is the end of the last record, in bytes from the
    beginning of the object. A Checkpoint stores it."""

    @property
    def offset(self) -> int: ...
    def __iter__(self) -> Iterator[Token]: ...


class RecordSeeker(Protocol):
    """Reads an object a second time, and returns the records on given lines. The caller must give the lines in
    ascending order."""

    def record(self, line: int) -> Record: ...


@dataclass(frozen=True)
class FileType:
    """A dataset, and the suffix that names a format.

    `is_own_backup` does not follow from the name. It is true if Hireflow copied the object from one of its restore
    points, for a restore.
    """

    dataset: Dataset
    suffix: str
    is_own_backup: bool = False

    @classmethod
    def of(cls, key: str) -> "FileType | None":
        """Return the type of an object, by its base name. Return None if Hireflow does not load such an object."""
        name = key.rsplit("/", 1)[-1]
        dataset = by_file_name(name)
        suffix = next((s for s in SUFFIXES if name.endswith(s)), None)
        return cls(dataset, suffix) if dataset and suffix else None

    @property
    def kind(self) -> str:
        """The kind that a load of such an object has in the history."""
        return "restore" if self.suffix == ".avro" else "csv"

    @property
    def copy_format(self) -> CopyFormat:
        """The format in which COPY receives the valid rows."""
        return BINARY if self.suffix == ".avro" else TEXT

    @property
    def has_ranges(self) -> bool:
        """Whether reading can start in the middle of the object. Compressed files must be read from their beginning."""
        return self.suffix == ".csv"

    def tokens(self, stream: Readable, start: Checkpoint = BEGINNING) -> Tokens:
        """Return the records of the object from `start` on. If the object has ranges, `stream` begins at `start`.
        Otherwise `stream` begins at the beginning of the object.

        If the object does not have the format that its name says, raises LoadError. Reading the records may also raise
        this error.
        """
        if self.suffix == ".avro":
            return AvroRows(self.dataset, stream, start.lines, is_trusted=self.is_own_backup)
        if self.suffix == ".csv.gz":
            stream = Unzipped(stream)
            skip(stream, start.offset)
        return Reader(self.dataset, stream, start=start)

    def seeker(self, stream: Readable) -> RecordSeeker:
        """Return a seeker for the second reading of the object. `stream` is at the beginning of the object."""
        if self.suffix == ".avro":
            return AvroSeeker(AvroRows(self.dataset, stream, is_trusted=self.is_own_backup))
        return Seeker(Unzipped(stream) if self.suffix == ".csv.gz" else stream)


def unrecognised(key: str) -> LoadError:
    names = ", ".join(DATASETS)
    return LoadError(
        f"{key.rsplit('/', 1)[-1]!r} is not a file that Hireflow loads: its name must start with one of {names}"
        f" and end in one of {', '.join(SUFFIXES)}"
    )
