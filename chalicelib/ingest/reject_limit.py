"""Limits how many rejects of a file are recorded in its reject file.

Without a limit, a few megabytes of garbage would become hundreds of megabytes of rejects. All rejects are counted,
whether they are recorded or not.
"""

from dataclasses import dataclass

MOST_BYTES = 100_000_000  # no further reject is recorded when the lines of a reject file have this many bytes


class Room:
    """The room for further rejects: their number, and the number of their bytes."""

    def __init__(self, lines: int, size: int) -> None:
        self._lines, self._size = lines, size

    @property
    def is_full(self) -> bool:
        return self._lines <= 0 or self._size <= 0

    def take(self, size: int) -> None:
        """Use room for one line of `size` bytes. The last line may be larger than the room that is left. So `is_full`
        depends only on the lines before, and not on the size of the next line."""
        self._lines -= 1
        self._size -= size


@dataclass(frozen=True)
class RejectLimit:
    """The most rejects (`lines`), and the most bytes of their lines, that are recorded."""

    lines: int
    size: int = MOST_BYTES

    def room(self, rejected: int = 0, size: int = 0) -> Room:
        """Return the room that is left after `rejected` rejects, whose recorded lines have `size` bytes."""
        return Room(self.lines - rejected, self.size - size)


UNLIMITED = RejectLimit(2**63, 2**63)
