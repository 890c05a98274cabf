"""Limits the size of responses.

If a response is larger than 6 MB, Lambda discards it, and the client gets a 502, although the rows of the request are
committed. Lambda puts the body into JSON of its own, and some of its runtimes escape all characters beyond ASCII there.
So a body may be much larger inside Lambda than on its way to the client.
"""

import json
import sys
from collections.abc import Mapping
from typing import Final

MAX_ANSWER: Final = 5_000_000  # bytes of a body on its way to the client
MAX_INSIDE: Final = 6_000_000  # bytes of a body inside Lambda
ROOM: Final = 4_500_000  # bytes inside Lambda for the items of a list; the rest is for the other members of the body
_LONGEST_ESCAPE: Final = 12  # bytes of a character beyond the Basic Multilingual Plane


def size_of(body: str) -> int:
    """Return the number of bytes of a body inside Lambda."""
    return len(json.dumps(body))


def fits(body: str) -> bool:
    """Return whether a body is small enough for a response. Most bodies are so short that no bytes must be counted."""
    if len(body) * _LONGEST_ESCAPE <= MAX_ANSWER:
        return True
    return len(body.encode("utf-8", "surrogatepass")) <= MAX_ANSWER and size_of(body) <= MAX_INSIDE


class FirstRecords:
    """Collects the first records of a list, at most `limit` if it is given. Fewer are collected if a response has no
    room for more. `room` is in bytes inside Lambda."""

    def __init__(self, limit: int | None, room: int = ROOM) -> None:
        self.records: list[Mapping[str, object]] = []
        self.is_cut = False  # whether a record did not fit
        self.room = room
        self._limit = sys.maxsize if limit is None else limit

    @property
    def wanted(self) -> int:
        """The number of records that may still be added."""
        return 0 if self.is_cut else self._limit - len(self.records)

    def add(self, record: Mapping[str, object]) -> None:
        if not self.wanted:
            return
        size = size_of(json.dumps(record, ensure_ascii=False)) + len(", ")
        if size > self.room:
            self.is_cut = True
            return
        self.room -= size
        self.records.append(record)
