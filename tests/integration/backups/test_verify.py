"""Tests the verification of restore points. Sound restore points pass, and every kind of fault is reported."""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from chalicelib.backups import manifest
from chalicelib.backups.restore import order_restore
from chalicelib.backups.run import run_backup
from chalicelib.backups.verify import PointReport, verify_point
from chalicelib.cloud.database import Database
from chalicelib.cloud.storage import Storage
from chalicelib.core import restore_point_names
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, StorageUnavailable
from chalicelib.formats import avro
from tests.integration.http_api import Api
from tests.integration.s3_fixtures import BACKUP, S3

NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)
AT = 1_627_401_728_000_000


@pytest.fixture
def point(database: Database, storage: Storage) -> str:
    """Make a restore point with two departments, one job and 9,000 employees. Return its name."""
    with database.session() as session:
        session.run(
            "INSERT INTO departments VALUES (1, 'Legal'), (2147483647, 'Last'); INSERT INTO jobs VALUES (1, 'Lawyer');"
            "INSERT INTO hired_employees SELECT i, 'name ' || i, now(), CASE i % 2 WHEN 0 THEN 1 ELSE 2147483647 END, 1"
            " FROM generate_series(1, 9000) i"
        )
    return back_up(database, storage)


def back_up(database: Database, storage: Storage, at: datetime = NOW) -> str:
    return str(run_backup(database, storage, retention=timedelta(days=30), now=lambda: at).restore_point)


def faults(report: PointReport) -> list[str]:
    found = [f"{name}: {fault}" for name, table in report.tables.items() for fault in table.faults]
    return [*report.faults, *found]


def rewrite(storage: Storage, point: str, table: str, content: list[tuple[Any, ...]], **changes: Any) -> None:
    """Replace the file of a table by a sound file with other rows, and describe the new file in the manifest."""
    file = io.BytesIO()
    avro.write(DATASETS[table], [tuple(zip(*content, strict=True))], file)
    body = file.getvalue()
    storage.backup.put(manifest.key(point, table), body, avro.CONTENT_TYPE)
    known = manifest.get(storage.backup, point)
    entry = replace(known.tables[table], rows=len(content), bytes=len(body), sha256=sha256(body).hexdigest())
    edit(storage, point, lambda document: document["tables"].update({table: {**asdict(entry), **changes}}))


