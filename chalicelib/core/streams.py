"""Defines the streams that the packages pass to each other. Wrappers check the deadline, compute a
checksum, or do something else before each read."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from chalicelib.core import deadline

MIB = 1024 * 1024
_SKIPPED = 1024 * 1024  # the most bytes that `skip` reads at a time


class Readable(Protocol):
    """A forward-only stream of bytes; `read` returns b"" at the end."""

    def read(self, size: int, /) -> bytes: ...


def skip(stream: Readable, size: int) -> None:
    """Read `size` bytes and discard them."""
    while size > 0 and (data := stream.read(min(size, _SKIPPED))):
        size -= len(data)


class Peekable:
    """Wraps a stream. `peek` returns the next bytes, and `read` then returns the same bytes again."""

    def __init__(self, stream: Readable) -> None:
        self._stream, self._ahead = stream, b""

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes without consuming them. Fewer bytes mean that the stream ends there."""
        while len(self._ahead) < size and (data := self._stream.read(size - len(self._ahead))):
            self._ahead += data
        return self._ahead[:size]

    def read(self, size: int, /) -> bytes:
        if not self._ahead:
            return self._stream.read(size)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data


class InTime:
    """Wraps a stream that can be read until the deadline. After the deadline, `read` raises OutOfTime."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        deadline.left()
        return self._stream.read(size)


class Attended:
    """Wraps a stream that may take long to read. Calls `attend` before each read."""

    def __init__(self, stream: Readable, attend: Callable[[], None]) -> None:
        self._stream, self._attend = stream, attend

    def read(self, size: int, /) -> bytes:
        self._attend()
        return self._stream.read(size)


class Hashed:
    """Wraps a stream. Counts its bytes and computes their SHA-256 while the stream is read."""

    def __init__(self, stream: Readable) -> None:
        self._stream, self._hash = stream, hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def hexdigest(self) -> str:
        """Read the rest of the stream and return the SHA-256 of the whole stream."""
        while self.read(MIB):
            pass
        return self._hash.hexdigest()
