"""Gives up abandoned loads. No worker has claimed an abandoned load, and no worker will claim it. The sweep calls this
module, and removes what the attempts of these loads have left behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.cloud.database import Session
from chalicelib.loads.attempts import GAVE_UP, MAX_ATTEMPTS
from chalicelib.loads.claims import fail, release, try_lock
from chalicelib.loads.outcomes import IS_UNFINISHED


@dataclass(frozen=True)
class Failed:
    """A load that was given up. One of its attempts may have left a reject file behind."""

    load_id: int
    dataset: str | None
    started_at: datetime | None


def give_up(
    session: Session, clean_up: Callable[[Failed], None], *, restore_wait: timedelta, retry_wait: timedelta
) -> int:
    """Give up all abandoned loads and return their number.

    A load is abandoned if it has no attempts left, if it is a restore whose object did not arrive within
    `restore_wait`, or if its next attempt did not begin within `retry_wait`. `clean_up` is called for each load that is
    given up. During this call, no worker can claim the load.
    """
    rows = session.run(
        "SELECT id, attempts, dataset, started_at FROM loads"
        f" WHERE {IS_UNFINISHED} AND (attempts >= :most"
        " OR (kind = 'restore' AND attempts = 0 AND handovers = 0"
        " AND queued_at < now() - CAST(:restore_wait AS interval))"
        " OR queued_at < now() - CAST(:retry_wait AS interval))",
        most=MAX_ATTEMPTS,
        restore_wait=f"{restore_wait.total_seconds()} seconds",
        retry_wait=f"{retry_wait.total_seconds()} seconds",
    )
    failed = 0
    for load_id, attempts, dataset, started_at in rows:
        if try_lock(session, load_id):
            try:
                if fail(session, load_id, _error(attempts), given_up=True):
                    failed += 1
                    clean_up(Failed(load_id, dataset, started_at))
            finally:
                release(session, load_id)
    return failed


def _error(attempts: int) -> str:
    """Return the error of a load that is given up after this number of attempts."""
    if attempts >= MAX_ATTEMPTS:
        return GAVE_UP
    if attempts == 0:
        return "gave up: no worker claimed the load in time"
    return f"gave up: no other attempt followed attempt {attempts} of {MAX_ATTEMPTS}"


def named_reject_files(session: Session, files: Mapping[str, int]) -> set[str]:
    """Return the keys of those reject files that any load has recorded or may still record. `files` maps the key of a
    file to the id of its load."""
    rows = session.run(
        "SELECT f.key FROM unnest(CAST(:keys AS text[]), CAST(:ids AS bigint[])) AS f (key, id) JOIN loads l"
        f" ON l.id = f.id AND (l.errored_key = f.key OR l.{IS_UNFINISHED})",
        keys=list(files),
        ids=list(files.values()),
    )
    return {row[0] for row in rows}
