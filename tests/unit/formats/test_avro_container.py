"""Reads Avro files with wrong lengths. The code must refuse these files, and must not allocate memory for a wrong
length."""

import io
import json
import tracemalloc
import zlib

import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError, StorageUnavailable
from chalicelib.formats import avro, avro_codecs

JOBS = DATASETS["jobs"]
SYNC = bytes(range(16))


def long(value: int) -> bytes:
    """Encode a zig-zag varint as the Avro specification says. The product does not use this function."""
    left, out = (value << 1) ^ (value >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def text(data: bytes) -> bytes:
    return long(len(data)) + data


def header(codec: bytes = b"null", schema: bytes = json.dumps(avro.schema(JOBS)).encode()) -> bytes:
    entries = text(b"avro.schema") + text(schema) + text(b"avro.codec") + text(codec)
    return b"Obj\x01" + long(2) + entries + long(0) + SYNC


def block(records: bytes, count: int = 1) -> bytes:
    return long(count) + text(records) + SYNC


COOK = long(1) + text(b"Cook")


def read(data: bytes) -> list[tuple[object, ...]]:
    return [row for rows in avro.records(JOBS, io.BytesIO(data)) for row in rows]


def test_a_valid_file_is_read() -> None:
    assert read(header() + block(COOK) + block(COOK * 2, 2)) == [(1, "Cook")] * 3


def test_a_file_without_blocks_has_no_rows() -> None:
    assert read(header()) == []


def test_metadata_may_come_in_blocks_with_sizes_and_the_codec_may_be_left_out() -> None:
    schema = text(b"avro.schema") + text(json.dumps(avro.schema(JOBS)).encode())
    other = text(b"made.by") + text(b"somebody")
    data = b"Obj\x01" + long(-1) + long(len(schema)) + schema + long(1) + other + long(0) + SYNC
    assert read(data + block(COOK)) == [(1, "Cook")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not an Avro file"),
        (b"Ob", "not an Avro file"),
        (b"id,job\n1,Cook\n", "not an Avro file"),
        (b"PAR1" + bytes(100), "not an Avro file"),
        (header()[:-1], "truncated"),
        (header() + block(COOK)[:-1], "truncated"),
        (header() + long(1), "truncated"),
        (header() + block(COOK)[:-1] + b"\xff", "damaged"),
        (header() + block(COOK, 2), "damaged"),
        (header() + block(COOK * 2, 1), "damaged"),
        (header() + block(COOK, -1), "damaged"),
        (header() + long(1) + long(-5), "damaged"),
        (header() + long(1) + long(2**62), "damaged"),
        (header() + block(COOK, 2**62), "damaged"),
        (header() + block(long(1) + long(2**60) + b"Cook"), "damaged"),
        (header() + block(long(1) + long(-1) + b"Cook"), "damaged"),
        (header() + b"\xff" * 30, "damaged"),
        (b"Obj\x01" + long(2**40), "damaged"),
        (b"Obj\x01" + long(1) + long(2**40), "damaged"),
        (header(b"deflate") + block(b"not deflated"), "damaged"),
        (header(b"deflate") + block(zlib.compress(COOK, wbits=-15)[:-1]), "damaged"),
        (header(b"bzip2") + block(b"not bzip2"), "damaged"),
        (header(b"xz") + block(b"not xz"), "damaged"),
        (header(b"lz4"), "codec 'lz4' is not supported: write the file with deflate, snappy or zstandard"),
        (header(b"\xff\xfe"), "is not supported"),
        (header(schema=b""), "schema is not that of jobs"),
        (header(schema=b"\xff"), "schema is not that of jobs"),
        (header(schema=b"[" * 100_000), "schema is not that of jobs"),
        (header(schema=b'{"fields": [{"name": [], "type": {}}]}'), "schema is not that of jobs"),
    ],
)
def test_the_error_says_what_is_wrong(data: bytes, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        read(data)


def test_a_decompression_bomb_is_refused_in_bounded_memory() -> None:
    squeeze = zlib.compressobj(9, wbits=-15)
    zeros = bytes(1024 * 1024)
    bomb = b"".join(squeeze.compress(zeros) for _ in range(1024)) + squeeze.flush()
    tracemalloc.start()
    try:
        with pytest.raises(LoadError, match="larger than"):
            read(header(b"deflate") + block(bomb))
        assert tracemalloc.get_traced_memory()[1] < 3 * avro_codecs.MAX_BLOCK
    finally:
        tracemalloc.stop()


class Dribble:
    """A stream that returns one byte per read. At the end of its bytes it raises StorageUnavailable."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        if not (data := self._data.read(min(size, 1))):
            raise StorageUnavailable("the connection was lost")
        return data


def test_short_reads_are_joined_and_a_lost_connection_does_not_look_like_a_damaged_file() -> None:
    rows = avro.records(JOBS, Dribble(header() + block(COOK)))
    assert next(rows) == [(1, "Cook")]
    with pytest.raises(StorageUnavailable):
        next(rows)
