"""Tests the backups of a real Postgres. A backup holds every row of one snapshot exactly, misses no change, and leaves
no incomplete restore point."""

import hashlib
import io
import json
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import avro.datafile
import avro.io
import pytest

from chalicelib.backups import manifest
from chalicelib.backups.run import LOCK, BackupRun, run_backup
from chalicelib.backups.snapshot import blocks, snapshot
from chalicelib.cloud.database import Database
from chalicelib.cloud.purposes import Purpose
from chalicelib.cloud.storage import Storage
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import DatabaseUnavailable, LockTimeout, StorageUnavailable
from chalicelib.formats import avro as avro_files
from tests.integration.s3_fixtures import BACKUP, S3

NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)
MONTH = timedelta(days=30)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL = tuple(DATASETS.values())
EMPLOYEES = DATASETS["hired_employees"]
Backup = Callable[..., Any]


@pytest.fixture
def backup(database: Database, storage: Storage) -> Backup:
    def run(at: datetime = NOW, retention: timedelta = MONTH) -> BackupRun:
        return run_backup(database, storage, retention=retention, now=lambda: at)

    return run


@contextmanager
def another(url: str) -> Iterator[Database]:
    """Return a database with a second connection, besides the connection under test."""
    database = Database(url, tls="disable", purpose=Purpose("test"))
    try:
        yield database
    finally:
        database.close()


def sql(database: Database, *statements: str) -> None:
    with database.session() as session:
        for statement in statements:
            session.run(statement)


def parents(database: Database) -> None:
    sql(database, "INSERT INTO departments VALUES (1, 'Legal')", "INSERT INTO jobs VALUES (1, 'Lawyer')")


