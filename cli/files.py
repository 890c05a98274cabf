"""Finds the dataset of each file to send, puts the files in order, and reads their bytes."""

import gzip
import io
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.datasets import DATASETS, by_file_name
from cli.errors import CommandError, Misuse

CSV, GZIP, AVRO, BYTES = "text/csv", "application/gzip", "application/avro", "application/octet-stream"
# The endings of the files that can be loaded. A test compares them with chalicelib/ingest/file_names.py.
_TEXTS = (".csv", ".tsv", ".txt")
ENDINGS = (*_TEXTS, *(f"{ending}.gz" for ending in _TEXTS), ".xlsx", ".avro")
_CHUNK = 1 << 20
_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"Obj\x01")  # gzip, XLSX and Avro; their names may end in .csv as well
MAX_CHECKED = 4_500_000  # bytes of the largest body that POST /uploads/check accepts


@dataclass(frozen=True)
class Sent:
    """A file to send, with its dataset. The user names the dataset, or the name of the file or of a folder says it."""

    path: Path
    dataset: str

    @classmethod
    def of(cls, path: Path, dataset: str | None) -> "Sent":
        """Return the file with its dataset. Raises Misuse if Hireflow loads no files with this ending, or if neither
        the user nor the name says the dataset."""
        name = path.name.lower()
        ending = max((ending for ending in ENDINGS if name.endswith(ending)), key=len, default=None)
        if ending is None:
            raise Misuse(f"{path.name}: only files that end in {', '.join(ENDINGS)} can be loaded")
        named = by_file_name(path.name[: -len(ending)], path.parent.parts)
        if dataset is None and named is None:
            raise Misuse(f"{path.name}: the file name does not say the dataset; add --dataset {'|'.join(DATASETS)}")
        return cls(path, dataset or (named.name if named else ""))

    @property
    def zipped(self) -> bool:
        return self.path.name.lower().endswith(".gz")

    @property
    def is_avro(self) -> bool:
        return self.path.name.lower().endswith(".avro")

    @property
    def is_text(self) -> bool:
        return self.path.name.lower().endswith(_TEXTS)


def waves(files: Iterable[Sent]) -> list[list[Sent]]:
    """Return the files in groups. Files of parents are in an earlier group than files of their children."""
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
    """Return the content to send for a check, and its content type.

    A text file is compressed with gzip if this makes it smaller. Any other file is sent as it is: the API unpacks a
    file once, as a load does.

    Raises CommandError if the content is too large for one request.
    """
    with opened(file.path) as source, tempfile.TemporaryFile() as packed:
        is_text = file.is_text and not source.read(4).startswith(_PACKED)
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        if is_text and _packed(source, packed) < size:
            return _whole(file, packed), GZIP
        return _whole(file, source), GZIP if file.zipped else CSV if is_text else AVRO if file.is_avro else BYTES


def _packed(source: BinaryIO, target: BinaryIO) -> int:
    """Gzip into `target`, but stop when the result is too large to be sent. Return the size of the result."""
    with gzip.GzipFile(fileobj=target, mode="wb") as packing:
        while target.tell() <= MAX_CHECKED and (chunk := source.read(_CHUNK)):
            packing.write(chunk)
    return target.tell()


def _whole(file: Sent, chosen: BinaryIO) -> bytes:
    size = chosen.seek(0, io.SEEK_END)
    if size > MAX_CHECKED:
        raise CommandError(
            f"{file.path.name}: too large to be checked at once, more than {MAX_CHECKED:,} bytes even when gzipped;"
            " check only its first lines, or upload the whole file: its load reports the same rejects"
        )
    chosen.seek(0)
    return chosen.read()
