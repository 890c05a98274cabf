"""What the schedule puts right: loads nobody will finish, and orphans that a crash or a race left."""

from datetime import timedelta

from chalicelib import loads
from chalicelib.database import Database
from chalicelib.ingest import healing
from chalicelib.ingest.rejects import file_key
from chalicelib.storage import Storage

RESTORE_WAIT = timedelta(minutes=15)  # for an ordered restore's object to come
RETRY_WAIT = timedelta(hours=6)  # Lambda keeps an event no longer


def sweep(
    database: Database,
    storage: Storage,
    *,
    grace: timedelta,
    restore_wait: timedelta = RESTORE_WAIT,
    retry_wait: timedelta = RETRY_WAIT,
) -> dict[str, int]:
    """Returns {"failed": loads given up, "healed": orphans loaded}."""
    with database.session() as session:
        failed = loads.sweep(session, restore_wait=restore_wait, retry_wait=retry_wait)
        for load in failed:
            if load.dataset is not None and load.started_at is not None:
                storage.errored.delete(file_key(load.dataset, load.started_at, load.load_id))
        return {"failed": len(failed), "healed": healing.heal_all(session, grace)}
