"""Tests how a restore is loaded. A restore request copies a file into the landing bucket. The copy is loaded with the
same rules as any other file."""

import io
from datetime import timedelta
from typing import Any

import fastavro
import pytest

from chalicelib.backups.restore import RestoreOrder, order_restore
from chalicelib.backups.run import run_backup
from chalicelib.core.datasets import DATASETS
from tests.integration.landing import Landing, Row, counts
from tests.integration.s3_fixtures import BACKUP, LANDING

EMPLOYEES = (
    "1,Ann,2021-07-27T16:02:08.123456Z,1,1\n2,Bo,0001-01-01T00:00:00Z,2,1\n3,日本 😀,9999-12-31T23:59:59.999999Z,1,2\n"
)


@pytest.fixture
def filled(landing: Landing) -> Landing:
    landing.upload("departments.csv", "1,Sales\n2,Ops\n")
    landing.upload("jobs.csv", "1,Clerk\n2,Smith\n")
    landing.upload("hired_employees.csv", EMPLOYEES)
    return landing


def back_up(landing: Landing) -> str:
    return str(run_backup(landing.database, landing.s3.storage, retention=timedelta(days=30)).restore_point)


def order(landing: Landing, name: str, restore_point: str | None = None) -> tuple[RestoreOrder, Row]:
    """Request a restore. Return the result of the request, and the event of the copied file."""
    response = order_restore(landing.database, landing.s3.storage, DATASETS[name], restore_point)
    key = f"restores/{response.load_id}/{name}.avro"
    head = landing.s3.client.head_object(Bucket=LANDING, Key=key)
    item = {"key": key, "versionId": head["VersionId"], "eTag": head["ETag"], "sequencer": "0A"}
    return response, {"Records": [{"s3": {"bucket": {"name": LANDING}, "object": item}}]}


def restore(landing: Landing, name: str, restore_point: str | None = None) -> Row:
    response, event = order(landing, name, restore_point)
    landing.deliver(event)
    return landing.load(response.load_id)


def run(landing: Landing, sql: str) -> None:
    with landing.database.session() as session:
        session.run(sql)


def test_a_restore_brings_back_deleted_and_changed_rows_and_keeps_new_rows(filled: Landing) -> None:
    before = filled.rows("SELECT * FROM hired_employees ORDER BY id")
    back_up(filled)
    run(filled, "DELETE FROM hired_employees WHERE id = 3; UPDATE hired_employees SET name = 'X' WHERE id = 1")
    filled.upload("hired_employees_new.csv", "4,New,2022-01-01,1,1\n")
    load = restore(filled, "hired_employees")
    assert (load["kind"], load["status"], load["attempts"]) == ("restore", "succeeded", 1)
    assert counts(load) == (3, 1, 1, 1, 0, 0)
    assert filled.rows("SELECT * FROM hired_employees WHERE id < 4 ORDER BY id") == before
    assert filled.scalar("SELECT name FROM hired_employees WHERE id = 4") == "New"


def test_restored_rows_without_parents_wait_for_them(filled: Landing) -> None:
    back_up(filled)
    run(filled, "DELETE FROM hired_employees WHERE department_id = 1; DELETE FROM departments WHERE id = 1")
    load = restore(filled, "hired_employees")
    assert counts(load) == (3, 0, 0, 1, 0, 2)
    first, second = sorted(filled.rejects(load), key=lambda reject: str(reject["row"]["id"]))
    assert first["line"] != second["line"]
    assert (first["row"]["id"], first["reasons"]) == ("1", ["department_id 1 does not exist"])
    assert second["row"] == {
        "id": "3",
        "name": "日本 😀",
        "datetime": "9999-12-31T23:59:59.999999+00:00",
        "department_id": "1",
        "job_id": "2",
    }
    restore(filled, "departments")
    assert filled.scalar("SELECT count(*) FROM hired_employees") == 3
    assert filled.load(load["id"])["resolved"] == 2


