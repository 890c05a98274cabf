"""Tests that a backup which fails leaves either no restore point or a whole one. The tests let a backup fail at every
step."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.backups import manifest
from chalicelib.backups.run import BackupRun, run_backup
from chalicelib.backups.verify import verify_point
from chalicelib.cloud.database import Database, Session, SupportsWrite
from chalicelib.cloud.purposes import Purpose
from chalicelib.cloud.storage import Storage
from chalicelib.core.errors import DatabaseUnavailable, StorageUnavailable
from tests.integration.s3_fixtures import S3

NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)
MONTH = timedelta(days=30)
EXPIRED = NOW - timedelta(days=40)


class Killed(BaseException):
    """Simulates the end of the process. A process that has ended sends no requests, so the tests also let all later
    requests fail."""


def fill(database: Database, employees: int) -> None:
    """Insert employees with names of 9,600 characters that hardly compress. The file of 800 such employees is larger
    than one part of an upload."""
    with database.session() as session:
        session.run(
            "INSERT INTO departments VALUES (1, 'Legal'); INSERT INTO jobs VALUES (1, 'Lawyer');"
            "INSERT INTO hired_employees SELECT i, ("
            "SELECT string_agg(encode(sha384((i * 150 + n)::text::bytea), 'base64'), '') FROM generate_series(1, 150) n"
            f"), now(), 1, 1 FROM generate_series(1, {employees}) i"
        )


def change(database: Database) -> None:
    with database.session() as session:
        session.run("UPDATE jobs SET job = job || '+'")


def back_up(database: Database, storage: Storage, at: datetime) -> BackupRun:
    return run_backup(database, storage, retention=MONTH, now=lambda: at)


def sound(storage: Storage, known: Collection[str] = ()) -> list[str]:
    """Return the names of all restore points. First verify all restore points that are not in `known`."""
    found = []
    for name in manifest.names(storage.backup):
        if storage.backup.exists(manifest.manifest_key(name)):
            if name not in known:
                report = verify_point(storage.backup, name)
                assert not report.faults
                assert not [fault for table in report.tables.values() for fault in table.faults]
            found.append(name)
    return found


def breaking(at: int, error: Callable[[], BaseException], *, for_good: bool) -> Callable[[str, str], None]:
    """Return a hook that lets the request number `at` fail. If `for_good`, all later requests fail, too."""
    seen = 0

    def hook(_operation: str, _key: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at or (for_good and seen > at):
            raise error()

    return hook


def steps(database: Database, s3: S3) -> int:
    """Return the number of requests of a backup that writes one restore point and deletes an expired one. Afterwards
    two restore points exist."""
    fill(database, 800)
    back_up(database, s3.storage, EXPIRED)
    change(database)
    back_up(database, s3.storage, NOW)
    s3.calls.clear()
    change(database)
    back_up(database, s3.storage, NOW + timedelta(minutes=3))
    return len(s3.calls)


@pytest.mark.parametrize("for_good", [False, True])
def test_a_failure_of_s3_at_any_request_leaves_only_whole_restore_points(
    database: Database, s3: S3, for_good: bool
) -> None:
    requests, before = steps(database, s3), list[str]()
    operations = {operation for operation, _ in s3.calls}
    assert {"UploadPart", "CompleteMultipartUpload", "PutObject", "HeadObject", "ListObjectsV2"} <= operations
    for request in range(1, requests + 1):
        change(database)
        before = sound(s3.storage, before)
        at = NOW + timedelta(hours=request)
        s3.calls.clear()
        s3.before = breaking(request, lambda: OSError("the network is down"), for_good=for_good)
        with pytest.raises(StorageUnavailable):
            back_up(database, s3.storage, at)
        s3.before = None
        stored = ("PutObject", "manifest.json") in [(o, k.rpartition("/")[2]) for o, k in s3.calls[: request - 1]]
        expiring = s3.calls[request - 1][0] in ("ListObjectsV2", "DeleteObjects")
        after = sound(s3.storage, before)
        # The failed backup may leave a whole restore point in two cases: S3 stays unavailable, so that the backup
        # cannot delete the restore point, or the failure came after the restore point was complete.
        assert len(after) - len(before) <= int(stored and (for_good or expiring)), request
        assert set(before) <= set(after)
        assert s3.uploads() == [] or for_good  # the bucket's lifecycle rule aborts the rest
        assert back_up(database, s3.storage, at + timedelta(minutes=3)).outcome in ("created", "unchanged")


def test_a_process_killed_at_any_request_leaves_only_whole_restore_points(database: Database, s3: S3) -> None:
    requests, before = steps(database, s3), list[str]()
    for request in range(1, requests + 1):
        change(database)
        before = sound(s3.storage, before)
        at = NOW + timedelta(hours=request)
        s3.before = breaking(request, Killed, for_good=True)
        with pytest.raises(Killed):
            back_up(database, s3.storage, at)
        s3.before = None
        after = sound(s3.storage, before)
        assert set(before) <= set(after)
        again = back_up(database, s3.storage, at + timedelta(minutes=3))
        assert again.outcome == ("created" if len(after) == len(before) else "unchanged")


class Doomed(Session):
    """Terminates its own server process before one of its statements."""

    def __init__(self, session: Session, hook: Callable[[], None]) -> None:
        self.__dict__ = session.__dict__
        self._hook = hook

    def run(self, sql: str, **params: Any) -> list[list[Any]]:
        self._hook()
        return super().run(sql, **params)

    def copy_out(self, sql: str, target: SupportsWrite) -> None:
        self._hook()
        super().copy_out(sql, target)


class Terminated(Database):
    """Gives a session that terminates its own connection at the statement number `at`."""

    def __init__(self, url: str, at: int) -> None:
        super().__init__(url, tls="disable")
        self._at, self.seen = at, 0
        self._other = Database(url, tls="disable", purpose=Purpose("test"))

    @contextmanager
    def session(self) -> Iterator[Session]:
        with super().session() as plain:
            pid = plain.scalar("SELECT pg_backend_pid()")

            def hook() -> None:
                self.seen += 1
                if self.seen == self._at:
                    with self._other.session() as other:
                        other.run(f"SELECT pg_terminate_backend({pid}, 5000)")

            yield Doomed(plain, hook)

    def close(self) -> None:
        super().close()
        if hasattr(self, "_other"):
            self._other.close()


def test_a_connection_killed_at_any_statement_leaves_only_whole_restore_points(
    database: Database, database_url: str, s3: S3
) -> None:
    fill(database, 3)
    first = back_up(database, s3.storage, NOW)
    at, survived, before = 0, 0, list[str]()
    while not survived:
        at += 1
        change(database)
        before = sound(s3.storage, before)
        doomed = Terminated(database_url, at)
        try:
            back_up(doomed, s3.storage, NOW + timedelta(hours=at))
            survived = at
        except DatabaseUnavailable:
            assert sound(s3.storage, before) == before
        finally:
            doomed.close()
        assert s3.uploads() == []
        assert back_up(database, s3.storage, NOW + timedelta(hours=at, minutes=3)).restore_point
    # The last statement releases the advisory lock. It is the only statement whose failure does not make the backup
    # fail.
    assert survived >= doomed.seen > 15
    assert first.restore_point in sound(s3.storage)
