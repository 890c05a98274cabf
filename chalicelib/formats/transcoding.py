"""Converts text of other encodings and line ends: the streams of this module return UTF-8, and LF instead of CR."""

import codecs
from typing import Final

from chalicelib.core.streams import Readable

CHUNK: Final = 256 * 1024  # bytes read at a time
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
_INVALID = "hireflow.invalid"
# This replaces bytes that are not valid in their encoding. It becomes a byte that is not valid UTF-8. Therefore the
# rules reject the record with such bytes, and no other record.
_STAND_IN = "\udcff"


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _STAND_IN, error.end


codecs.register_error(_INVALID, _replace)


def byte_order_mark(head: bytes) -> tuple[bytes, str] | None:
    """Return the byte order mark at a file's beginning and the encoding that it stands for. Return None if there is no
    mark."""
    return next(((mark, name) for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), None)


def endian(encoding: str, head: bytes) -> str:
    """Return the encoding with its byte order. For `utf-16`, the byte order mark decides. Without a mark, the text is
    little-endian."""
    if encoding != "utf-16":
        return encoding
    return "utf-16be" if head.startswith(codecs.BOM_UTF16_BE) else "utf-16le"


def as_utf8(data: bytes, encoding: str, *, final: bool) -> bytes:
    """Convert the beginning of a file to UTF-8. The byte order mark is removed. A character that is cut off at the end
    is removed, too, unless the data is `final`."""
    return _decoded(codecs.getincrementaldecoder(encoding)(errors=_INVALID), data, final).removeprefix(codecs.BOM_UTF8)


class Transcoded:
    """Converts a stream in another encoding to UTF-8. Bytes that are not valid in this encoding become bytes that are
    not valid UTF-8.

    A byte order mark is kept. The CSV reader removes it, as it does for a file in UTF-8.
    """

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=_INVALID)
        self._buffer, self._ended = b"", False

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes. Only at the end of the stream, there may be fewer."""
        while len(self._buffer) < size and not self._ended:
            data = self._stream.read(CHUNK)
            self._ended = not data
            self._buffer += _decoded(self._decoder, data, self._ended)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


class LineFeeds:
    """Replaces every CR in a stream by LF, for files whose lines end with CR."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size).replace(b"\r", b"\n")


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, final: bool) -> bytes:
    return decoder.decode(data, final).encode("utf-8", "surrogateescape")
