"""A gzip file, unpacked as it is read, and kept from growing beyond what an honest sender sends."""

import zlib

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB, Readable

FREE = 16 * MIB  # bytes that may come of anything, such as the million blank lines of a spreadsheet (1000:1)
MAX_RATIO = 300  # measured: exports shrink 5 to 40 times, rows of a thousand equal characters 200; deflate ends at 1032
MAX_UNPACKED = 64 * 1024 * MIB  # five times what a function can load in its 15 minutes
_CHUNK = 256 * 1024  # bytes read from the stream at a time
_FED = 16 * 1024  # bytes given to zlib at a time: what it leaves it copies, for each of many small members anew
_MAGIC = 0x1F  # the first byte of a member


class Expansion:
    """How much has come of how little. `what` begins the message of the LoadError that ends it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._packed = self._unpacked = 0

    def add(self, packed: int, unpacked: int) -> None:
        """Count bytes before and after decompression; LoadError beyond MAX_RATIO or MAX_UNPACKED."""
        self._packed += packed
        self._unpacked += unpacked
        if self._unpacked > FREE and self._unpacked > MAX_RATIO * self._packed:
            raise LoadError(f"{self._what} unpacks to more than {MAX_RATIO} times its size: it is taken for an attack")
        if self._unpacked > MAX_UNPACKED:
            raise LoadError(f"{self._what} unpacks to more than {MAX_UNPACKED // MIB // 1024} GiB: split it")


class Unzipped:
    """A gzip stream, unpacked as it is read: one member after the other, zeros after the last one ignored.

    Raises LoadError for what is not gzip, cut short, damaged, followed by anything else, or a bomb. Not
    the standard library's reader, which puts no limit on a header and tells nothing of the ratio.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._chunk, self._at = memoryview(b""), 0
        self._member = _member()
        self._expansion = Expansion("the gzip file")

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer at the end only."""
        parts = []
        while size and (part := self._part(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _part(self, most: int) -> bytes:
        """Some bytes; none at the end."""
        while not self._member.eof or self._another():
            fed = self._ahead()
            try:
                data = self._member.decompress(fed, most)
            except zlib.error as error:
                raise LoadError(f"the object is not a sound gzip file: {error}") from error
            used = len(fed) - len(self._member.unused_data if self._member.eof else self._member.unconsumed_tail)
            self._at += used
            self._expansion.add(used, len(data))
            if data:
                return data
            if not fed and not self._member.eof:
                raise LoadError("the object is not a complete gzip file: it is cut short")
        return b""

    def _ahead(self) -> memoryview:
        """The next bytes of the stream; none at its end."""
        if self._at == len(self._chunk):
            self._chunk, self._at = memoryview(self._stream.read(_CHUNK)), 0
        return self._chunk[self._at : self._at + _FED]

    def _another(self) -> bool:
        """Whether one more member follows."""
        while padding := self._ahead():
            zeros = len(padding) - len(bytes(padding).lstrip(b"\0"))
            self._at += zeros
            if zeros < len(padding):
                if self._chunk[self._at] != _MAGIC:
                    raise LoadError("the object is not a gzip file alone: other data follows")
                self._member = _member()
                return True
        return False


def _member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
