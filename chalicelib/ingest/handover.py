"""Hands a load over to another invocation. The object may be so large that one invocation does not have enough time.

`resumable` reads the object, and hands the load over at the times that the policy gives.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib.core import deadline
from chalicelib.core.errors import LoadError
from chalicelib.ingest.attempt import Attempt
from chalicelib.ingest.durable_tables import Progress
from chalicelib.ingest.stager import LINES_PER_COPY
from chalicelib.loads import claims

# Each handover follows an invocation of up to 15 minutes, so a load may work for a day. In this time, the load can read
# billions of rows, which is more than a dataset can hold. Without this limit, a load that makes no progress would be
# handed over for ever. Lambda's own limit would stop such a chain after about 16 invocations, but the deployment
# switches this limit off.
MOST_HANDOVERS = 96
MARGIN = 45.0  # seconds; an invocation hands over this long before its time ends
_log = logging.getLogger("hireflow.ingest")


class Deadlines(NamedTuple):
    """Times of the clock time.monotonic(). At `pause_at`, an invocation stops reading and hands the load over. After
    `merge_until`, an invocation that has read everything hands the load over instead of beginning the merge."""

    pause_at: float
    merge_until: float


@dataclass(frozen=True)
class HandoverPolicy:
    """Objects of at least `from_bytes` bytes are loaded in such a way that another invocation can continue.

    `invoke_again` starts another invocation with the event of this invocation. If `invoke_again` is None, there are no
    handovers: another invocation continues the load only after an attempt has failed. `margin` is in seconds; None
    means MARGIN. `lines` is the number of lines of a portion.
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
        """Start another invocation, and only then end the claim of this one. If this invocation crashes between these
        two steps, Lambda delivers its event again. In the opposite order, a crash between the steps would leave a load
        that no invocation continues.

        Raises LoadError if the load has been handed over too often.
        """
        if attempt.claim.handovers >= MOST_HANDOVERS:
            raise LoadError(
                f"the load did not end in {MOST_HANDOVERS + 1} invocations: split the file, and send its parts"
            )
        assert self.invoke_again is not None
        self.invoke_again()
        claims.hand_over(attempt.session, attempt.claim)
        _log.info("load handed over", extra={"received": progress.received, "rejected": progress.rejected})


NO_HANDOVER = HandoverPolicy(from_bytes=2**63)  # one invocation loads an object of any size
