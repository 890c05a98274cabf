"""What an object holds, by its name: rows of a dataset in a format, and how to read them."""

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
    """The records of an object, read once. `offset` is where the last one ended, for a Checkpoint."""

    @property
    def offset(self) -> int: ...
    def __iter__(self) -> Iterator[Token]: ...


class RecordSeeker(Protocol):
    """The second reading of an object, for the records on some of its lines, which are asked for in ascending order."""

    def record(self, line: int) -> Record: ...


@dataclass(frozen=True)
class FileType:
    """A dataset, and the suffix that names a format.

    `is_own_backup` does not follow from the name: the object was copied from a restore point of ours, for a restore.
    """

    dataset: Dataset
    suffix: str
    is_own_backup: bool = False

    @classmethod
    def of(cls, key: str) -> "FileType | None":
        """The type of an object by its base name; None if Hireflow does not load it."""
        name = key.rsplit("/", 1)[-1]
        dataset = by_file_name(name)
        suffix = next((s for s in SUFFIXES if name.endswith(s)), None)
        return cls(dataset, suffix) if dataset and suffix else None

    @property
    def kind(self) -> str:
        """What a load of it is in the history."""
        return "restore" if self.suffix == ".avro" else "csv"

    @property
    def copy_format(self) -> CopyFormat:
        """The format in which its valid rows go to COPY."""
        return BINARY if self.suffix == ".avro" else TEXT

    @property
    def has_ranges(self) -> bool:
        """Whether it can be read from the middle: packed files are unpacked from their beginning."""
        return self.suffix == ".csv"

    def tokens(self, stream: Readable, start: Checkpoint = BEGINNING) -> Tokens:
        """The records of the object from `start` on. `stream` begins there if the object has ranges.

        Raises LoadError, now or later, if the object is not what its name says.
        """
        if self.suffix == ".avro":
            return AvroRows(self.dataset, stream, start.lines, is_trusted=self.is_own_backup)
        if self.suffix == ".csv.gz":
            stream = Unzipped(stream)
            skip(stream, start.offset)
        return Reader(self.dataset, stream, start=start)

    def seeker(self, stream: Readable) -> RecordSeeker:
        """The second reading of the object, whose `stream` begins anew."""
        if self.suffix == ".avro":
            return AvroSeeker(AvroRows(self.dataset, stream, is_trusted=self.is_own_backup))
        return Seeker(Unzipped(stream) if self.suffix == ".csv.gz" else stream)


def unrecognised(key: str) -> LoadError:
    names = ", ".join(DATASETS)
    return LoadError(
        f"{key.rsplit('/', 1)[-1]!r} is not a file Hireflow loads: its name must start with one of {names}"
        f" and end in one of {', '.join(SUFFIXES)}"
    )