def test_an_older_restore_point_restores_the_older_values(filled: Landing) -> None:
    older = back_up(filled)
    run(filled, "UPDATE departments SET department = 'Renamed' WHERE id = 1")
    newer = back_up(filled)
    run(filled, "UPDATE departments SET department = 'Again' WHERE id = 1")
    restore(filled, "departments", older)
    assert filled.scalar("SELECT department FROM departments WHERE id = 1") == "Sales"
    restore(filled, "departments", newer)
    assert filled.scalar("SELECT department FROM departments WHERE id = 1") == "Renamed"


def test_a_copy_that_is_delivered_twice_is_one_load(filled: Landing) -> None:
    back_up(filled)
    loads = filled.loads()
    response, event = order(filled, "jobs")
    for _ in range(2):
        filled.deliver(event)
    assert filled.loads() == loads + 1
    assert filled.load(response.load_id)["attempts"] == 1


def test_a_restore_that_was_given_up_stays_so_although_its_object_arrives(filled: Landing) -> None:
    back_up(filled)
    response, event = order(filled, "departments")
    run(filled, f"UPDATE loads SET status = 'failed' WHERE id = {response.load_id}; DELETE FROM hired_employees")
    run(filled, "DELETE FROM departments")
    before = filled.loads()
    filled.deliver(event)
    assert filled.loads() == before
    assert filled.load(response.load_id)["status"] == "failed"
    assert filled.scalar("SELECT count(*) FROM departments") == 0


@pytest.mark.parametrize("damage", ["flipped", "swapped"])
def test_a_file_that_differs_from_the_manifest_changes_nothing(filled: Landing, damage: str) -> None:
    point = back_up(filled)
    key = f"backups/{point}/jobs.avro"
    whole = filled.s3.client.get_object(Bucket=BACKUP, Key=key)["Body"].read()
    if damage == "swapped":
        run(filled, "UPDATE jobs SET job = 'Other'")
        other = back_up(filled)
        whole = filled.s3.client.get_object(Bucket=BACKUP, Key=f"backups/{other}/jobs.avro")["Body"].read()
        run(filled, "UPDATE jobs SET job = 'Now'")
    else:
        whole = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    filled.s3.client.put_object(Bucket=BACKUP, Key=key, Body=whole)
    before = filled.rows("SELECT * FROM jobs ORDER BY id")
    load = restore(filled, "jobs", point)
    assert load["status"] == "failed"
    assert "damaged" in load["error"]
    assert load["error"].endswith("; request the restore again, or restore another restore point")
    assert filled.rows("SELECT * FROM jobs ORDER BY id") == before


def avro(fields: list[tuple[str, Any]], rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    schema = {"type": "record", "name": "r", "fields": [{"name": n, "type": t} for n, t in fields]}
    fastavro.writer(file, schema, rows)
    return file.getvalue()


def test_an_avro_file_of_another_writer_is_loaded_under_the_rules(landing: Landing) -> None:
    rows = [(1, "Sales"), (0, "Zero"), (2, "  "), (3, " Ops "), (3, 'New "O", ps'), (-5, "x" * 10_001)]
    body = avro([("id", "int"), ("department", "string")], [{"id": i, "department": d} for i, d in rows])
    load = landing.upload("from_elsewhere/departments_2020.avro", body)
    assert (load["kind"], load["status"]) == ("avro", "succeeded")
    assert counts(load) == (6, 2, 0, 0, 1, 3)
    assert landing.rows("SELECT * FROM departments ORDER BY id") == [(1, "Sales"), (3, 'New "O", ps')]
    assert {reject["line"]: reject["fields"] for reject in landing.rejects(load)} == {
        2: ["id"],
        3: ["department"],
        6: ["id", "department"],
    }


@pytest.mark.parametrize("body", [b"", b"1,Sales\n", avro([("id", "int"), ("job", "string")], [])])
def test_a_file_that_is_no_avro_file_of_the_dataset_fails(landing: Landing, body: bytes) -> None:
    load = landing.upload("departments.avro", body)
    assert load["status"] == "failed"
    assert "Avro" in load["error"]


def test_an_empty_database_is_backed_up_and_restored(landing: Landing) -> None:
    back_up(landing)
    for name in DATASETS:
        load = restore(landing, name)
        assert (load["status"], load["received"]) == ("succeeded", 0)
