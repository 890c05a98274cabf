"""Handovers: when an invocation leaves a load to another one, because a large object may take longer than it has."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib.core import deadline
from chalicelib.ingest.stager import LINES_PER_COPY

MARGIN = 45.0  # seconds before the end of its time at which an invocation hands over


class Deadlines(NamedTuple):
    """When an invocation hands over, by time.monotonic(): while it reads, and instead of beginning the merge."""

    pause_at: float
    merge_until: float


@dataclass(frozen=True)
class HandoverPolicy:
    """Objects of `from_bytes` bytes and more are loaded so that another invocation can go on.

    `invoke_again` asks for an invocation with the event of this one. If it is None, nothing is handed over, and only a
    failed attempt is followed by another. `margin` is in seconds (MARGIN if None); `lines` are those of a portion.
    """

    from_bytes: int
    invoke_again: Callable[[], None] | None = None
    margin: float | None = None
    lines: int = LINES_PER_COPY

    def deadlines(self) -> Deadlines:
        left = deadline.left()
        if left is None or self.invoke_again is None:
            return Deadlines(float("inf"), float("inf"))
        margin = min(MARGIN, left / 4) if self.margin is None else self.margin
        now = time.monotonic()
        return Deadlines(now + left - margin, now + left / 2)


NO_HANDOVER = HandoverPolicy(from_bytes=2**63)  # one invocation loads any object
