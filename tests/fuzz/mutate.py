"""Changes of bits, spans and tokens at any position of an input."""

from collections.abc import Callable
from random import Random


def mutated(random: Random, data: bytes, tokens: tuple[bytes, ...]) -> bytes:
    """Return a copy of the data with one to four changes. A change flips a bit, or overwrites, inserts, deletes or
    repeats bytes, or cuts off the end."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_MUTATIONS)(random, changed, tokens)
    return bytes(changed)


Mutation = Callable[[Random, bytearray, tuple[bytes, ...]], None]


def _at(random: Random, data: bytearray) -> int:
    return random.randrange(len(data) + 1)


def _flip(random: Random, data: bytearray, _tokens: tuple[bytes, ...]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _overwrite(random: Random, data: bytearray, _tokens: tuple[bytes, ...]) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice((0, 1, 2, 0x22, 0x7F, 0x80, 0xFE, 0xFF))


def _insert(random: Random, data: bytearray, tokens: tuple[bytes, ...]) -> None:
    at = _at(random, data)
    data[at:at] = random.choice(tokens)


def _delete(random: Random, data: bytearray, _tokens: tuple[bytes, ...]) -> None:
    at = _at(random, data)
    del data[at : at + random.choice((1, 1, 2, 16, 40))]


def _repeat(random: Random, data: bytearray, _tokens: tuple[bytes, ...]) -> None:
    at = _at(random, data)
    data[at:at] = data[at : at + random.choice((1, 16, 60))]


def _cut(random: Random, data: bytearray, _tokens: tuple[bytes, ...]) -> None:
    del data[_at(random, data) :]


_MUTATIONS: tuple[Mutation, ...] = (_flip, _flip, _overwrite, _insert, _insert, _delete, _repeat, _cut)
