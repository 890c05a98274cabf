"""Tests what a restore request does. The load exists before its file arrives in the landing bucket. This file is a copy
of a file of the restore point."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.backups import manifest
from chalicelib.backups.restore import order_restore
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.cloud.purposes import Purpose
from chalicelib.cloud.storage import Storage
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, StorageUnavailable
from tests.integration.s3_fixtures import S3

JOBS = DATASETS["jobs"]
NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)


def backed_up(database: Database, storage: Storage, job: str) -> str:
    """Make `job` the only job, and make a restore point. Return its name."""
    with database.session() as session:
        session.run("DELETE FROM jobs")
        session.run("INSERT INTO jobs VALUES (1, :job)", job=job)
    result = run_backup(database, storage, retention=timedelta(days=30), now=lambda: NOW)
    return str(result.restore_point)


def load(database: Database, load_id: int) -> dict[str, Any]:
    with database.session() as session:
        [found] = session.records("SELECT * FROM loads WHERE id = :id", id=load_id)
    return found


def loads(database: Database) -> list[dict[str, Any]]:
    with database.session() as session:
        return session.records("SELECT * FROM loads ORDER BY id")


def test_a_request_announces_a_load_and_copies_the_newest_backup(database: Database, storage: Storage) -> None:
    backed_up(database, storage, "Lawyer")
    newest = backed_up(database, storage, "Judge")
    ordered = order_restore(database, storage, JOBS)
    load_id = ordered.load_id
    assert vars(ordered) == {"load_id": load_id, "restore_point": newest, "status_url": f"/loads/{load_id}"}
    key = f"restores/{load_id}/jobs.avro"
    body = storage.landing.get(key)
    assert body == storage.backup.get(manifest.key(newest, "jobs"))
    found = load(database, load_id)
    assert (found["status"], found["kind"], found["dataset"]) == ("queued", "restore", "jobs")
    assert (found["restore_point"], found["source"]) == (newest, storage.landing.url(key))
    assert found["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_request_can_name_an_older_restore_point(database: Database, storage: Storage) -> None:
    older = backed_up(database, storage, "Lawyer")
    backed_up(database, storage, "Judge")
    ordered = order_restore(database, storage, JOBS, older)
    assert ordered.restore_point == older
    copied = storage.landing.get(f"restores/{ordered.load_id}/jobs.avro")
    assert copied == storage.backup.get(manifest.key(older, "jobs"))


def test_the_load_is_committed_before_its_object_can_arrive(
    database: Database, database_url: str, storage: Storage, s3: S3
) -> None:
    backed_up(database, storage, "Lawyer")
    seen: list[str] = []
    observer = Database(database_url, tls="disable", purpose=Purpose("test"))

    def look(operation: str, _: str) -> None:
        if operation == "CopyObject":
            seen.extend(found["status"] for found in loads(observer))

    s3.before = look
    try:
        order_restore(database, storage, JOBS)
    finally:
        observer.close()
    assert seen == ["queued"]


@pytest.mark.parametrize("name", [None, "20210727T160208.123456Z", "latest", "../../etc", ""])
def test_a_restore_without_its_backup_is_not_found(database: Database, storage: Storage, name: str | None) -> None:
    with pytest.raises(NotFound):
        order_restore(database, storage, JOBS, name)
    assert loads(database) == []


def test_a_restore_point_without_the_dataset_is_refused(database: Database, storage: Storage) -> None:
    point = backed_up(database, storage, "Lawyer")
    found = manifest.get(storage.backup, point)
    tables = {name: table for name, table in found.tables.items() if name != "jobs"}
    older = manifest.Manifest(point, found.origin, found.schema_version, tables)
    storage.backup.put(manifest.manifest_key(point), older.to_json(), "application/json")
    with pytest.raises(NotFound, match="does not contain jobs: it contains "):
        order_restore(database, storage, JOBS)
    assert loads(database) == []


def test_the_load_of_a_missing_file_fails(database: Database, storage: Storage) -> None:
    point = backed_up(database, storage, "Lawyer")
    storage.backup.delete(manifest.key(point, "jobs"))
    with pytest.raises(NotFound, match="the file of jobs is missing from"):
        order_restore(database, storage, JOBS)
    [found] = loads(database)
    assert (found["status"], found["error"]) == ("failed", f"the file of jobs is missing from restore point {point}")


def test_after_a_failed_copy_the_restore_can_be_requested_again(database: Database, storage: Storage, s3: S3) -> None:
    backed_up(database, storage, "Lawyer")

    def break_down(operation: str, _: str) -> None:
        if operation == "CopyObject":
            raise OSError("the network is down")

    s3.before = break_down
    with pytest.raises(StorageUnavailable):
        order_restore(database, storage, JOBS)
    s3.before = None
    again = order_restore(database, storage, JOBS)
    [first, second] = loads(database)
    assert (first["status"], bool(first["error"])) == ("failed", True)
    assert (second["id"], second["status"]) == (again.load_id, "queued")
