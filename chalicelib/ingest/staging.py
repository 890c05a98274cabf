"""Defines what the two ways of staging have in common. Staging brings the rows of an object into a staging table, from
which the merge takes the valid rows.

`at_once` uses one invocation and a temporary table. `resumable` is for large objects, and may use several invocations.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.ingest import staging_table
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.oddities import Oddities
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.relation import Relation
from chalicelib.loads.outcomes import Counts


@dataclass(frozen=True)
class Staged:
    """An object that was read to its end. `etag` is the object's ETag in S3. `table` is the staging table. `discard`
    drops `table`, in the transaction of the merge, unless the connection keeps it."""

    etag: str
    table: str
    reading: FileReading
    received: int
    rejected: int
    oddities: Oddities
    discard: Callable[[], None]

    @property
    def is_in_memory(self) -> bool:
        """Whether the object is in memory. Only then does the connection keep the staging table."""
        return self.table == staging_table.KEPT

    @property
    def relation(self) -> Relation:
        """The staged rows, for the merge."""
        return Relation.staged(self.reading.dataset, self.reading.file_format.layout, self.table)


@dataclass(frozen=True)
class Outcome:
    """The result of a load: its status, its counts, the verdict if its file was refused, and how many of its rows wait
    for their parents."""

    status: str
    counts: Counts = field(default_factory=Counts)
    error: str | None = None
    waiting: int = 0


Complete = Callable[[Staged], Outcome]  # completes a staged load, in the transaction of the staging


class Staging(Protocol):
    """One of the ways of staging."""

    def run(self, rejects: RejectFile, complete: Complete) -> Outcome | None:
        """Stage the object, report the rows that break a rule, and complete the load in a transaction. Return None if
        the load was handed over.

        Raises ClaimLost, Unavailable, or LoadError if the object cannot be loaded.
        """
