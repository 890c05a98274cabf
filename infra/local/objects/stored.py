"""Declares a body that lies in a file.

ministack passes on a `Stored` where it would otherwise pass on bytes. `Stored` deliberately has no buffer: code that
needs a buffer of bytes raises TypeError, and does not silently read a large body into memory.
"""

import hashlib
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Protocol

from infra.local.objects.checksums import Running, running

PIECE = 1024 * 1024  # bytes that are read or written at a time


class File(Protocol):
    """A file that can be read as long as something refers to this object."""

    path: str

    def opened(self) -> AbstractContextManager[int]: ...


class Temporary:
    """A file that is deleted when nothing refers to this object any more. Between reads, the file is not open, because
    a multipart upload may have 10,000 such files."""

    def __init__(self, path: str) -> None:
        self.path = path
        weakref.finalize(self, _delete, path)

    @classmethod
    def create(cls, folder: Path) -> tuple["Temporary", int]:
        """Return a new file, and a descriptor with which the caller writes to the file. The caller also closes the
        descriptor. Raises OSError."""
        descriptor, path = mkstemp(prefix="body-", dir=folder)
        return cls(path), descriptor

    @contextmanager
    def opened(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class Pinned:
    """The file of an object. It can still be read after the object was overwritten or deleted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)

    @contextmanager
    def opened(self) -> Iterator[int]:
        yield self.descriptor


class Stored:
    """`size` bytes of a file, from the offset `start`. A body that was just received has its `md5` and `checksums`."""

    def __init__(
        self, file: File, size: int, *, start: int = 0, md5: Running | None = None, checksums: Mapping[str, bytes] = {}
    ) -> None:
        self._file, self._size, self._start = file, size, start
        self._md5, self._checksums = md5, dict(checksums)

    @classmethod
    def of_object(cls, path: str) -> "Stored":
        """Return the body in the file of an object. Raises FileNotFoundError."""
        file = Pinned(path)
        return cls(file, os.fstat(file.descriptor).st_size)

    @property
    def is_received(self) -> bool:
        """Return whether the body lies in a temporary file, and not in the file of an object."""
        return isinstance(self._file, Temporary)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> "Stored":
        start, stop, _ = part.indices(self._size)
        return Stored(self._file, max(0, stop - start), start=self._start + start)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    def __deepcopy__(self, _: object) -> "Stored":
        return self  # nothing changes a stored body

    def decode(self, *_: object, **__: object) -> str:
        """Return an empty text. ministack decodes bodies only to look for parameters of services other than S3."""
        return ""

    def pieces(self) -> Iterator[bytes]:
        """Read the body. Raises OSError."""
        at, end = self._start, self._start + self._size
        with self._file.opened() as descriptor:
            while at < end:
                piece = os.pread(descriptor, min(PIECE, end - at), at)
                if not piece:
                    raise OSError(f"{self._file.path} is shorter than the body that was written to it")
                at += len(piece)
                yield piece

    @property
    def md5(self) -> Running:
        if self._md5 is None:
            self._md5 = hashlib.md5(usedforsecurity=False)
            self._feed(self._md5)
        return self._md5

    def checksum(self, algorithm: str) -> bytes | None:
        """Return a checksum of S3, or None if S3 knows no such algorithm. `algorithm` is a normalized name."""
        if algorithm not in self._checksums:
            checksum = running(algorithm)
            if checksum is None:
                return None
            self._feed(checksum)
            self._checksums[algorithm] = checksum.digest()
        return self._checksums[algorithm]

    def _feed(self, checksum: Running) -> None:
        for piece in self.pieces():
            checksum.update(piece)

    def save(self, path: str) -> None:
        """Write the body to the file `path`. Readers of `path` never see a part of the body. Raises OSError.

        If the body is a whole file, it is not copied: `path` becomes a link to this file. This is safe, because files
        of objects are replaced and never changed.
        """
        new = f"{path}.tmp"
        _delete(new)
        try:
            if not self._linked(new):
                write_file(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), self.pieces())
            Path(new).replace(path)
        finally:
            _delete(new)  # if both names are links to the same file, `replace` leaves this name

    def _linked(self, new: str) -> bool:
        """Make `new` a link to the file. Return False if this is not possible: a file system may have no links."""
        with self._file.opened() as descriptor:
            own = os.fstat(descriptor)
            if self._start or own.st_size != self._size:
                return False
            with suppress(OSError):
                os.link(self._file.path, new)
                if os.path.samestat(own, Path(new).stat()):
                    return True
        _delete(new)  # meanwhile, another object may have got the path of this file
        return False


def kept(body: bytes | Stored, folder: Path) -> Stored:
    """Return a body that lies in a file of its own in `folder`. Raises OSError."""
    if isinstance(body, Stored) and body.is_received:
        return body
    file, descriptor = Temporary.create(folder)
    write_file(descriptor, body.pieces() if isinstance(body, Stored) else [body])
    return Stored(file, len(body))


def joined(bodies: Iterable[Stored], folder: Path) -> Stored:
    """Join the parts of a multipart upload in a new file. Raises OSError."""
    parts = list(bodies)
    file, descriptor = Temporary.create(folder)
    write_file(descriptor, (piece for part in parts for piece in part.pieces()))
    return Stored(file, sum(map(len, parts)))


def write_file(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write pieces to a descriptor, and close the descriptor. Raises OSError."""
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(pieces)


def _delete(path: str) -> None:
    Path(path).unlink(missing_ok=True)
