"""Reads Avro object container files from a forward-only stream.

fastavro could read these files, too. But the files come from clients that are not trusted. So this module checks every
length in a file before it uses the length, and limits the decompressed size of a block. See the Avro 1.12
specification, "Object Container Files".
"""

from collections.abc import Iterator

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Readable
from chalicelib.formats.avro_codecs import MAX_BLOCK, codec, damaged
from chalicelib.formats.gzip_stream import Expansion

MAX_HEADER = 1024 * 1024  # bytes of all header entries
MOST_AHEAD = MAX_HEADER + 64 * 1024  # the first bytes of a file; they always contain its whole header
_MAX_ENTRIES = 1000
_CHUNK = 256 * 1024  # bytes read from the stream at a time
_MAGIC = b"Obj\x01"


class Container:
    """An opened file. `schema` is the JSON text of the schema, as it stands in the file. `blocks` yields (number of
    records, decompressed bytes) for each block, and reads the stream to its end.

    Raises LoadError if the file is not an Avro file, is truncated, or is damaged. Exceptions of the stream are raised
    unchanged.
    """

    def __init__(self, stream: Readable, expansion: Expansion | None = None) -> None:
        self._input = _Input(stream)
        self._expansion = expansion
        metadata, self._sync = _header(self._input)
        self.schema = metadata.get("avro.schema", b"")
        self._decompress = codec(metadata.get("avro.codec", b"null"))

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        stream = self._input
        while stream.more():
            count = stream.length(MAX_BLOCK)
            packed = stream.exactly(stream.length(MAX_BLOCK))
            block = self._decompress(packed)
            if self._expansion:
                self._expansion.add(len(packed), len(block))
            if stream.exactly(len(self._sync)) != self._sync:
                raise damaged()
            yield count, block


def _header(stream: "_Input") -> tuple[dict[str, bytes], bytes]:
    """Read the metadata and the sync marker. The metadata is a map of Avro: a list of blocks with entries. An empty
    block ends the list."""
    if stream.exactly(len(_MAGIC), short="the file is not an Avro file") != _MAGIC:
        raise LoadError("the file is not an Avro file")
    metadata: dict[str, bytes] = {}
    room = MAX_HEADER
    while count := stream.long():
        if count < 0:
            stream.long()  # the size of the block, which is not needed here; it follows a negative count
        if len(metadata) + abs(count) > _MAX_ENTRIES:
            raise damaged()
        for _ in range(abs(count)):
            name = stream.exactly(stream.length(room))
            value = stream.exactly(stream.length(room - len(name)))
            room -= len(name) + len(value)
            metadata[name.decode("utf-8", "replace")] = value
    return metadata, stream.exactly(16)


class _Input:
    """Buffers the stream, and checks every length that is read from it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0

    def more(self) -> bool:
        if self._at == len(self._buffer):
            self._buffer, self._at = self._stream.read(_CHUNK), 0
        return bool(self._buffer)

    def exactly(self, size: int, short: str = "the Avro file is truncated") -> bytes:
        """Read exactly `size` bytes. Raises LoadError with the message `short` if the stream ends earlier."""
        parts = []
        while size:
            if not self.more():
                raise LoadError(short)
            part = self._buffer[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def long(self) -> int:
        """Read a zig-zag varint. Raises LoadError if the varint has more than 64 bits."""
        value = shift = 0
        while True:
            byte = self.exactly(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
            if shift > 63:
                raise damaged()

    def length(self, most: int) -> int:
        """Read a length or a count. Raises LoadError if it is negative or larger than `most`."""
        value = self.long()
        if not 0 <= value <= most:
            raise damaged()
        return value
