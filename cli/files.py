"""Files on their way: what each is, which goes first, and how its bytes are sent."""

import gzip
import io
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.datasets import DATASETS, by_file_name
from cli.errors import CommandError, Misuse

CSV, GZIP = "text/csv", "application/gzip"
_CHUNK = 1 << 20
MAX_CHECKED = 4_500_000  # bytes of a request that POST /uploads/check takes


@dataclass(frozen=True)
class Sent:
    """A file to send: a CSV or a gzip of one, of the dataset that it was said to be or is named after."""

    path: Path
    dataset: str

    @classmethod
    def of(cls, path: Path, dataset: str | None) -> "Sent":
        """Raises Misuse for a file that cannot be loaded by its name."""
        if not path.name.endswith((".csv", ".csv.gz")):
            raise Misuse(f"{path.name}: only .csv and .csv.gz can be loaded")
        named = by_file_name(path.name)
        if dataset is None and named is None:
            raise Misuse(f"{path.name}: its name begins with no dataset's; say --dataset {'|'.join(DATASETS)}")
        return cls(path, dataset or (named.name if named else ""))

    @property
    def zipped(self) -> bool:
        return self.path.name.endswith(".gz")


def waves(files: Iterable[Sent]) -> list[list[Sent]]:
    """The files in groups, parents before what refers to them."""
    groups: dict[int, list[Sent]] = {}
    for file in files:
        groups.setdefault(generation(file.dataset), []).append(file)
    return [groups[number] for number in sorted(groups)]


def generation(dataset: str) -> int:
    """0 for a dataset that refers to no other, else one more than that of its parents."""
    return max((generation(parent) + 1 for parent in DATASETS[dataset].parents), default=0)


def opened(path: Path) -> BinaryIO:
    """Raises CommandError."""
    try:
        if path.exists() and not path.is_file():  # a pipe has no size, and to open it may wait for ever
            raise CommandError(f"{path}: this is no regular file: save what it holds to one")
        return path.open("rb")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def smaller(file: Sent) -> tuple[bytes, str]:
    """The file as it is or zipped, whichever is smaller, with its content type. Raises CommandError where both are
    larger than what one request takes."""
    with opened(file.path) as source, tempfile.TemporaryFile() as packed:
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        if not file.zipped and _packed(source, packed) < size:
            return _whole(file, packed), GZIP
        return _whole(file, source), GZIP if file.zipped else CSV


def _packed(source: BinaryIO, target: BinaryIO) -> int:
    """Zip, but no more than is needed to see that it is too much; the size that it has."""
    with gzip.GzipFile(fileobj=target, mode="wb") as packing:
        while target.tell() <= MAX_CHECKED and (chunk := source.read(_CHUNK)):
            packing.write(chunk)
    return target.tell()


def _whole(file: Sent, chosen: BinaryIO) -> bytes:
    size = chosen.seek(0, io.SEEK_END)
    if size > MAX_CHECKED:
        raise CommandError(
            f"{file.path.name}: too large to be checked at once, more than {MAX_CHECKED:,} bytes even when zipped;"
            " check the beginning of it, or upload it: its load tells the same"
        )
    chosen.seek(0)
    return chosen.read()
