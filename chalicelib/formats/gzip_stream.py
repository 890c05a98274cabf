"""Decompresses a gzip file while it is read. Limits protect the load against gzip bombs."""

import zlib

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB, Readable

# The ratio of the first FREE decompressed bytes is not limited. Otherwise, a harmless export with a million blank rows
# would be refused, because such rows compress 1000:1.
FREE = 16 * MIB
# The largest ratio of decompressed to compressed bytes. In measurements, exports had a ratio of 5 to 40, and rows of a
# thousand equal characters had a ratio of 200. A gzip bomb can have a ratio of up to 1032.
MAX_RATIO = 300
MAX_UNPACKED = 64 * 1024 * MIB  # bytes; a function can load a fifth of this size in its 15 minutes
_CHUNK = 256 * 1024  # bytes read from the stream at a time
# Bytes that zlib gets at a time. At the end of a member, zlib copies the bytes that it has not used. A file may have
# many small members, so zlib must not get many bytes at a time.
_FED = 16 * 1024
_MAGIC = 0x1F  # the first byte of a member


class Expansion:
    """Compares the decompressed size with the compressed size. `what` names the file in the message of the
    LoadError."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._packed = self._unpacked = 0

    def add(self, packed: int, unpacked: int) -> None:
        """Count bytes before and after decompression. Raises LoadError beyond MAX_RATIO or MAX_UNPACKED."""
        self._packed += packed
        self._unpacked += unpacked
        if self._unpacked > FREE and self._unpacked > MAX_RATIO * self._packed:
            raise LoadError(f"{self._what} unpacks to more than {MAX_RATIO} times its size: this may be an attack")
        if self._unpacked > MAX_UNPACKED:
            raise LoadError(f"{self._what} unpacks to more than {MAX_UNPACKED // MIB // 1024} GiB: split it")


class Unzipped:
    """Decompresses a gzip stream while it is read. The stream may have several members, and zeros after the last one.

    Raises LoadError if the stream is not gzip, is truncated, is damaged, is followed by other data, or is a gzip bomb.
    The `gzip` module of Python is not used, because it does not limit headers and does not report the ratio.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._chunk, self._at = memoryview(b""), 0
        self._member = _member()
        self._expansion = Expansion("the gzip file")

    def read(self, size: int, /) -> bytes:
        """Read `size` bytes. Fewer bytes are returned only at the end of the stream."""
        parts = []
        while size and (part := self._part(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _part(self, most: int) -> bytes:
        """Return between 1 and `most` bytes. At the end of the stream, return no bytes."""
        while not self._member.eof or self._another():
            fed = self._ahead()
            try:
                data = self._member.decompress(fed, most)
            except zlib.error as error:
                raise invalid_gzip(error) from error
            used = len(fed) - len(self._member.unused_data if self._member.eof else self._member.unconsumed_tail)
            self._at += used
            self._expansion.add(used, len(data))
            if data:
                return data
            if not fed and not self._member.eof:
                raise LoadError("the object is not a complete gzip file: it is truncated; send the whole file again")
        return b""

    def _ahead(self) -> memoryview:
        """Return the next compressed bytes. At the end of the stream, return no bytes. The caller has to add the number
        of bytes that it uses to `_at`."""
        if self._at == len(self._chunk):
            self._chunk, self._at = memoryview(self._stream.read(_CHUNK)), 0
        return self._chunk[self._at : self._at + _FED]

    def _another(self) -> bool:
        """Skip zeros and begin the next member. Returns False if no member follows."""
        while padding := self._ahead():
            zeros = len(padding) - len(bytes(padding).lstrip(b"\0"))
            self._at += zeros
            if zeros < len(padding):
                if self._chunk[self._at] != _MAGIC:
                    raise LoadError("other data follows the gzip data in the object: send only a gzip file")
                self._member = _member()
                return True
        return False


def invalid_gzip(error: zlib.error) -> LoadError:
    """The error for a file that zlib cannot decompress. Of zlib's message, only the end is about the file."""
    fault = str(error).rpartition(": ")[2]
    return LoadError(f"the object is not a valid gzip file ({fault}): pack the file again, and send it again")


def _member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
