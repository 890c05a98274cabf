"""Notices that backups are late, and that they are in time again. An episode has at most one notice of each."""

from datetime import timedelta

from chalicelib.cloud.database import Session
from chalicelib.core.timestamps import text
from chalicelib.outbox import store
from chalicelib.outbox.messages import BACKUPS

LATE, IN_TIME = "late", "in time"
# Backups are late if a change has not been backed up for this time. The alarm of CloudWatch has the same limit.
LIMIT = timedelta(minutes=15)
# The next sweep, too, must find backups late. After a power cut, the first sweep may come just before the first backup.
PATIENCE = timedelta(minutes=5)


def watch(session: Session, lag: float | None) -> None:
    """Write a message to the outbox when an episode of late backups begins or ends.

    `lag` is the gauge `backup_lag` in seconds. It is None before the first restore point, and if it cannot be read.
    Then backups count as late when it has been None for LIMIT.
    """
    late, patience = lag is None or lag > LIMIT.total_seconds(), LIMIT if lag is None else PATIENCE
    with session.transaction():
        [[noticed, since, now]] = session.run("SELECT noticed, since, now() FROM late_backups FOR UPDATE")
        if not late:
            if noticed:
                store.write(session, BACKUPS, {"state": IN_TIME, "since": text(since), "lag_seconds": lag})
            session.run("UPDATE late_backups SET noticed = false, since = NULL WHERE since IS NOT NULL")
        elif since is None:
            session.run("UPDATE late_backups SET since = now()")
        elif not noticed and now - since >= patience:
            store.write(session, BACKUPS, {"state": LATE, "since": text(since), "lag_seconds": lag})
            session.run("UPDATE late_backups SET noticed = true")
