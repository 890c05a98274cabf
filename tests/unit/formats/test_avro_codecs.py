"""Tests the codecs of Avro blocks. Blocks of other programs are decompressed, and never to more than the largest size
of a block."""

import bz2
import tracemalloc
import zlib
from collections.abc import Callable
from random import Random

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import LoadError
from chalicelib.formats import avro_codecs
from chalicelib.formats.avro_codecs import MAX_BLOCK, codec

MIB = 1024 * 1024


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


def without_size(data: bytes) -> bytes:
    """Compress with Zstandard as a stream. The result does not state the size of the data."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


PACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"null": bytes,
    b"deflate": lambda data: zlib.compress(data, wbits=-15),
    b"bzip2": bz2.compress,
    b"snappy": snappy,
    b"zstandard": zstandard.ZstdCompressor().compress,
}


@given(st.binary(max_size=5000), st.integers(1, 200), st.sampled_from(sorted(PACK)))
def test_a_compressed_block_is_decompressed(data: bytes, times: int, name: bytes) -> None:
    assert codec(name)(PACK[name](data * times)) == data * times


@pytest.mark.parametrize("pack", [PACK[b"zstandard"], without_size])
@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 20 * MIB])
def test_zstandard_is_unpacked_whether_or_not_it_says_its_size(pack: Callable[[bytes], bytes], size: int) -> None:
    data = bytes(size)
    assert codec(b"zstandard")(pack(data)) == data


def test_several_frames_of_zstandard_are_one_block() -> None:
    assert codec(b"zstandard")(without_size(b"ab") + without_size(b"cd")) == b"abcd"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"snappy", b""),
        (b"snappy", b"abc"),
        (b"snappy", zlib.crc32(b"").to_bytes(4, "big")),
        (b"snappy", snappy(b"Cook")[:-1]),
        (b"snappy", snappy(b"Cook")[:-4] + b"\0\0\0\0"),
        (b"snappy", b"\xff" * 20),
        (b"snappy", b"\xff\xff\xff\x0f" + b"\0" * 20),
        (b"zstandard", b""),
        (b"zstandard", b"not zstandard"),
        (b"zstandard", without_size(b"Cook")[:-1]),
        (b"zstandard", without_size(b"Cook") + b"x"),
        (b"zstandard", without_size(Random(1).randbytes(100_000))[:-5]),
    ],
)
def test_a_damaged_block_fails_the_file(name: bytes, data: bytes) -> None:
    with pytest.raises(LoadError, match="the Avro file is damaged"):
        codec(name)(data)


BOMB = bytes(MAX_BLOCK + 1)


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        (b"snappy", snappy(BOMB)),
        (b"snappy", b"\xff\xff\xff\xff\x0f" + b"\0" * 10),
        (b"zstandard", PACK[b"zstandard"](BOMB)),
        (b"zstandard", without_size(BOMB * 4)),
        (b"zstandard", without_size(bytes(MIB)) * 65),
    ],
    ids=["snappy", "snappy of 4 GB", "zstandard", "zstandard without its size", "frames of zstandard"],
)
def test_a_bomb_is_refused_in_bounded_memory(name: bytes, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(LoadError, match=f"a block of the Avro file is larger than {MAX_BLOCK} bytes"):
            codec(name)(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_BLOCK
    finally:
        tracemalloc.stop()


def test_a_block_of_the_largest_size_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro_codecs, "MAX_BLOCK", 1000)
    for name in (b"snappy", b"zstandard"):
        assert codec(name)(PACK[name](bytes(1000))) == bytes(1000)
        with pytest.raises(LoadError, match="larger than 1000 bytes"):
            codec(name)(PACK[name](bytes(1001)))


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(LoadError, match=r"codec 'lz4' is not supported: write the file with deflate, snappy or zst"):
        codec(b"lz4")
