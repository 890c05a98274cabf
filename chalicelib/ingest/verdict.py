"""The verdict on a whole file: it fails although it could be read, because too little of it could be loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.core.declarations import MaxRejected
from chalicelib.loads.outcomes import CountedReason


@dataclass(frozen=True)
class FileCounts:
    """How many records a file has, how many of them break a rule, and how many wait for a parent."""

    received: int
    rejected: int
    waiting: int

    @property
    def accepted(self) -> int:
        return self.received - self.rejected - self.waiting


def verdict(counts: FileCounts, max_rejected: MaxRejected | None, reasons: Sequence[CountedReason]) -> str | None:
    """Why a file fails as a whole, None if it does not. `reasons` are those of its rejects, the commonest first."""
    if counts.rejected and not counts.accepted and not counts.waiting:
        return f"no row could be loaded: {_commonest(counts, reasons)}"
    if max_rejected is not None and max_rejected.exceeded_by(counts.rejected, counts.received):
        return (
            f"{counts.rejected} of {counts.received} rows were rejected, more than max-rejected={max_rejected} allows:"
            f" {_commonest(counts, reasons)}"
        )
    return None


def _commonest(counts: FileCounts, reasons: Sequence[CountedReason]) -> str:
    first = reasons[0]
    share = "each row" if first["count"] >= counts.rejected else f"{first['count']} of {counts.rejected} rejected rows"
    return f"{first['reason']} ({share})" if counts.rejected > 1 else first["reason"]