def stored(storage: Storage, restore_point: str, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table in a restore point, read with the code of Hireflow. Instants are microseconds."""
    stream = storage.backup.open(manifest.key(restore_point, table))
    return [row for batch in avro_files.records(DATASETS[table], stream) for row in batch]


def read_by_others(storage: Storage, restore_point: str, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table in a restore point, read with Apache's Avro library. Instants are datetimes."""
    file = io.BytesIO(storage.backup.get(manifest.key(restore_point, table)))
    with avro.datafile.DataFileReader(file, avro.io.DatumReader()) as reader:
        return [tuple(cast(dict[str, Any], row).values()) for row in reader]


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def test_the_backup_of_an_empty_database_has_empty_files(backup: Backup, storage: Storage, s3: S3) -> None:
    result = backup()
    assert (result.outcome, result.restore_point) == ("created", "20210727T160208.123456Z")
    assert {name: table.rows for name, table in result.tables.items()} == dict.fromkeys(DATASETS, 0)
    for table in DATASETS:
        assert read_by_others(storage, result.restore_point, table) == []
    assert s3.written()[-1].endswith("manifest.json")
    assert json.loads(json.dumps(asdict(result))) == asdict(result)


NASTY = [
    (1, "", datetime(1, 1, 1, tzinfo=UTC)),
    (2, " ", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    (3, "\x01\t\r\n\\.\\N,\"'\x7f", datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
    (4, "Łukasz Žižek 🎉\U0010ffff\ufffe\ufeff\u2028", datetime(2000, 1, 1, tzinfo=UTC)),
    (5, "x" * 10_000, datetime(1999, 12, 31, 23, 59, 59, 999999, UTC)),
    (2_147_483_647, "🎉" * 10_000, datetime(1582, 10, 10, 12, 0, 0, 1, UTC)),
]


def test_a_backup_holds_every_row_exactly(database: Database, storage: Storage, backup: Backup) -> None:
    parents(database)
    with database.session() as session:
        for id_, name, at in NASTY:
            session.run("INSERT INTO hired_employees VALUES (:id, :name, :at, 1, 1)", id=id_, name=name, at=at)
        session.run("INSERT INTO departments VALUES (2147483647, 'last')")
    point = backup().restore_point
    expected = [(*row, 1, 1) for row in NASTY]
    assert read_by_others(storage, point, "hired_employees") == expected
    assert stored(storage, point, "hired_employees") == [(a, b, micros(at), c, d) for a, b, at, c, d in expected]
    assert stored(storage, point, "departments") == [(1, "Legal"), (2_147_483_647, "last")]


def test_tables_of_many_pages_with_holes_lose_no_row(database: Database, storage: Storage, backup: Backup) -> None:
    parents(database)
    sql(
        database,
        "INSERT INTO hired_employees SELECT i, 'name ' || i, timestamptz '2021-01-01Z' + i * interval '1 second', 1, 1"
        " FROM generate_series(1, 40000) i",
        "DELETE FROM hired_employees WHERE id BETWEEN 9000 AND 25000 OR id % 7 = 0",
        "UPDATE hired_employees SET name = repeat(name, 40) WHERE id % 11 = 0",
    )
    result = backup()
    with database.session() as session:
        kept = session.run(
            "SELECT id, name, (extract(epoch FROM datetime) * 1000000)::bigint, 1, 1 FROM hired_employees ORDER BY id"
        )
    found = stored(storage, result.restore_point, "hired_employees")
    assert sorted(found) == [tuple(row) for row in kept]
    assert result.tables["hired_employees"].rows == len(kept)


def test_memory_is_bounded_although_a_few_pages_hold_huge_text(database: Database) -> None:
    """Postgres compresses 10,000 equal characters to about a hundred bytes, so a few pages may hold very much text."""
    sql(database, "INSERT INTO jobs SELECT i, repeat(chr(64 + i % 20), 10000) FROM generate_series(1, 4000) i")
    with database.session() as session, snapshot(session, ALL):
        pages = session.scalar("SELECT pg_relation_size('jobs') / 8192")
        tracemalloc.start()
        try:
            count = sum(len(job) == 10_000 for _, texts in blocks(session, DATASETS["jobs"]) for job in texts)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (count, pages < 128) == (4000, True)
    assert peak < 24 * 1024 * 1024  # the text has 40 MB


def test_the_manifest_has_rows_bytes_and_checksums(database: Database, storage: Storage, backup: Backup) -> None:
    parents(database)
    result = backup()
    found = manifest.get(storage.backup, result.restore_point)
    assert found.summary().tables == result.tables
    assert found.schema_version == avro_files.fingerprint(ALL)
    for name, table in found.tables.items():
        body = storage.backup.get(manifest.key(found.restore_point, name))
        assert (table.bytes, table.sha256) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_backup_without_changes_writes_nothing(database: Database, s3: S3, backup: Backup) -> None:
    parents(database)
    first = backup()
    s3.calls.clear()
    second = backup(NOW + timedelta(minutes=3))
    assert (second.outcome, second.restore_point) == ("unchanged", first.restore_point)
    assert second.tables == first.tables
    assert s3.written() == []


def test_two_backups_around_a_change_hold_before_and_after(
    database: Database, storage: Storage, backup: Backup
) -> None:
    parents(database)
    before = backup()
    sql(database, "UPDATE jobs SET job = 'Judge'")
    after = backup()  # the new name is later although the clock stands still
    assert after.outcome == "created"
    assert after.restore_point > before.restore_point
    assert stored(storage, before.restore_point, "jobs") == [(1, "Lawyer")]
    assert stored(storage, after.restore_point, "jobs") == [(1, "Judge")]


def test_a_change_committed_a_moment_ago_is_never_missed(
    database: Database, database_url: str, storage: Storage, backup: Backup
) -> None:
    with another(database_url) as writer:
        for number in range(1, 21):
            sql(writer, f"INSERT INTO jobs VALUES ({number}, 'job')")
            result = backup()
            assert result.outcome == "created"
            assert result.tables["jobs"].rows == number


@pytest.mark.parametrize(
    "change", ["DELETE FROM jobs", "UPDATE jobs SET id = 2", "TRUNCATE jobs CASCADE", "INSERT INTO jobs VALUES (2, '')"]
)
def test_every_kind_of_change_is_noticed(database: Database, backup: Backup, change: str) -> None:
    parents(database)
    backup()
    sql(database, change)
    assert backup().outcome == "created"
    assert backup().outcome == "unchanged"


def test_another_database_with_equal_versions_counts_as_changed(storage: Storage, backup: Backup) -> None:
    first = backup().restore_point
    found = json.loads(storage.backup.get(manifest.manifest_key(first)))
    found["origin"] = "elsewhere"
    storage.backup.put(manifest.manifest_key(first), json.dumps(found).encode(), "application/json")
    assert backup().outcome == "created"


def of_another_database(storage: Storage, restore_point: str) -> None:
    """Change the manifest of a restore point, as if the restore point were of another database."""
    found = manifest.get(storage.backup, restore_point)
    other = replace(found, origin="another")
    storage.backup.put(manifest.manifest_key(restore_point), other.to_json(), "application/json")


def test_a_new_empty_database_makes_no_restore_point(
    database: Database, storage: Storage, backup: Backup, caplog: pytest.LogCaptureFixture
) -> None:
    """A restore of the newest restore point must bring the rows of the lost database back."""
    parents(database)
    lost = backup()
    of_another_database(storage, lost.restore_point)
    sql(database, "TRUNCATE departments, jobs CASCADE")
    before = manifest.names(storage.backup)
    with caplog.at_level(logging.INFO, "hireflow.backups"):
        later = backup(NOW + timedelta(days=400))
    assert (later.outcome, later.restore_point, later.deleted) == ("waiting", lost.restore_point, [])
    assert manifest.names(storage.backup) == before
    assert [record.levelname for record in caplog.records if record.name == "hireflow.backups"][-1] == "WARNING"


def test_restore_points_of_a_new_database_name_the_last_one_of_the_previous_database(
    database: Database, storage: Storage, backup: Backup
) -> None:
    parents(database)
    lost = backup().restore_point
    of_another_database(storage, lost)
    sql(database, "DELETE FROM jobs")
    first = backup()
    sql(database, "DELETE FROM departments")
    second = backup()
    assert [run.outcome for run in (first, second)] == ["created", "created"]
    made = [manifest.get(storage.backup, run.restore_point) for run in (first, second)]
    assert [each.previous_database for each in made] == [lost, lost]
    assert manifest.get(storage.backup, lost).previous_database is None


@pytest.mark.parametrize(("status", "remains"), [("succeeded", False), ("failed", True)])
def test_a_restored_point_of_the_previous_database_is_no_longer_named(
    database: Database, storage: Storage, backup: Backup, status: str, remains: bool
) -> None:
    parents(database)
    lost = backup().restore_point
    of_another_database(storage, lost)
    restored = f"'jobs', 's3://landing/restores/1/jobs.avro', 'restore', '{status}', '{lost}'"
    sql(database, f"INSERT INTO loads (dataset, source, kind, status, restore_point) VALUES ({restored})")
    made = manifest.get(storage.backup, backup().restore_point)
    assert made.previous_database == (lost if remains else None)


def test_an_empty_database_is_backed_up_if_the_other_one_was_empty_too(storage: Storage, backup: Backup) -> None:
    of_another_database(storage, backup().restore_point)
    second = backup()
    assert second.outcome == "created"
    assert manifest.get(storage.backup, second.restore_point).previous_database is None


def test_a_restore_point_that_lost_a_file_is_followed_by_a_whole_one(storage: Storage, backup: Backup) -> None:
    storage.backup.delete(manifest.key(backup().restore_point, "jobs"))
    assert backup().outcome == "created"


def test_one_backup_at_a_time(database_url: str, s3: S3, backup: Backup) -> None:
    with another(database_url) as other, other.session() as session:
        session.run("SELECT pg_advisory_lock({}, {})".format(*LOCK))
        nothing = {"tables": {}, "checked": [], "seconds": 0.0, "deleted": []}
        assert asdict(backup()) == {"outcome": "busy", "restore_point": None, **nothing}
        assert s3.calls == []
        session.run("SELECT pg_advisory_unlock_all()")
        assert backup().outcome == "created"


def test_every_backup_run_logs_one_line(
    database: Database, database_url: str, backup: Backup, caplog: pytest.LogCaptureFixture
) -> None:
    parents(database)
    with caplog.at_level(logging.INFO, "hireflow.backups"), another(database_url) as other:
        point = backup().restore_point
        backup()
        with other.session() as session:
            session.run("SELECT pg_advisory_lock({}, {})".format(*LOCK))
            backup()
    lines = [vars(record) for record in caplog.records if record.name == "hireflow.backups"]
    assert [(line["message"], line["levelname"]) for line in lines] == [
        ("restore point created", "INFO"),
        ("no restore point created: no row has changed since the newest one", "INFO"),
        ("no restore point created: another backup is running", "INFO"),
    ]
    assert [line["outcome"] for line in lines] == ["created", "unchanged", "busy"]
    assert [(line["restore_point"], line["rows"]) for line in lines[:2]] == [(point, 2)] * 2


def test_truncate_waits_for_the_snapshot(database: Database, database_url: str) -> None:
    """If TRUNCATE did not wait, the backup would see one table without rows, and the other tables with their rows."""
    with (
        database.session() as session,
        snapshot(session, ALL),
        another(database_url) as other,
        pytest.raises(LockTimeout),
    ):
        sql(other, "SET lock_timeout = 20; TRUNCATE hired_employees")


def large(database: Database) -> None:
    """Insert more employees than fit into one part of a multipart upload."""
    parents(database)
    sql(
        database,
        "INSERT INTO hired_employees SELECT i, (SELECT string_agg(md5((i * 300 + n)::text), '')"
        " FROM generate_series(1, 300) n), now(), 1, 1 FROM generate_series(1, 1800) i",
    )


def test_large_tables_are_uploaded_in_parts(database: Database, storage: Storage, s3: S3, backup: Backup) -> None:
    large(database)
    result = backup()
    assert ("CompleteMultipartUpload", manifest.key(result.restore_point, "hired_employees")) in s3.calls
    assert len(stored(storage, result.restore_point, "hired_employees")) == 1800
    body = storage.backup.get(manifest.key(result.restore_point, "hired_employees"))
    assert hashlib.sha256(body).hexdigest() == result.tables["hired_employees"].sha256


@pytest.mark.parametrize(
    ("operation", "name"), [("HeadObject", "jobs.avro"), ("HeadObject", "jobs.avro of equal size"), ("GetObject", "")]
)
def test_a_file_that_is_not_stored_as_written_leaves_no_restore_point(
    database: Database, s3: S3, backup: Backup, operation: str, name: str
) -> None:
    """The backup compares the stored files with what it has written, before it writes the manifest."""
    parents(database)
    first = backup()
    sql(database, "UPDATE jobs SET job = 'Judge'")
    spoiled = []

    def spoil(asked: str, key: str) -> None:
        if asked == operation and key.endswith(name.partition(" ")[0]) and first.restore_point not in key:
            s3.before = None
            spoiled.append(key)
            body = s3.client.get_object(Bucket=BACKUP, Key=key)["Body"].read()
            other = body[:-1] + b"\0" if "equal" in name else body[:-1]
            s3.client.put_object(Bucket=BACKUP, Key=key, Body=other)

    s3.before = spoil
    with pytest.raises(StorageUnavailable, match="not stored as it was written"):
        backup(NOW + timedelta(minutes=3))
    assert len(spoiled) == 1
    assert set(s3.storage.backup.folders(manifest.ROOT)) == {first.restore_point}
    assert backup(NOW + timedelta(minutes=6)).outcome == "created"


def test_the_result_lists_the_checked_files(backup: Backup) -> None:
    expected = [*(f"{table}.avro" for table in DATASETS), "manifest.json"]
    assert backup().checked == expected
    assert backup().checked == expected  # no new restore point, but the files were compared


@pytest.mark.parametrize("what", ["UploadPart", "CompleteMultipartUpload", "jobs.avro", "manifest.json"])
def test_a_failure_of_s3_during_a_backup_leaves_nothing(database: Database, s3: S3, backup: Backup, what: str) -> None:
    (parents if "." in what else large)(database)

    def break_down(operation: str, key: str) -> None:
        if operation == what or (operation == "PutObject" and key.endswith(what)):
            raise OSError("the network is down")

    s3.before = break_down
    with pytest.raises(StorageUnavailable):
        backup()
    s3.before = None
    assert (s3.keys(), s3.uploads()) == ([], [])
    assert backup().outcome == "created"


def test_a_failure_of_the_database_during_a_backup_leaves_nothing(
    database: Database, database_url: str, s3: S3, backup: Backup
) -> None:
    large(database)
    with another(database_url) as other, database.session() as session:
        pid = session.scalar("SELECT pg_backend_pid()")

        def cut(operation: str, _: str) -> None:
            if operation == "CreateMultipartUpload":
                sql(other, f"SELECT pg_terminate_backend({pid}, 5000)")

        s3.before = cut
        with pytest.raises(DatabaseUnavailable):
            backup()
    assert (s3.keys(), s3.uploads()) == ([], [])
    s3.before = None
    assert backup().outcome == "created"


class Killed(BaseException):
    """Simulates that the time of the function is over: no code of the function runs afterwards."""


def test_a_crash_during_a_backup_leaves_no_restore_point(
    database: Database, storage: Storage, s3: S3, backup: Backup
) -> None:
    parents(database)
    first = backup()
    sql(database, "UPDATE jobs SET job = 'Judge'")

    def die(operation: str, key: str) -> None:
        if operation == "DeleteObjects" or (operation == "PutObject" and key.endswith("manifest.json")):
            raise Killed

    s3.before = die
    with pytest.raises(Killed):
        backup(NOW + timedelta(minutes=3))
    s3.before = None
    assert len(manifest.names(storage.backup)) == 2
    newest = manifest.newest(storage.backup)
    assert newest is not None
    assert newest.restore_point == first.restore_point
    assert backup(NOW + timedelta(minutes=6)).outcome == "created"
    swept = backup(NOW + timedelta(hours=25))
    assert swept.deleted == ["20210727T160508.123456Z"]


def test_backups_go_on_beside_stray_folders_and_restore_points_in_the_future(
    database: Database, storage: Storage, backup: Backup
) -> None:
    parents(database)
    for name in ("20991231T000000.000000Z", "99991231T235959.999999Z"):
        storage.backup.put(f"backups/{name}/jobs.avro", b"stray", "text/plain")
    storage.backup.put("backups/manifest.json", b"{}", "application/json")
    wrong = backup(NOW + timedelta(days=400)).restore_point  # made while the clock was wrong
    assert wrong == "20220831T160208.123456Z"
    found = backup()
    assert (found.outcome, found.restore_point) == ("created", "20210727T160208.123456Z")
    assert backup(NOW + timedelta(minutes=3)).outcome == "unchanged"
    sql(database, "UPDATE jobs SET job = 'Judge'")
    found = backup(NOW + timedelta(days=40))
    assert (found.outcome, found.deleted) == ("created", ["20210727T160208.123456Z"])
    assert stored(storage, wrong, "jobs") == [(1, "Lawyer")]
    assert manifest.get(storage.backup, wrong).restore_point == wrong


def test_retention_never_deletes_the_newest_complete_restore_point(
    database: Database, storage: Storage, backup: Backup
) -> None:
    parents(database)
    old = [backup(NOW).restore_point]
    sql(database, "UPDATE jobs SET job = 'Judge'")
    newest = backup(NOW + timedelta(minutes=3)).restore_point
    assert backup(NOW + timedelta(days=29)).deleted == []
    result = backup(NOW + timedelta(days=90))
    assert (result.outcome, result.deleted) == ("unchanged", old)
    assert manifest.names(storage.backup) == [newest]
    assert stored(storage, newest, "jobs") == [(1, "Judge")]


def _hire(url: str, first: int, stop: threading.Event, errors: list[BaseException]) -> None:
    """Insert a department, a job, and an employee in this department and job, again and again. Commit each row."""
    try:
        with another(url) as database, database.session() as session:
            number = first
            while not stop.is_set():
                session.run(f"INSERT INTO departments VALUES ({number}, 'department')")
                session.run(f"INSERT INTO jobs VALUES ({number}, 'job')")
                session.run(f"INSERT INTO hired_employees VALUES ({number}, 'name', now(), {number}, {number})")
                number += 1
    except BaseException as error:
        errors.append(error)


def test_every_parent_is_in_the_same_restore_point_while_writers_write(
    database: Database, database_url: str, storage: Storage, backup: Backup
) -> None:
    stop, errors = threading.Event(), list[BaseException]()
    writers = [
        threading.Thread(target=_hire, args=(database_url, first, stop, errors))
        for first in range(1, 10**8, 25_000_000)
    ]
    for writer in writers:
        writer.start()
    try:
        points = [backup().restore_point for _ in range(12)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert errors == []
    counts = []
    for point in points:
        departments = {row[0] for row in stored(storage, point, "departments")}
        jobs = {row[0] for row in stored(storage, point, "jobs")}
        employees = stored(storage, point, "hired_employees")
        assert {row[3] for row in employees} <= departments
        assert {row[4] for row in employees} <= jobs
        counts.append(len(employees))
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