def edit(storage: Storage, point: str, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(storage.backup.get(manifest.manifest_key(point)))
    change(document)
    storage.backup.put(manifest.manifest_key(point), json.dumps(document).encode(), "application/json")


def employee(row_id: int, department: int = 1, job: int = 1) -> tuple[Any, ...]:
    return (row_id, "name", AT, department, job)


def test_a_sound_restore_point_passes(storage: Storage, point: str) -> None:
    report = verify_point(storage.backup)
    assert (report.restore_point, faults(report), report.older) == (point, [], None)
    expected = manifest.get(storage.backup, point).tables
    assert {n: (t.rows, t.bytes) for n, t in report.tables.items()} == {
        n: (t.rows, t.bytes) for n, t in expected.items()
    }
    assert report.tables["hired_employees"].rows == 9000
    assert json.loads(json.dumps(asdict(report))) == asdict(report)


def verified(storage: Storage) -> list[str]:
    """Return the restore points that the list shows as verified."""
    return [point.restore_point for point in manifest.listed(storage.backup, 10)[0] if point.verified_at]


def test_a_sound_restore_point_is_marked_until_a_fault_is_found(storage: Storage, point: str) -> None:
    assert verified(storage) == []
    verify_point(storage.backup, now=lambda: NOW)
    mark = json.loads(storage.backup.get(manifest.verified_key(point)))
    assert mark == {"restore_point": point, "verified_at": "2021-07-27T16:02:08.123456Z"}
    assert verified(storage) == [point]
    jobs = storage.backup.get(manifest.key(point, "jobs"))
    storage.backup.put(manifest.key(point, "jobs"), jobs + b"x", avro.CONTENT_TYPE)
    assert faults(verify_point(storage.backup))
    assert verified(storage) == []
    storage.backup.put(manifest.key(point, "jobs"), jobs, avro.CONTENT_TYPE)
    verify_point(storage.backup)
    assert verified(storage) == [point]
    edit(storage, point, lambda document: document.update(format=2))
    assert faults(verify_point(storage.backup))
    assert not storage.backup.exists(manifest.verified_key(point))


def test_a_mark_stays_while_s3_is_unavailable(s3: S3, storage: Storage, point: str) -> None:
    verify_point(storage.backup)

    def away(operation: str, key: str) -> None:
        if key.endswith("jobs.avro"):
            raise OSError("the network is down")

    s3.before = away
    with pytest.raises(StorageUnavailable):
        verify_point(storage.backup)
    s3.before = None
    assert verified(storage) == [point]


def test_a_mark_does_not_affect_backups_restores_or_retention(
    database: Database, storage: Storage, s3: S3, point: str
) -> None:
    verify_point(storage.backup)
    assert back_up(database, storage, NOW + timedelta(hours=1)) == point  # the outcome is `unchanged`
    assert manifest.newest(storage.backup) == manifest.get(storage.backup, point)
    assert order_restore(database, storage, DATASETS["jobs"]).restore_point == point
    with database.session() as session:
        session.run("UPDATE jobs SET job = 'Judge'")
    newer = back_up(database, storage, NOW + timedelta(days=31))
    assert manifest.names(storage.backup) == [newer]
    assert [key for key in s3.keys(BACKUP) if point in key] == []
    assert verified(storage) == []


def test_a_folder_with_only_a_mark_is_no_restore_point_and_is_deleted(database: Database, storage: Storage) -> None:
    """A verification leaves such a folder if the restore point expires during the verification."""
    left = restore_point_names.name_after(None, NOW - timedelta(days=2))
    storage.backup.put(manifest.verified_key(left), b"{}", "application/json")
    assert manifest.newest(storage.backup) is None
    with pytest.raises(NotFound, match="no backup yet"):
        verify_point(storage.backup)
    assert manifest.names(storage.backup) == [left]
    assert manifest.names(storage.backup) != [back_up(database, storage)]
    assert left not in manifest.names(storage.backup)


def test_an_empty_database_passes(database: Database, storage: Storage) -> None:
    back_up(database, storage)
    assert faults(verify_point(storage.backup)) == []


@pytest.mark.parametrize("table", DATASETS)
def test_a_change_of_any_byte_is_found(s3: S3, storage: Storage, point: str, table: str) -> None:
    key = manifest.key(point, table)
    whole = storage.backup.get(key)
    step = max(1, len(whole) // 40)
    for at in range(0, len(whole), step):
        changed = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
        storage.backup.put(key, changed, avro.CONTENT_TYPE)
        assert f"{table}: the file does not have the checksum of the manifest" in faults(
            verify_point(storage.backup)
        ), at
    storage.backup.put(key, whole[:-1], avro.CONTENT_TYPE)
    assert faults(verify_point(storage.backup)) == [
        f"{table}: the Avro file is truncated",
        f"{table}: the file has {len(whole) - 1} bytes, the manifest says {len(whole)}",
        f"{table}: the file does not have the checksum of the manifest",
    ]
    s3.client.delete_object(Bucket=BACKUP, Key=key)
    assert faults(verify_point(storage.backup)) == [f"{table}: the file is missing"]


def test_a_file_of_another_table_is_a_fault(storage: Storage, point: str) -> None:
    body = storage.backup.get(manifest.key(point, "jobs"))
    storage.backup.put(manifest.key(point, "departments"), body, avro.CONTENT_TYPE)
    fault = 'departments: the file does not have the schema of the manifest: its fields are id "int", job "string"'
    assert faults(verify_point(storage.backup))[0] == fault
    edit(storage, point, lambda document: document.pop("schemas"))  # the previous release wrote no schemas
    assert faults(verify_point(storage.backup))[0] == fault


def test_repeated_ids_and_missing_parents_are_faults(storage: Storage, point: str) -> None:
    rows = [employee(1), employee(7), employee(2, department=3), employee(7, job=9), employee(8, 4, 2), employee(1)]
    rewrite(storage, point, "hired_employees", rows)
    assert faults(verify_point(storage.backup)) == [
        "hired_employees: id 1 occurs more than once",
        "hired_employees: id 7 occurs more than once",
        "hired_employees: department_id 3 is not among the departments of the snapshot",
        "hired_employees: department_id 4 is not among the departments of the snapshot",
        "hired_employees: job_id 2 is not among the jobs of the snapshot",
        "hired_employees: job_id 9 is not among the jobs of the snapshot",
    ]


def test_many_faults_of_a_kind_are_counted(storage: Storage, point: str) -> None:
    rewrite(storage, point, "hired_employees", [employee(i, job=i) for i in range(2, 30)])
    found = faults(verify_point(storage.backup))
    assert len(found) == 11
    assert found[-1] == "hired_employees: job_id … is not among the jobs of the snapshot (more than 10 such ids)"


def test_a_wrong_number_of_rows_is_a_fault(storage: Storage, point: str) -> None:
    rewrite(storage, point, "jobs", [(1, "Lawyer")], rows=2)
    assert faults(verify_point(storage.backup)) == ["jobs: the file has 1 rows, the manifest says 2"]


def test_a_parent_table_that_cannot_be_read_is_one_fault(s3: S3, storage: Storage, point: str) -> None:
    s3.client.delete_object(Bucket=BACKUP, Key=manifest.key(point, "departments"))
    assert faults(verify_point(storage.backup)) == ["departments: the file is missing"]


def test_a_manifest_without_a_table_of_this_release_has_a_fault(storage: Storage, point: str) -> None:
    edit(storage, point, lambda document: document["tables"].pop("jobs"))
    report = verify_point(storage.backup)
    assert (faults(report), report.notes) == (["the manifest lacks jobs"], [])


def test_a_restore_point_that_is_older_than_a_dataset_is_sound_and_stays_verified(storage: Storage, point: str) -> None:
    """The release that made it had another schema. It declared no table `hired_employees`."""
    verify_point(storage.backup)

    def before(document: dict[str, Any]) -> None:
        del document["tables"]["hired_employees"], document["schemas"]
        document["schema_version"] = avro.fingerprint(d for d in DATASETS.values() if d.name != "hired_employees")

    edit(storage, point, before)
    report = verify_point(storage.backup)
    assert (faults(report), report.notes) == ([], ["made before hired_employees existed"])
    assert "hired_employees" not in report.tables
    assert verified(storage) == [point]


def test_a_fault_in_a_restore_point_of_another_schema_is_found(storage: Storage, point: str) -> None:
    edit(storage, point, lambda document: document["tables"].pop("hired_employees"))
    edit(storage, point, lambda document: document.update(schema_version="another", schemas={}))
    storage.backup.put(manifest.key(point, "jobs"), b"x", avro.CONTENT_TYPE)
    assert faults(verify_point(storage.backup))
    assert verified(storage) == []


def test_incomplete_restore_points_are_skipped_on_the_way_to_older_ones(
    database: Database, storage: Storage, point: str
) -> None:
    with database.session() as session:
        session.run("UPDATE jobs SET job = 'Judge'")
    newer = back_up(database, storage, NOW + timedelta(hours=1))
    crashed = restore_point_names.name_after(None, NOW + timedelta(minutes=30))
    storage.backup.put(manifest.key(crashed, "jobs"), b"left over", "")
    storage.backup.put(manifest.manifest_key(newer), b"{", "application/json")
    report = verify_point(storage.backup)
    assert (report.restore_point, report.older) == (newer, point)
    [fault] = faults(report)
    assert fault.startswith("the manifest is broken")
    assert verify_point(storage.backup, report.older).restore_point == point
    with pytest.raises(NotFound, match=f"there is no restore point {crashed}"):
        verify_point(storage.backup, crashed)


@pytest.mark.parametrize("name", ["latest", "../jobs", ""])
def test_a_malformed_name_is_not_found(storage: Storage, name: str) -> None:
    with pytest.raises(NotFound, match="has a name like"):
        verify_point(storage.backup, name)


def test_without_a_backup_verification_finds_nothing(storage: Storage) -> None:
    with pytest.raises(NotFound, match="no backup yet"):
        verify_point(storage.backup)


def test_an_unavailable_s3_is_no_fault_of_a_backup(s3: S3, storage: Storage, point: str) -> None:
    def away(operation: str, key: str) -> None:
        if key.endswith("jobs.avro"):
            raise OSError("the network is down")

    s3.before = away
    with pytest.raises(StorageUnavailable):
        verify_point(storage.backup)


def test_the_api_shows_when_a_restore_point_was_verified(api: Api, storage: Storage, point: str) -> None:
    [listed] = api.get("/backups").body["backups"]
    assert (listed["created_at"], listed["verified_at"]) == ("2021-07-27T16:02:08.123456Z", None)
    before = datetime.now(UTC).replace(microsecond=0)
    verify_point(storage.backup)
    [listed] = api.get("/backups").body["backups"]
    assert before <= datetime.fromisoformat(listed["verified_at"]) <= datetime.now(UTC)
    assert listed["verified_at"].endswith("Z")
