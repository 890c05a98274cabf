"""Decides whether a file fails as a whole although it could be read, because too few of its rows could be loaded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.core.declarations import DELIMITERS
from chalicelib.core.reasons import UNKNOWN_PARENT
from chalicelib.formats.containers import Container
from chalicelib.formats.file_format import Format
from chalicelib.ingest.oddities import Oddities
from chalicelib.loads.outcomes import CountedReason

_TOO_FEW = re.compile(r"expected \d+ fields, found fewer")
_OTHER_COLUMNS = re.compile(r"id is not a whole number|expected \d+ fields, found more")


@dataclass(frozen=True)
class FileCounts:
    """The number of records in a file, of rejected records that break a rule, and of rows that wait for a parent."""

    received: int
    rejected: int
    waiting: int

    @property
    def accepted(self) -> int:
        return self.received - self.rejected - self.waiting


def verdict(
    file_format: Format, counts: FileCounts, reasons: Sequence[CountedReason], oddities: Oddities
) -> str | None:
    """Return why a file fails as a whole, or None if it does not fail. `reasons` are the counted reasons of its
    rejects, the most frequent first."""
    most = file_format.declared.max_rejected
    if counts.rejected and not counts.accepted and not counts.waiting:
        verdict = "no row could be loaded"
    elif most is not None and most.exceeded_by(counts.rejected, counts.received):
        verdict = f"{counts.rejected} of {counts.received} rows were rejected, more than max-rejected={most} allows"
    else:
        return None
    first = _commonest(reasons)
    advice = _advice(file_format, counts, first["reason"], oddities)
    return f"{verdict}: {_counted(counts, first)}{advice and f'; {advice}'}"


def _commonest(reasons: Sequence[CountedReason]) -> CountedReason:
    """Return the most frequent reason. A row that lacks only its parent waits, so a missing parent is never why a row
    was rejected."""
    return next((reason for reason in reasons if reason["code"] != UNKNOWN_PARENT.code), reasons[0])


def _counted(counts: FileCounts, first: CountedReason) -> str:
    share = "each row" if first["count"] >= counts.rejected else f"{first['count']} of {counts.rejected} rejected rows"
    return f"{first['reason']} ({share})" if counts.rejected > 1 else first["reason"]


def _advice(file_format: Format, counts: FileCounts, reason: str, oddities: Oddities) -> str:
    """Return what a user can do about most of the rejects, in addition to what their most frequent reason says. Return
    "" if there is nothing to add."""
    if 2 * oddities.undecodable >= counts.rejected:
        return oddities.advice(file_format.encoding)
    layout = file_format.layout
    if counts.accepted or counts.waiting:
        return ""  # delimiter and columns are right: other rows could be read
    if _TOO_FEW.match(reason) and file_format.container is Container.TEXT:
        found = next(name for name, mark in DELIMITERS.items() if mark == layout.delimiter.decode())
        others = ", ".join(name for name in DELIMITERS if name != found)
        return f"fields were separated by {found}: declare delimiter= one of {others}, or save the file with {found}s"
    if _OTHER_COLUMNS.search(reason) and not layout.has_header:
        return "the file has no header, so columns were taken by their position: add a header with their names"
    return ""
