"""Reads gzip files that are complete, truncated, damaged, padded with zeros, in several members, or gzip bombs. Also
tests the streams that compute a hash."""

import gzip
import hashlib
import io
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import Hashed, Readable
from chalicelib.formats import gzip_stream
from chalicelib.formats.gzip_stream import FREE, MAX_RATIO, Expansion, Unzipped

TEXT = b"".join(b"%d,Sales and Marketing\n" % n for n in range(20_000))
ROWS = gzip.compress(TEXT)
MIB = 1024 * 1024


def unzipped(data: bytes, piece: int = 1 << 18) -> bytes:
    stream = Unzipped(io.BytesIO(data))
    found = []
    while part := stream.read(piece):
        found.append(part)
    assert stream.read(piece) == b""
    return b"".join(found)


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=5), st.integers(0, 40), st.integers(1, 3000))
def test_members_follow_each_other_and_zeros_pad_the_end(parts: list[bytes], zeros: int, piece: int) -> None:
    data = b"".join(map(gzip.compress, parts)) + bytes(zeros)
    assert unzipped(data, piece) == b"".join(parts) == gzip.decompress(data)


def test_a_read_returns_all_requested_bytes_before_the_end() -> None:
    stream = Unzipped(io.BytesIO(ROWS))
    sizes = []
    while part := stream.read(7001):
        sizes.append(len(part))
    assert set(sizes[:-1]) == {7001}
    assert sum(sizes) == len(TEXT)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a complete gzip file"),
        (b"\x1f", "not a complete gzip file"),
        (b"1,Sales\n", "not a valid gzip file"),
        (b"PK\x03\x04" + bytes(40), "not a valid gzip file"),
        (ROWS[:-1], "not a complete gzip file"),
        (ROWS[:5000], "not a complete gzip file"),
        (ROWS + ROWS[:-1], "not a complete gzip file"),
        (ROWS + b"2,Ops\n", "other data follows"),
        (ROWS + bytes(600) + b"2,Ops\n", "other data follows"),
        (ROWS + b"\x1fgarbage", "not a valid gzip file"),
        (ROWS[:-5] + bytes([ROWS[-5] ^ 1]) + ROWS[-4:], r"not a valid gzip file \(incorrect data check\): pack"),
        (ROWS[:-1] + bytes([ROWS[-1] ^ 1]), r"not a valid gzip file \(incorrect length check\): pack"),
    ],
)
def test_the_error_says_what_is_wrong(data: bytes, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        unzipped(data)


@given(st.integers(0, len(ROWS) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_harmless(at: int, change: int) -> None:
    """A changed byte may be harmless. For example, the time and the operating system in the header do not affect the
    data."""
    damaged = bytearray(ROWS)
    damaged[at] ^= change
    with suppress(LoadError):
        assert unzipped(bytes(damaged)) == TEXT
        assert at < 10


def bomb(size: int) -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join([*(squeeze.compress(bytes(MIB)) for _ in range(size // MIB)), squeeze.flush()])


def test_a_gzip_bomb_is_stopped_early_in_bounded_memory() -> None:
    data = bomb(4 * FREE)
    assert len(data) < MIB
    stream = Unzipped(io.BytesIO(data))
    tracemalloc.start()
    seen = 0

    def drain() -> None:
        nonlocal seen
        while part := stream.read(256 * 1024):
            seen += len(part)

    try:
        with pytest.raises(LoadError, match=f"more than {MAX_RATIO} times its size"):
            drain()
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()
    assert seen <= FREE + MIB


def test_a_spreadsheet_of_blank_lines_is_not_a_bomb() -> None:
    assert len(unzipped(gzip.compress(b",,,,\r\n" * 1_000_000))) == 6_000_000


def test_an_endless_header_is_read_in_bounded_memory() -> None:
    class Endless:
        left = 400

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    head = b"\x1f\x8b\x08\x08" + bytes(6)  # a file name follows, up to the next NUL
    stream = Unzipped(Chained(head, Endless()))
    tracemalloc.start()
    try:
        with pytest.raises(LoadError, match="truncated"):
            stream.read(1)
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


class Chained:
    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int, /) -> bytes:
        head, self._head = self._head, b""
        return head or self._rest.read(size)


def test_the_total_is_limited_whatever_the_ratio() -> None:
    expansion = Expansion("the file")
    expansion.add(gzip_stream.MAX_UNPACKED, gzip_stream.MAX_UNPACKED)
    with pytest.raises(LoadError, match="the file unpacks to more than 64 GiB"):
        expansion.add(1, 1)


@given(st.binary(max_size=100), st.integers(1, 30))
def test_a_hash_covers_the_whole_stream_however_much_was_read_before(data: bytes, first: int) -> None:
    stream = Hashed(io.BytesIO(data))
    stream.read(first)
    assert stream.hexdigest() == hashlib.sha256(data).hexdigest()
    assert stream.size == len(data)
