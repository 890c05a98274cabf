"""The sweep that repairs the stage on a schedule. It fails loads that no worker will finish and uploads whose files
never came. It heals orphans that a crash or a race has left. It removes the staging tables and reject files of loads
that did not commit.

A reject file is stored just before its load commits. If the commit fails, or if the reject file of a failed load cannot
be deleted at once, the file is left over: no load refers to it.
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

RESTORE_WAIT = timedelta(minutes=15)  # how long an ordered restore waits for its object
UPLOAD_WAIT = timedelta(seconds=FORM_SECONDS, hours=1)  # S3 accepts an upload that began before the form expired
RETRY_WAIT = timedelta(hours=6)  # Lambda discards an event after this time
STRAY_WAIT = timedelta(minutes=15)  # a load commits sooner than this after it has stored its reject file
STRAYS_SOUGHT = timedelta(hours=1)  # how long the sweep looks for left-over files after the load's last possible retry
_log = logging.getLogger("hireflow.upkeep")


@dataclass(frozen=True)
class Upkeep:
    """What a sweep has done. `failed` counts the loads that it gave up and the uploads that never came, `healed` the
    orphans that it loaded, `removed` the left-over reject files that it deleted."""

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
    """Repair everything that is overdue. `watch` is called for every load that is given up."""

    def clean_up(load: Failed) -> None:
        with logs.about(load_id=load.load_id):
            _log.warning("load given up")
            watch(Ended(load.dataset, "failed"))
        if load.dataset is not None and load.started_at is not None:
            with suppress(StorageUnavailable):  # a later sweep finds it as a left-over file
                storage.errored.delete(file_key(load.dataset, load.started_at, load.load_id))

    with database.session() as session:
        failed = announcements.expire_uploads(session, UPLOAD_WAIT)
        failed += abandoned.give_up(session, clean_up, restore_wait=RESTORE_WAIT, retry_wait=retry_wait)
        durable_tables.discard_ended(session)
        healed = orphans.heal_all(session, grace)
        until = datetime.now(UTC) - stray_wait
        removed = _remove_strays(session, storage, until - RETRY_WAIT - STRAYS_SOUGHT, until)
    return Upkeep(failed, healed, removed)


def _remove_strays(session: Session, storage: Storage, since: datetime, until: datetime) -> int:
    """Delete the reject files to which no load refers or will refer. Looks at the loads that began between `since` and
    `until`."""
    strays: list[str] = []
    for dataset in DATASETS:
        files = files_between(storage.errored, dataset, since, until)
        if files:
            strays += files.keys() - abandoned.named_reject_files(session, files)
    if strays:
        storage.errored.delete(*strays)
    return len(strays)
