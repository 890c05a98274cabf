"""Deletes the reject files that are older than the setting REJECT_RETENTION_DAYS allows, and stops tracking the open
rejects in these files. The loads keep their counts and reasons.

On AWS, a lifecycle rule of the errored bucket also expires these files. S3 rounds this time up to the next midnight, so
the sweep deletes the files first.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Database
from chalicelib.core.timestamps import Clock, utc_now
from chalicelib.ingest import open_rejects
from chalicelib.ingest.reject_files import files_before

SECONDS = 20.0  # seconds that one sweep spends on this task; the next sweep continues
_AT_ONCE = 100  # files; each of them may have 100,000 open rejects


def expire(
    database: Database, errored: Bucket, retention: timedelta, *, now: Clock = utc_now, seconds: float = SECONDS
) -> int:
    """Delete reject files that were stored longer ago than `retention`. Return their number.

    The open rejects are deleted first. If the deletion of the files then fails, the next sweep finds the files again.
    Raises DatabaseUnavailable, StorageUnavailable.
    """
    until, expired = time.monotonic() + seconds, _expired(errored, now() - retention)
    deleted = 0
    with database.session() as session:
        while time.monotonic() < until and (files := dict(islice(expired, _AT_ONCE))):
            open_rejects.forget(session, list(files.values()))
            errored.delete(*files)
            deleted += len(files)
    return deleted


def _expired(errored: Bucket, before: datetime) -> Iterator[tuple[str, int]]:
    """Yield the keys of the expired files and the ids of their loads. Search every folder, because also a dataset that
    is not declared any more may have left files."""
    for folder in errored.folders(""):
        yield from files_before(errored, folder, before)
