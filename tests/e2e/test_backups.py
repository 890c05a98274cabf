"""Tests that a deployed stage can be backed up and restored."""

import gzip
import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import avro.datafile
import avro.io
import pytest

from chalicelib.core.datasets import DATASETS
from tests.e2e.cloud import Cloud, counts, until

EMPLOYEES = [
    (1, "Ann", datetime(2021, 7, 27, 16, 2, 8, tzinfo=UTC), 1, 1),
    (2, 'Bo "B", of\nOps', datetime(1, 1, 1, tzinfo=UTC), 2, 1),
    (3, "日本 😀", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 1, 2),
]


def fill(cloud: Cloud) -> None:
    tables: dict[str, list[dict[str, Any]]] = {
        "department": [{"id": 1, "department": "Sales"}, {"id": 2, "department": "Ops"}],
        "job": [{"id": 1, "job": "Clerk"}, {"id": 2, "job": "Smith"}],
        "hired_employee": [
            {"id": i, "name": name, "datetime": at.isoformat(), "department_id": d, "job_id": j}
            for i, name, at, d, j in EMPLOYEES
        ],
    }
    for route, rows in tables.items():
        assert cloud.post(f"/{route}/upload/batch", {"data": rows}).body["inserted"] == len(rows)


def file(cloud: Cloud, point: str, name: str) -> bytes:
    return cloud.s3.get_object(Bucket=cloud.env["BACKUP_BUCKET"], Key=f"backups/{point}/{name}")["Body"].read()


