"""Waits for the running loads and the running backup, before a cloud is stopped."""

import time
from collections.abc import Callable
from contextlib import closing

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from chalicelib.backups.run import LOCK
from infra.local.provision import DATABASE, connect

SECONDS = 20.0  # the longest wait before a stop
_PATIENCE = 5.0  # seconds that the database may take to respond
_INTERVAL = 0.1
# A worker holds an advisory lock while it works on a load or a backup (see chalicelib.loads.claims and
# chalicelib.backups.run). pg_locks shows the pid of the holder, so that the wait can ignore
# work that begins later.
_AT_WORK = (
    "SELECT k.pid, coalesce('load ' || l.id, 'a backup') FROM pg_locks k LEFT JOIN loads l"
    " ON k.objsubid = 1 AND l.id = (CAST(k.classid AS bigint) << 32) + CAST(k.objid AS bigint)"
    " WHERE k.locktype = 'advisory' AND k.granted"
    " AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND (l.status = 'running' OR (k.objsubid = 2 AND k.classid = {LOCK[0]} AND k.objid = {LOCK[1]}))"
)
Work = set[tuple[int, str]]


def settle(superuser_url: str, report: Callable[[str], None], seconds: float = SECONDS) -> bool:
    """Wait at most `seconds` for the end of the loads and the backup that run now. Return whether they have ended.

    A load that has not ended is not lost. Its lock is released when its connection ends, and the next start offers the
    load again. If the database cannot be reached, this returns False at once.
    """
    try:
        with closing(connect(superuser_url.rpartition("/")[0] + f"/{DATABASE}", timeout=_PATIENCE)) as server:
            return _settle(server, report, seconds)
    except (DatabaseError, InterfaceError, OSError):
        return False


def _settle(server: Connection, report: Callable[[str], None], seconds: float) -> bool:
    until = time.monotonic() + seconds
    waited_for = _at_work(server)
    if waited_for:
        report(f"waiting at most {seconds:.0f} s for {', '.join(sorted({what for _, what in waited_for}))}")
    while left := waited_for & _at_work(server):
        if time.monotonic() >= until:
            unfinished = ", ".join(sorted({what for _, what in left}))
            report(f"not waiting any longer: the next make up continues {unfinished}")
            return False
        time.sleep(_INTERVAL)
    return True


def _at_work(server: Connection) -> Work:
    return {(int(pid), str(what)) for pid, what in server.run(_AT_WORK) or ()}
