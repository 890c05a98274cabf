"""Remembers what the same few inputs give, because a file of garbage has them again and again."""

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
MOST = 1000  # the most entries
LONGEST = 40  # bytes of the longest input that is worth an entry


class Remembered(dict[_Key, _Value]):
    """A dictionary that stays small. When it is full, the next entry replaces all others: an entry that occurs often
    comes back soon."""

    def remember(self, key: _Key, value: _Value, size: int) -> None:
        """Keep what an input of `size` bytes gives, unless the input is too long."""
        if size > LONGEST:
            return
        if len(self) >= MOST:
            self.clear()
        self[key] = value
