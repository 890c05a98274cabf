"""Repairs the stage on a schedule. The sweep marks as failed every load that no worker will finish, and every upload
whose file never came. It loads waiting rows whose parents exist, because a crash or a race may have prevented this
earlier. It removes the staging tables and reject files of loads that did not commit.

A reject file is stored just before its load commits. If the commit fails, no load refers to the file, so the file
is left over. The reject file of a failed load is also left over if S3 does not delete the file at once.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core import logs
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import StorageUnavailable
from chalicelib.ingest import durable_tables, orphans
from chalicelib.ingest.reject_files import file_key, files_between
from chalicelib.ingest.upload_forms import FORM_SECONDS
from chalicelib.loads import abandoned, announcements, outcomes
from chalicelib.loads.abandoned import Failed
from chalicelib.loads.outcomes import Ended, Watch

RESTORE_WAIT = timedelta(minutes=15)  # how long a restore waits for the copy of its file
# How long an upload waits for its file. It waits an hour longer than the form is valid, because S3 accepts a file if
# the sending began before the form expired.
UPLOAD_WAIT = timedelta(seconds=FORM_SECONDS, hours=1)
RETRY_WAIT = timedelta(hours=6)  # Lambda discards an event after this time
STRAY_WAIT = timedelta(minutes=15)  # a load that has stored its reject file commits within this time
# For this time after the last possible retry of a load, the sweep looks for left-over files of the load.
STRAYS_SOUGHT = timedelta(hours=1)
_log = logging.getLogger("hireflow.upkeep")


@dataclass(frozen=True)
class Upkeep:
    """Counts what a sweep has done. `failed` counts the loads that the sweep gave up, and the uploads whose files never
    came. `healed` counts the waiting rows that it loaded, and `removed` the left-over reject files that it deleted."""

    failed: int
    healed: int
    removed: int


def sweep(
    database: Database,
    storage: Storage,
    *,
    grace: timedelta,
    retry_wait: timedelta = RETRY_WAIT,
    stray_wait: timedelta = STRAY_WAIT,
    watch: Watch = outcomes.unwatched,
) -> Upkeep:
    """Mark overdue loads as failed, load waiting rows whose parents exist, and delete leftovers. The sweep calls
    `watch` for every load that it gives up."""

    def clean_up(load: Failed) -> None:
        with logs.about(load_id=load.load_id):
            _log.warning("load given up")
            watch(Ended(load.dataset, "failed"))
        if load.dataset is not None and load.started_at is not None:
            with suppress(StorageUnavailable):  # a later sweep deletes the left-over file
                storage.errored.delete(file_key(load.dataset, load.started_at, load.load_id))

    with database.session() as session:
        failed = announcements.expire_uploads(session, UPLOAD_WAIT)
        failed += abandoned.give_up(session, clean_up, restore_wait=RESTORE_WAIT, retry_wait=retry_wait)
        durable_tables.discard_ended(session)
        try:
            healed = orphans.heal_all(session, grace)
        finally:  # a waiting row that cannot be stored must not stop the next task
            until = datetime.now(UTC) - stray_wait
            removed = _remove_strays(session, storage, until - RETRY_WAIT - STRAYS_SOUGHT, until)
    return Upkeep(failed, healed, removed)


def _remove_strays(session: Session, storage: Storage, since: datetime, until: datetime) -> int:
    """Delete the reject files to which no load refers or will refer. Look only at the files of loads that began between
    `since` and `until`. Return the number of deleted files."""
    strays: list[str] = []
    for dataset in DATASETS:
        files = files_between(storage.errored, dataset, since, until)
        if files:
            strays += files.keys() - abandoned.named_reject_files(session, files)
    if strays:
        storage.errored.delete(*strays)
    return len(strays)
