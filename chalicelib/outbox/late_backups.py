"""Detects when backups become late, and when they are in time again. The time between the two is an episode. An episode
causes at most one notice when it begins, and one when it ends."""

from datetime import timedelta

from chalicelib.cloud.database import Session
from chalicelib.core.timestamps import text
from chalicelib.outbox import store
from chalicelib.outbox.messages import BACKUPS

LATE, IN_TIME = "late", "in time"
# Backups are late if a change has not been backed up for this time. The alarm of CloudWatch has the same limit.
LIMIT = timedelta(minutes=15)
# A notice is written only if a sweep after this time still finds backups late. After a power cut, the first sweep may
# run just before the first backup.
CONFIRMED_AFTER = timedelta(minutes=5)


def watch(session: Session, lag: float | None) -> None:
    """Write a message to the outbox when an episode of late backups begins or ends.

    `lag` is the gauge `backup_lag` in seconds. `lag` is None before the first restore point, and if the gauge cannot be
    read. In both cases, backups are late when `lag` has been None for LIMIT.
    """
    late, wait = lag is None or lag > LIMIT.total_seconds(), LIMIT if lag is None else CONFIRMED_AFTER
    with session.transaction():
        [[noticed, since, now]] = session.run("SELECT noticed, since, now() FROM late_backups FOR UPDATE")
        if not late:
            if noticed:
                store.write(session, BACKUPS, {"state": IN_TIME, "since": text(since), "lag_seconds": lag})
            session.run("UPDATE late_backups SET noticed = false, since = NULL WHERE since IS NOT NULL")
        elif since is None:
            session.run("UPDATE late_backups SET since = now()")
        elif not noticed and now - since >= wait:
            store.write(session, BACKUPS, {"state": LATE, "since": text(since), "lag_seconds": lag})
            session.run("UPDATE late_backups SET noticed = true")
