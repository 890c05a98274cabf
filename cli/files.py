"""Files to send: the dataset of each, their order, and their bytes."""

import gzip
import io
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.datasets import DATASETS, by_file_name
from cli.errors import CommandError, Misuse

CSV, GZIP, OTHER = "text/csv", "application/gzip", "application/octet-stream"
ENDINGS = (".csv", ".csv.gz", ".xlsx")
_CHUNK = 1 << 20
MAX_CHECKED = 4_500_000  # bytes of the largest body that POST /uploads/check accepts


@dataclass(frozen=True)
class Sent:
    """A file to send: a CSV file, a gzip of one, or an XLSX workbook.

    The user names its dataset, or the file's name begins with it.
    """

    path: Path
    dataset: str

    @classmethod
    def of(cls, path: Path, dataset: str | None) -> "Sent":
        """Raises Misuse for a file that is neither CSV nor XLSX by its name, or whose dataset is unknown."""
        if not path.name.lower().endswith(ENDINGS):
            raise Misuse(f"{path.name}: only .csv, .csv.gz and .xlsx files can be loaded")
        named = by_file_name(path.name)
        if dataset is None and named is None:
            raise Misuse(f"{path.name}: no dataset's name begins the file name; add --dataset {'|'.join(DATASETS)}")
        return cls(path, dataset or (named.name if named else ""))

    @property
    def zipped(self) -> bool:
        return self.path.name.lower().endswith(".gz")

    @property
    def is_workbook(self) -> bool:
        """Whether it is an XLSX workbook, which is packed already."""
        return self.path.name.lower().endswith(".xlsx")


def waves(files: Iterable[Sent]) -> list[list[Sent]]:
    """Return the files in groups, files of parents in an earlier group than files of their children."""
    groups: dict[int, list[Sent]] = {}
    for file in files:
        groups.setdefault(generation(file.dataset), []).append(file)
    return [groups[number] for number in sorted(groups)]


def generation(dataset: str) -> int:
    """Return 0 for a dataset without parents, else one more than the highest generation of its parents."""
    return max((generation(parent) + 1 for parent in DATASETS[dataset].parents), default=0)


def opened(path: Path) -> BinaryIO:
    """Open a file for reading. Raises CommandError."""
    try:
        if path.exists() and not path.is_file():  # a pipe has no size, and opening it may block for ever
            raise CommandError(f"{path}: this is not a regular file: save its content to a file first")
        return path.open("rb")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def smaller(file: Sent) -> tuple[bytes, str]:
    """Return the file, unchanged or gzipped, whichever is smaller, and its content type.

    Raises CommandError if both are too large for one request.
    """
    with opened(file.path) as source, tempfile.TemporaryFile() as packed:
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        if file.is_workbook:
            return _whole(file, source), OTHER
        if not file.zipped and _packed(source, packed) < size:
            return _whole(file, packed), GZIP
        return _whole(file, source), GZIP if file.zipped else CSV


def _packed(source: BinaryIO, target: BinaryIO) -> int:
    """Gzip into `target`, but stop when the result is too large to be sent. Return its size in bytes."""
    with gzip.GzipFile(fileobj=target, mode="wb") as packing:
        while target.tell() <= MAX_CHECKED and (chunk := source.read(_CHUNK)):
            packing.write(chunk)
    return target.tell()


def _whole(file: Sent, chosen: BinaryIO) -> bytes:
    size = chosen.seek(0, io.SEEK_END)
    if size > MAX_CHECKED:
        raise CommandError(
            f"{file.path.name}: too large to be checked at once, more than {MAX_CHECKED:,} bytes even when packed;"
            " check only its first lines, or upload it: the load reports the same"
        )
    chosen.seek(0)
    return chosen.read()
