"""Handovers: when and how an invocation leaves a load to the next one, because a large object takes longer than it has.

`resumable` reads the object, and hands the load over when the policy says so.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib.core import deadline
from chalicelib.ingest.attempt import Attempt
from chalicelib.ingest.durable_tables import Progress
from chalicelib.ingest.stager import LINES_PER_COPY
from chalicelib.loads import claims

MARGIN = 45.0  # seconds before the end of its time at which an invocation hands over
_log = logging.getLogger("hireflow.ingest")


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

    def hand_over(self, attempt: Attempt, progress: Progress) -> None:
        """Ask for an invocation, and only then leave the load to it. If we died between the two, our own event would be
        delivered again; a load that nobody was asked to go on with would stay where it is."""
        assert self.invoke_again is not None
        self.invoke_again()
        claims.hand_over(attempt.session, attempt.claim)
        _log.info("load handed over", extra={"received": progress.received, "rejected": progress.rejected})


NO_HANDOVER = HandoverPolicy(from_bytes=2**63)  # one invocation loads any object