def records(cloud: Cloud, point: str, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of an Avro file, sorted by id. The file is read with a library that the product does not use."""
    with avro.datafile.DataFileReader(io.BytesIO(file(cloud, point, f"{table}.avro")), avro.io.DatumReader()) as reader:
        return sorted(tuple(cast(dict[str, Any], record).values()) for record in reader)


def test_a_restore_point_holds_every_row_for_any_avro_reader(cloud: Cloud) -> None:
    fill(cloud)
    point = cloud.backup()
    assert records(cloud, point, "departments") == [(1, "Sales"), (2, "Ops")]
    assert records(cloud, point, "jobs") == [(1, "Clerk"), (2, "Smith")]
    assert records(cloud, point, "hired_employees") == EMPLOYEES
    manifest = json.loads(file(cloud, point, "manifest.json"))
    listed = next(b for b in cloud.get("/backups").body["backups"] if b["restore_point"] == point)
    for name in DATASETS:
        body = file(cloud, point, f"{name}.avro")
        expected = {"rows": len(cloud.table(name)), "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        assert {key: manifest["tables"][name][key] for key in expected} == expected == listed["tables"][name]


def test_a_backup_without_changes_makes_no_new_restore_point(cloud: Cloud) -> None:
    fill(cloud)
    point = cloud.backup()
    for rows in ({"id": 1, "job": "Clerk"}, {"id": 2, "job": "Smith"}):
        assert cloud.post("/job/upload", rows).body["outcome"] == "unchanged"
    assert cloud.backup() == point


@pytest.mark.parametrize("route", ["hired_employee", "hired_employees"])
def test_a_restore_brings_deleted_and_changed_rows_back(cloud: Cloud, route: str) -> None:
    fill(cloud)
    cloud.backup()
    before = cloud.table("hired_employees")
    cloud.sql("DELETE FROM hired_employees WHERE id < 3")
    cloud.sql("UPDATE hired_employees SET name = 'Changed since'")
    assert cloud.backup()  # the next restore names no restore point, so it takes the newest one
    cloud.sql("DELETE FROM hired_employees")
    assert counts(cloud.restore(route)) == (1, 1, 0, 0, 0, 0)
    oldest = cloud.backups[-2]
    load = cloud.restore(route, oldest)
    assert (load["kind"], load["restore_point"]) == ("restore", oldest)
    assert counts(load) == (3, 2, 1, 0, 0, 0)
    assert cloud.table("hired_employees") == before
    assert (
        cloud.get("/department/hires/top/2021").body == []
    )  # only one department has hires in 2021, so its number of hires is the mean


def test_restored_rows_wait_until_their_parents_are_restored(cloud: Cloud) -> None:
    fill(cloud)
    cloud.backup()
    before = cloud.table("hired_employees")
    cloud.sql("DELETE FROM hired_employees WHERE department_id = 1; DELETE FROM departments WHERE id = 1")
    load = cloud.restore("hired_employee")
    assert counts(load) == (3, 0, 0, 1, 0, 2)
    assert {tuple(reject["reasons"]) for reject in cloud.rejects(load)} == {("department_id 1 does not exist",)}
    assert counts(cloud.restore("department")) == (2, 1, 0, 1, 0, 0)
    until(lambda: cloud.load(load["id"])["resolved"] == 2, "the rows that waited for department 1")
    assert cloud.table("hired_employees") == before


def test_a_restore_from_an_older_or_newer_point_brings_its_rows_back(cloud: Cloud) -> None:
    fill(cloud)
    older = cloud.backup()
    cloud.post("/department/upload", {"id": 1, "department": "Renamed"})
    cloud.post("/department/upload", {"id": 3, "department": "New"})
    newer = cloud.backup()
    assert counts(cloud.restore("department", older)) == (2, 0, 1, 1, 0, 0)
    assert cloud.table("departments") == [(1, "Sales"), (2, "Ops"), (3, "New")]
    cloud.restore("departments", newer)
    assert cloud.table("departments") == [(1, "Renamed"), (2, "Ops"), (3, "New")]
    points = cloud.restore_points()
    assert points.index(newer) < points.index(older)


def test_an_empty_database_is_backed_up_and_restored(cloud: Cloud) -> None:
    cloud.post("/job/upload", {"id": 1, "job": "Clerk"})
    cloud.sql("DELETE FROM jobs")
    point = cloud.backup()
    assert [records(cloud, point, name) for name in DATASETS] == [[] for _ in DATASETS]
    for dataset in DATASETS.values():
        assert counts(cloud.restore(dataset.route, point)) == (0, 0, 0, 0, 0, 0)


def test_a_restore_from_a_damaged_restore_point_changes_nothing(cloud: Cloud) -> None:
    fill(cloud)
    point = cloud.backup()
    body = file(cloud, point, "jobs.avro")
    damaged = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
    cloud.s3.put_object(Bucket=cloud.env["BACKUP_BUCKET"], Key=f"backups/{point}/jobs.avro", Body=damaged)
    cloud.sql("UPDATE jobs SET job = 'Now'")
    before = cloud.table("jobs")
    load = cloud.restore("job", point)
    assert (load["status"], load["inserted"], load["updated"]) == ("failed", 0, 0)
    assert "damaged" in load["error"]
    assert cloud.table("jobs") == before
    cloud.s3.put_object(Bucket=cloud.env["BACKUP_BUCKET"], Key=f"backups/{point}/jobs.avro", Body=body)


def test_backups_during_heavy_writes_are_consistent(cloud: Cloud) -> None:
    """Each round of a writer adds parents and then their employees. Then the round deletes rows of an earlier round,
    children before parents."""
    end = datetime.now(UTC) + timedelta(seconds=6)

    def write(worker: int) -> int:
        rounds = 0
        while datetime.now(UTC) < end:
            rounds += 1
            parent = worker * 10_000 + rounds
            cloud.post("/department/upload", {"id": parent, "department": f"Department {parent}"})
            cloud.post("/job/upload", {"id": parent, "job": f"Job {parent}"})
            rows = [
                {
                    "id": parent * 20 + i,
                    "name": "Ann",
                    "datetime": "2021-07-27",
                    "department_id": parent,
                    "job_id": parent,
                }
                for i in range(20)
            ]
            assert cloud.post("/hired_employee/upload/batch", {"data": rows}).body["inserted"] == 20
            if rounds > 3:
                old = parent - 3
                cloud.sql(
                    f"DELETE FROM hired_employees WHERE department_id = {old}; DELETE FROM departments WHERE id = {old}"
                )
        return rounds

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, worker) for worker in range(1, 4)]
        points = set()
        while not all(writer.done() for writer in writers):
            points.add(cloud.backup())
        assert sum(writer.result() for writer in writers) > 3
    assert len(points) > 1
    for point in points:
        departments, jobs = ({row[0] for row in records(cloud, point, name)} for name in ("departments", "jobs"))
        employees = records(cloud, point, "hired_employees")
        assert {row[3] for row in employees} <= departments
        assert {row[4] for row in employees} <= jobs
        rows_of_parents = {
            parent: sum(row[3] == parent for row in employees) for parent in {row[3] for row in employees}
        }
        assert set(rows_of_parents.values()) <= {20}  # a restore point has all rows of a batch or none


def test_a_large_file_is_loaded_backed_up_and_restored(cloud: Cloud) -> None:
    """The file is larger than every buffer. So a multipart upload has several parts, and the load has several
    portions."""
    cloud.post("/department/upload", {"id": 1, "department": "Sales"})
    cloud.post("/job/upload", {"id": 1, "job": "Clerk"})
    rows = 300_000
    text = "".join(f"{i},Name Number {i},2021-07-27T16:02:08Z,1,1\n" for i in range(1, rows + 1)).encode()
    load = cloud.upload("large/hired_employees.csv.gz", gzip.compress(text, 1))
    assert counts(load) == (rows, rows, 0, 0, 0, 0)
    point = cloud.backup()
    cloud.sql("DELETE FROM hired_employees WHERE id % 2 = 0")
    assert counts(cloud.restore("hired_employee", point)) == (rows, rows // 2, 0, rows // 2, 0, 0)
    assert cloud.get("/department/hires/quarterly/2021").body == [
        {"department": "Sales", "job": "Clerk", "q1": 0, "q2": 0, "q3": rows, "q4": 0}
    ]
