"""Decompresses the blocks of Avro files. The decompressed size is limited, because the sender is not trusted."""

from collections.abc import Callable
from typing import Protocol

from chalicelib.core.errors import LoadError

MAX_BLOCK = 64 * 1024 * 1024  # bytes of one block, decompressed; writers default to 16-64 KiB
_CRC = 4  # bytes of the checksum that follows a snappy block
_ROOM = 256 * 1024  # bytes of the first buffer for a block of Zstandard
_TOO_SMALL = "failed to write whole buffer"  # the error of cramjam if the output does not fit into the buffer


class Decompressor(Protocol):
    """The common methods of the decompressors of zlib, bz2 and lzma."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def damaged() -> LoadError:
    return LoadError("the Avro file is damaged")


def codec(name: bytes) -> Callable[[bytes], bytes]:
    """Return the function that decompresses a block. The function raises LoadError if the block is damaged, or larger
    than MAX_BLOCK after decompression.

    Raises LoadError for an unknown codec.
    """
    if name == b"null":
        return bytes
    if name == b"deflate":
        import zlib

        return lambda data: _inflated(zlib.decompressobj(-zlib.MAX_WBITS), data)
    if name == b"snappy":
        return _of_snappy
    if name == b"zstandard":
        return _of_zstandard
    if name == b"bzip2":
        import bz2

        return lambda data: _inflated(bz2.BZ2Decompressor(), data)
    if name == b"xz":
        import lzma

        return lambda data: _inflated(lzma.LZMADecompressor(memlimit=2 * MAX_BLOCK), data)
    shown = name.decode("ascii", "replace")[:20]
    raise LoadError(f"the Avro codec {shown!r} is not supported: write the file with deflate, snappy or zstandard")


def _inflated(decompressor: Decompressor, data: bytes) -> bytes:
    try:
        block = decompressor.decompress(data, MAX_BLOCK + 1)
    except Exception as error:  # zlib.error, LZMAError, OSError
        raise damaged() from error
    if len(block) > MAX_BLOCK:
        raise _too_large()
    if not decompressor.eof:
        raise damaged()
    return block


def _of_snappy(data: bytes) -> bytes:
    """Decompress a block of snappy. The block begins with its decompressed size. The CRC-32 of the decompressed bytes
    follows the block."""
    import zlib

    from cramjam import DecompressionError, snappy

    packed, checksum = data[:-_CRC], data[-_CRC:]
    try:
        if snappy.decompress_raw_len(packed) > MAX_BLOCK:
            raise _too_large()
        block = bytes(snappy.decompress_raw(packed))
    except DecompressionError as error:
        raise damaged() from error
    if not packed or zlib.crc32(block).to_bytes(_CRC, "big") != checksum:
        raise damaged()
    return block


def _of_zstandard(data: bytes) -> bytes:
    """Decompress a block of Zstandard. A block need not state its decompressed size, so the buffer grows until the
    block fits."""
    from cramjam import DecompressionError, zstd

    room = min(max(_ROOM, 8 * len(data)), MAX_BLOCK)
    while True:
        buffer = bytearray(room)
        try:
            return bytes(memoryview(buffer)[: zstd.decompress_into(data, buffer)])
        except DecompressionError as error:
            if _TOO_SMALL not in str(error):
                raise damaged() from error
        if room == MAX_BLOCK:
            raise _too_large()
        room = min(4 * room, MAX_BLOCK)


def _too_large() -> LoadError:
    return LoadError(f"a block of the Avro file is larger than {MAX_BLOCK} bytes")
