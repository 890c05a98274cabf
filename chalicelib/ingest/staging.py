"""Staging: the rows of an object go into a staging table, from which the merge takes the valid rows.

There are two ways of staging. `at_once` uses one invocation and a temporary table. `resumable` is for large objects,
and may use several invocations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.oddities import Oddities
from chalicelib.ingest.reject_files import RejectFile


@dataclass(frozen=True)
class Staged:
    """An object that was read to its end. `etag` is the object's ETag in S3. `discard` drops `table`, in the
    transaction of the merge."""

    etag: str
    table: str
    reading: FileReading
    received: int
    rejected: int
    oddities: Oddities
    discard: Callable[[], None]


class Staging(Protocol):
    """A way of staging."""

    def run(self, rejects: RejectFile) -> Staged | None:
        """Stage the object, and report the rows that break a rule. None if the load was handed over.

        Raises LoadError if the object cannot be loaded, ClaimLost, Unavailable.
        """
