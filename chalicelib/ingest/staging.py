"""Staging: an object's rows go into a staging table, where the merge finds the valid ones.

There are two ways: `at_once`, by one invocation into a temporary table, and `resumable`, for large objects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.reject_files import RejectFile


@dataclass(frozen=True)
class Staged:
    """An object that has been read to its end, by S3's `etag`. `discard` drops `table`, as part of the transaction that
    merged it."""

    etag: str
    table: str
    reading: FileReading
    received: int
    rejected: int
    discard: Callable[[], None]


class Staging(Protocol):
    """A way of staging."""

    def run(self, rejects: RejectFile) -> Staged | None:
        """Stage the object, and report the rows that break a rule. None if another invocation goes on with it.

        Raises LoadError if the object cannot be loaded, ClaimLost, Unavailable.
        """
