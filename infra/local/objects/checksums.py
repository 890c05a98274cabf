"""Computes the checksums of S3 piece by piece. ministack computes them only for a body in memory."""

import hashlib
import zlib
from collections.abc import Callable
from functools import cache
from typing import Protocol


class Running(Protocol):
    """A checksum of all the data that `update` has got so far."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc:
    """A reflected CRC of `size` bytes that begins and ends with all bits inverted. It is slow: it takes a second for
    some 10 MB."""

    def __init__(self, polynomial: int, size: int) -> None:
        self._size, self._inverted = size, (1 << 8 * size) - 1
        self._table, self._value = _table(polynomial), self._inverted

    def update(self, data: bytes, /) -> None:
        table, value = self._table, self._value
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        self._value = value

    def digest(self) -> bytes:
        return (self._value ^ self._inverted).to_bytes(self._size, "big")


@cache
def _table(polynomial: int) -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value >> 1) ^ polynomial if value & 1 else value >> 1
        return value

    return tuple(map(entry, range(256)))


_ALGORITHMS: dict[str, Callable[[], Running]] = {
    "CRC32": _Crc32,
    "CRC32C": lambda: _Crc(0x82F63B78, 4),
    "CRC64NVME": lambda: _Crc(0x9A6C9329AC4BC9B5, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
}


def normalized(algorithm: str) -> str:
    """Return the name of an algorithm as ministack writes it: CRC32C for crc32c and CRC32_C."""
    return algorithm.upper().replace("_", "")


def running(algorithm: str) -> Running | None:
    """Return a new checksum, or None if S3 knows no such algorithm."""
    make = _ALGORITHMS.get(normalized(algorithm))
    return make() if make else None


def named(headers: dict[str, str]) -> set[str]:
    """Return the algorithms of the checksums that the headers of a request contain, announce or ask for."""
    values = [headers.get("x-amz-sdk-checksum-algorithm", "")]
    announced = headers.get("x-amz-trailer", "").lower().split(",")
    names = (name.strip() for name in (*headers, *announced))
    values += [name.removeprefix("x-amz-checksum-") for name in names if name.startswith("x-amz-checksum-")]
    return {normalized(value) for value in values} & set(_ALGORITHMS)
