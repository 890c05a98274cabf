"""Tests the pruning of the history. Pruning deletes old loads, and never makes the product load a file twice."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.ingest.rows import SentRows, upload
from chalicelib.loads import announcements, claims
from chalicelib.recovery import landing_sweep, pruning
from chalicelib.recovery.landing_sweep import Patience
from chalicelib.recovery.pruning import BUDGET, LOCK, Budget
from tests.integration.landing import GRACE, Landing, Row
from tests.integration.s3_fixtures import ERRORED, LANDING

YEAR = timedelta(days=365)
OLD = "created_at = created_at - interval '366 days', queued_at = queued_at - interval '366 days'"
OLD += ", started_at = started_at - interval '366 days', finished_at = finished_at - interval '366 days'"


def age(landing: Landing, where: str = "true") -> None:
    """Make loads a year and a day older."""
    with landing.database.session() as session:
        session.run(f"UPDATE loads SET {OLD} WHERE {where}")


def request(landing: Landing, *rows: Row) -> int:
    """Send rows of departments, and return the id of their load."""
    sent = SentRows(DATASETS["departments"], list(rows) or [{"department": "Sales"}], "POST /department/upload")
    return upload(landing.database, landing.s3.storage, sent, grace=GRACE).load_id


def prune(landing: Landing, budget: Budget = BUDGET, unrestored: Callable[[], str | None] = lambda: None) -> int:
    return pruning.prune(landing.database, landing.s3.storage, YEAR, unrestored, budget)


def ids(landing: Landing) -> list[int]:
    return [load_id for [load_id] in landing.rows("SELECT id FROM loads ORDER BY id")]


def delete_versions(landing: Landing, *keys: str) -> None:
    """Delete all versions and delete markers of these keys, as lifecycle rules do."""
    listed: Any = landing.s3.client.list_object_versions(Bucket=LANDING)
    for entry in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
        if entry["Key"] in keys:
            landing.s3.client.delete_object(Bucket=LANDING, Key=entry["Key"], VersionId=entry["VersionId"])


def swept(landing: Landing) -> int:
    """Run a landing sweep that offers versions of any age, and load these versions. Return their number."""
    offered: list[Row] = []
    patience = Patience(age=timedelta(0), idle=timedelta(0))
    landing_sweep.sweep(landing.database, landing.s3.storage.landing, offered.append, restarted=True, patience=patience)
    for event in offered:
        landing.deliver(event)
    return len(offered)


def test_only_loads_older_than_the_retention_are_deleted(landing: Landing) -> None:
    old, new = request(landing), request(landing)
    age(landing, f"id = {old}")
    assert prune(landing) == 1
    assert ids(landing) == [new]
    assert prune(landing) == 0


def test_the_age_of_a_load_counts_from_its_end(landing: Landing) -> None:
    load = request(landing)
    age(landing)
    with landing.database.session() as session:
        session.run("UPDATE loads SET finished_at = now() - interval '364 days'")
    assert (prune(landing), ids(landing)) == (0, [load])


def test_a_load_stays_until_its_object_is_deleted(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    age(landing)
    assert prune(landing) == 0
    landing.s3.client.delete_object(Bucket=LANDING, Key="departments.csv")
    assert prune(landing) == 0, "the version still exists behind the delete marker"
    delete_versions(landing, "departments.csv")
    landing.put("departments.csv2", "")  # another key that begins with the same text
    assert (prune(landing), landing.loads()) == (1, 0)


def test_many_delete_markers_do_not_hide_a_version(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    age(landing)
    for _ in range(12):
        landing.s3.client.delete_object(Bucket=LANDING, Key="departments.csv")
    assert prune(landing) == 0
    delete_versions(landing, "departments.csv")
    assert prune(landing) == 1


def test_a_load_without_versioning_stays_until_its_object_is_deleted(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    event["Records"][0]["s3"]["object"]["versionId"] = "null"
    landing.deliver(event)
    age(landing)
    assert prune(landing) == 0
    delete_versions(landing, "departments.csv")
    assert prune(landing) == 1


def test_a_file_whose_load_is_old_is_never_loaded_again(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    landing.deliver(event)
    with landing.database.session() as session:
        session.run("UPDATE departments SET department = 'Marketing'")
    age(landing)
    assert (prune(landing), swept(landing), landing.loads()) == (0, 0, 1)
    landing.deliver(event)
    delete_versions(landing, "departments.csv")
    assert (prune(landing), swept(landing), landing.loads()) == (1, 0, 0)
    landing.deliver(event)  # S3 delivers the event once more, long after the object was deleted
    assert landing.load()["status"] == "failed"
    assert landing.rows("SELECT department FROM departments") == [("Marketing",)]


def test_an_older_version_never_overtakes_a_newer_one_whose_load_is_old(landing: Landing) -> None:
    older, newer = landing.put("departments.csv", "1,Old\n"), landing.put("departments.csv", "1,New\n")
    landing.deliver(newer)
    age(landing)
    version = newer["Records"][0]["s3"]["object"]["versionId"]
    landing.s3.client.delete_object(Bucket=LANDING, Key="departments.csv", VersionId=version)
    assert prune(landing) == 0, "the older version still exists"
    landing.deliver(older)
    assert landing.load()["status"] == "skipped"
    assert landing.rows("SELECT department FROM departments") == [("New",)]


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_unfinished_load_stays(landing: Landing, status: str) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    delete_versions(landing, "departments.csv")
    age(landing)
    with landing.database.session() as session:
        session.run("UPDATE loads SET status = :status", status=status)
    assert prune(landing) == 0


@pytest.mark.parametrize("end", ["expired", "cancelled", "given up"])
def test_a_load_whose_file_never_came_is_deleted(landing: Landing, end: str) -> None:
    with landing.database.session() as session:
        load_id, _ = announcements.queue_upload(session, DATASETS["jobs"], LANDING, "jobs.csv")
    age(landing)
    assert prune(landing) == 0
    with landing.database.session() as session:
        if end == "expired":
            assert announcements.expire_uploads(session, timedelta(hours=1)) == 1
        elif end == "cancelled":
            assert announcements.cancel_upload(session, load_id)
        else:
            assert claims.fail(session, load_id, "gave up", given_up=True)
    assert prune(landing) == 0
    age(landing)
    assert prune(landing) == 1


def test_a_load_with_waiting_rows_stays(landing: Landing) -> None:
    landing.upload("hired_employees.csv", "1,Ada,2021-01-01,1,1\n")
    delete_versions(landing, "hired_employees.csv")
    age(landing)
    assert prune(landing) == 0
    for dataset in ("departments", "jobs"):
        sent = SentRows(DATASETS[dataset], [{dataset[:-1]: "A"}], "api")
        upload(landing.database, landing.s3.storage, sent, grace=GRACE)
    assert landing.load(1)["resolved"] == 1
    assert prune(landing) == 1


def test_a_load_with_staged_rows_stays(landing: Landing) -> None:
    load = request(landing)
    with landing.database.session() as session:
        session.run(f"INSERT INTO staged_loads (load_id, etag) VALUES ({load}, 'x')")
        age(landing)
        assert prune(landing) == 0
        session.run("DELETE FROM staged_loads")
    assert prune(landing) == 1


def test_the_reject_file_and_the_open_rejects_go_with_their_load(landing: Landing) -> None:
    first, second = request(landing, {"id": 1}), request(landing, {"id": 2})
    age(landing, f"id = {first}")
    assert prune(landing) == 1
    assert landing.rows("SELECT load_id FROM open_rejects") == [(second,)]
    assert landing.s3.keys(ERRORED) == [landing.load(second)["errored_key"]]


def test_a_crash_after_the_deletion_of_the_reject_file_leaves_nothing_behind(landing: Landing) -> None:
    load = request(landing, {"id": 1})
    age(landing)
    landing.s3.client.delete_object(Bucket=ERRORED, Key=landing.load(load)["errored_key"])
    assert (prune(landing), ids(landing)) == (1, [])


def test_the_restore_that_the_next_backup_looks_for_stays(landing: Landing) -> None:
    load = request(landing)
    with landing.database.session() as session:
        session.run("UPDATE loads SET kind = 'restore', source = 's3://test-landing/restores/1/x', restore_point = 'p'")
    age(landing)
    assert prune(landing, unrestored=lambda: "p") == 0
    assert ids(landing) == [load]
    assert prune(landing, unrestored=lambda: "another") == 1


def test_a_load_of_another_bucket_stays(landing: Landing) -> None:
    request(landing)
    with landing.database.session() as session:
        session.run("UPDATE loads SET kind = 'csv', source = 's3://test-landing-2/departments.csv'")
    age(landing)
    assert prune(landing) == 0


def test_the_next_pruning_continues_after_the_last_lookup_and_then_begins_again(landing: Landing) -> None:
    for number in range(4):
        landing.upload(f"departments_{number}.csv", "1,Sales\n")
    age(landing)
    budget = Budget(lookups=2, page=3)
    assert [prune(landing, budget) for _ in range(2)] == [0, 0]
    assert landing.scalar("SELECT pruned_to FROM landing_sweep") == 0
    delete_versions(landing, *(f"departments_{number}.csv" for number in range(4)))
    assert [(prune(landing, budget), len(ids(landing))) for _ in range(3)] == [(2, 2), (2, 0), (0, 0)]


def test_a_key_is_looked_up_once(landing: Landing) -> None:
    for _ in range(3):
        landing.upload("departments.csv", "1,Sales\n")
    age(landing)
    delete_versions(landing, "departments.csv")
    landing.s3.calls.clear()
    assert prune(landing, Budget(lookups=1)) == 3
    assert [operation for operation, _ in landing.s3.calls] == ["ListObjectVersions"]


def test_requests_need_no_lookup_and_are_deleted_page_by_page(landing: Landing) -> None:
    for _ in range(5):
        request(landing)
    age(landing)
    young = request(landing)
    assert prune(landing, Budget(lookups=0, page=2)) == 5
    assert ids(landing) == [young]


def test_a_pruning_without_time_left_ends_after_one_page(landing: Landing) -> None:
    for _ in range(5):
        request(landing)
    age(landing)
    assert [prune(landing, Budget(seconds=0, page=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_pruning_without_time_left_sends_no_request(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    delete_versions(landing, "departments.csv")
    request(landing)
    age(landing)
    landing.s3.calls.clear()
    assert (prune(landing, Budget(seconds=0)), landing.s3.calls) == (0, [])
    assert prune(landing) == 2


def test_loads_with_a_time_in_the_future_do_not_hide_old_loads(landing: Landing) -> None:
    for _ in range(5):
        request(landing)
    age(landing, "id > 3")
    with landing.database.session() as session:
        session.run("UPDATE loads SET created_at = now() + interval '1 year' WHERE id <= 3")
    assert (prune(landing, Budget(page=2)), ids(landing)) == (2, [1, 2, 3])


def test_an_unavailable_bucket_delays_the_pruning_but_does_not_stop_it(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    request(landing)
    age(landing)

    def away(operation: str, _key: str) -> None:
        raise ConnectionResetError

    landing.s3.before = away
    assert (prune(landing), landing.loads()) == (0, 2)
    assert (prune(landing), landing.loads()) == (1, 1)


def test_only_one_pruning_runs_at_a_time(landing: Landing, database_url: str) -> None:
    request(landing)
    age(landing)
    with closing(Database(database_url, tls="disable")) as other, other.session() as session:
        session.run("SELECT pg_advisory_lock({}, {})".format(*LOCK))
        assert prune(landing) == 0
        session.run("SELECT pg_advisory_unlock_all()")
    assert prune(landing) == 1


def test_a_load_that_is_reopened_meanwhile_stays(landing: Landing, database_url: str) -> None:
    landing.give_up(landing.put("departments.csv", "1,Sales\n"))
    delete_versions(landing, "departments.csv")
    age(landing)

    def reopen(operation: str, _key: str) -> None:
        if operation == "ListObjectVersions":
            with closing(Database(database_url, tls="disable")) as other, other.session() as session:
                session.run("UPDATE loads SET status = 'queued', given_up = false, finished_at = NULL")

    landing.s3.before = reopen
    assert (prune(landing), landing.loads()) == (0, 1)


def test_many_waiting_rows_are_not_read_once_for_each_load(landing: Landing) -> None:
    for _ in range(40):
        request(landing)
    age(landing)
    with landing.database.session() as session:
        session.run(
            'INSERT INTO orphans (dataset, id, load_id, "row")'
            " SELECT 'hired_employees', n, 1 + n % 2, '{}' FROM generate_series(1, 20000) n; ANALYZE orphans"
        )
        assert prune(landing) == 38
        session.run("SELECT pg_stat_force_next_flush()")
        assert session.scalar("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'orphans'") <= 2 * 20_000
