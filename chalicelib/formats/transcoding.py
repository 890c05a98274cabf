"""Text in any encoding, with any line ends, as a stream of UTF-8 with LF."""

import codecs
from typing import Final

from chalicelib.core.streams import Readable

CHUNK: Final = 256 * 1024  # bytes read at a time
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
_INVALID = "hireflow.invalid"
# What stands for bytes that mean nothing in their encoding: no valid UTF-8, so that their record alone is rejected.
_STAND_IN = "\udcff"


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _STAND_IN, error.end


codecs.register_error(_INVALID, _replace)


def byte_order_mark(head: bytes) -> tuple[bytes, str] | None:
    """The mark at a file's beginning and the encoding that it stands for, if there is one."""
    return next(((mark, name) for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), None)


def endian(encoding: str, head: bytes) -> str:
    """The encoding with its byte order: `utf-16` goes by the mark at the beginning, and is little-endian without."""
    if encoding != "utf-16":
        return encoding
    return "utf-16be" if head.startswith(codecs.BOM_UTF16_BE) else "utf-16le"


def as_utf8(data: bytes, encoding: str, *, final: bool) -> bytes:
    """The beginning of a file in UTF-8, without a byte order mark, and without a character that its end cuts off."""
    return _decoded(codecs.getincrementaldecoder(encoding)(errors=_INVALID), data, final).removeprefix(codecs.BOM_UTF8)


class Transcoded:
    """A stream in UTF-8 of one in another encoding. Bytes that mean nothing there become bytes that are not UTF-8.

    A byte order mark stays: who reads the text drops it, as in a file in UTF-8.
    """

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=_INVALID)
        self._buffer, self._ended = b"", False

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer at the end only."""
        while len(self._buffer) < size and not self._ended:
            data = self._stream.read(CHUNK)
            self._ended = not data
            self._buffer += _decoded(self._decoder, data, self._ended)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


class LineFeeds:
    """A stream in which every CR has become LF, for files that end their lines with CR alone."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size).replace(b"\r", b"\n")


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, final: bool) -> bytes:
    return decoder.decode(data, final).encode("utf-8", "surrogateescape")
