"""Delivers events more than once and in any order, lets workers crash, and tests that their loads are retried."""

import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import DatabaseUnavailable, LoadBusy
from chalicelib.ingest import orphans
from chalicelib.ingest.rows import SentRows, upload
from chalicelib.loads import object_versions
from chalicelib.recovery import upkeep
from infra.local.postgres import Postgres
from infra.local.provision import connect
from infra.venv import ROOT
from tests.e2e.cloud import until
from tests.integration.landing import GRACE, Landing, Row, counts

# A sequence counts the merges. It also counts those that are rolled back.
CANCEL_THE_FIRST_MERGE = """
    CREATE SEQUENCE merges;
    CREATE FUNCTION cancel_merge() RETURNS trigger AS $$
    BEGIN
        IF nextval('merges') = 1 THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF;
        RETURN NEW;
    END $$ LANGUAGE plpgsql;
    CREATE TRIGGER cancelled BEFORE UPDATE ON loads FOR EACH ROW
        WHEN (NEW.status = 'succeeded' AND OLD.status <> 'succeeded') EXECUTE FUNCTION cancel_merge();
    ALTER TABLE loads ENABLE ALWAYS TRIGGER cancelled
"""


class Struck(Exception):
    """The exception that a test raises inside a request to S3."""


def test_the_same_event_twice_is_one_load(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    landing.deliver(event)
    first = landing.load()
    landing.deliver(event)
    assert landing.loads() == 1
    assert landing.load() == first


def test_a_new_object_version_gets_a_new_load(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("departments.csv", "1,Sales and more\n")
    assert landing.loads() == 2
    assert landing.rows("SELECT * FROM departments") == [(1, "Sales and more")]


def use_one_sequencer(*events: Row) -> None:
    """Give all events the same sequencer, as some S3 implementations do. Then only the order of the versions in the
    bucket shows which of them is newer."""
    for event in events:
        event["Records"][0]["s3"]["object"]["sequencer"] = "0055AED6DCD90281E5"


@pytest.mark.parametrize("sequencers", ["those of S3", "all the same"])
def test_an_older_version_that_arrives_late_is_skipped(landing: Landing, sequencers: str) -> None:
    older, newer = landing.put("departments.csv", "1,Old\nx,y\n"), landing.put("departments.csv", "1,New\n")
    if sequencers == "all the same":
        use_one_sequencer(older, newer)
    landing.deliver(newer)
    landing.deliver(older)
    load = landing.load()
    assert (load["status"], load["error"]) == ("skipped", "a newer version of the object has been loaded")
    assert counts(load) == (0, 0, 0, 0, 0, 0)
    assert landing.rows("SELECT * FROM departments") == [(1, "New")]
    assert landing.s3.keys("test-errored") == []


@pytest.mark.parametrize("sequencers", ["those of S3", "all the same"])
def test_the_newest_version_is_loaded_even_if_its_event_arrived_first(landing: Landing, sequencers: str) -> None:
    """The event of the newest version arrives first. The first attempt of its load fails. The second attempt loads the
    version, after an older version has been loaded."""
    oldest, middle, newest = (landing.put("departments.csv", f"1,{name}\n") for name in ("Oldest", "Middle", "Newest"))
    if sequencers == "all the same":
        use_one_sequencer(oldest, middle, newest)

    def fail_reads(operation: str, _key: str) -> None:
        if operation == "GetObject":
            raise Struck

    landing.s3.before = fail_reads
    with pytest.raises(Struck):
        landing.deliver(newest)
    landing.s3.before = None
    for event in (oldest, newest, middle):
        landing.deliver(event)
    assert landing.rows("SELECT status FROM loads ORDER BY id") == [("succeeded",), ("succeeded",), ("skipped",)]
    assert landing.rows("SELECT * FROM departments") == [(1, "Newest")]


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [("0A", "0B", -1), ("0B", "0A", 1), ("0A", "0a", 0), ("0A", "0A1", -1), ("0A", "0A00", 0), (None, "0A", 0)],
)
def test_sequencers_are_compared_after_padding(one: str | None, other: str | None, order: int) -> None:
    assert object_versions.compare_sequencers(one, other) == order


def test_a_load_that_another_worker_has_claimed_is_retried_later(landing: Landing, database_url: str) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    landing.deliver(event)
    load = landing.load()
    other = Database(database_url, tls="disable")
    with other.session() as session:
        session.run("UPDATE loads SET status = 'running'")
        session.run("SELECT pg_advisory_lock(:id)", id=load["id"])
        with pytest.raises(LoadBusy):
            landing.deliver(event, busy_wait=0.1)
    assert landing.load()["attempts"] == 1
    other.close()  # as if the worker had died: Postgres releases a lock when its connection ends
    landing.deliver(event)
    assert (landing.load()["status"], landing.load()["attempts"]) == ("succeeded", 2)


def test_the_last_retry_waits_until_postgres_notices_that_a_worker_died(
    landing: Landing, database: Database, database_url: str
) -> None:
    """If the last retry did not wait, the load would have no worker, because Lambda would not retry the event again."""
    event = landing.put("departments.csv", "1,Sales\n")
    landing.deliver(event)
    with database.session() as session:
        session.run("UPDATE loads SET status = 'running'")
    dead = Database(database_url, tls="disable")
    with dead.session() as session:
        session.run("SELECT pg_advisory_lock(:id)", id=landing.load()["id"])
    retry = threading.Thread(target=landing.deliver, args=(event,))
    retry.start()
    watch = Database(database_url, tls="disable")
    with watch.session() as session:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
        until(lambda: session.scalar(waiting) == 1, "the retry")
        dead.close()
    watch.close()
    retry.join()
    assert (landing.load()["status"], landing.load()["attempts"]) == ("succeeded", 2)


WORKER = """
import sys, time
from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.loads import claims
from chalicelib.loads.object_versions import ObjectCreated

with Database(sys.argv[1], tls="disable").session() as session:
    created = ObjectCreated("departments.csv", "s3://landing/departments.csv", "v1", "v1", None)
    claim = claims.claim(session, created, DATASETS["departments"], "csv")
    print(claim.load_id, flush=True)
    waiting, working = "LOCK TABLE departments IN SHARE ROW EXCLUSIVE MODE", "SELECT pg_sleep(90)"
    session.run("BEGIN; " + waiting if sys.argv[2] == "waiting" else working)
"""
UNDER_WAY = (
    "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(90)'"
    " OR (query LIKE 'BEGIN; LOCK TABLE%' AND wait_event = 'relation')"
)


@pytest.mark.parametrize("what", ["waiting", "working"])
def test_a_killed_worker_holds_its_load_for_seconds_only(database: Database, database_url: str, what: str) -> None:
    """When the worker is killed, Postgres is executing a statement of this worker. The statement waits for another
    load, or runs for minutes. Postgres must notice the dead worker in both cases."""
    with closing(Database(database_url, tls="disable")) as blocker, database.session() as session:
        with blocker.session() as holder:
            holder.run("BEGIN; LOCK TABLE departments IN SHARE ROW EXCLUSIVE MODE")
        command = [sys.executable, "-c", WORKER, database_url, what]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            load_id = int(worker.stdout.readline())
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = CAST(:id AS oid)"
            until(lambda: session.scalar(UNDER_WAY), "the worker's statement")
            assert session.scalar(held, id=load_id) == 1
            worker.kill()
        until(lambda: session.scalar(held, id=load_id) == 0, "the end of the claim", seconds=15)


def test_a_worker_whose_host_vanished_is_noticed_within_half_a_minute(landing: Landing, database: Database) -> None:
    """No packet tells Postgres that the host has vanished, so Postgres has to probe the connection. By default,
    operating systems begin to probe only after one or two hours."""
    landing.upload("departments.csv", "1,Sales\n")
    with database.session() as session:
        idle, interval, count = (
            int(session.scalar(f"SHOW tcp_keepalives_{name}")) for name in ("idle", "interval", "count")
        )
    assert idle + interval * count <= 30


def test_a_failed_attempt_leaves_only_the_count_of_attempts(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\nx,y\n")

    def fail_writes(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise Struck

    landing.s3.before = fail_writes
    with pytest.raises(Struck):
        landing.deliver(event)
    load = landing.load()
    assert (load["status"], load["attempts"], load["received"]) == ("queued", 1, 0)
    assert landing.scalar("SELECT count(*) FROM departments") == 0
    landing.s3.before = None
    landing.deliver(event)
    assert (landing.load()["status"], landing.load()["attempts"]) == ("succeeded", 2)
    assert landing.s3.keys("test-errored") == [landing.load()["errored_key"]]


def test_the_third_failure_is_final(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    load = landing.give_up(event)
    assert (load["status"], load["attempts"]) == ("failed", 3)
    assert load["error"].startswith("gave up after 3 attempts: ")


def test_an_attempt_without_rejects_removes_the_reject_file_of_an_earlier_attempt(
    landing: Landing, database: Database
) -> None:
    """The worker of the first attempt has stored the reject file and has died before its commit."""
    event = landing.put("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")

    def die_after_the_file(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith("hired_employees/"):
            landing.s3.before = None
            landing.s3.client.put_object(Bucket="test-errored", Key=key, Body=b"stale")
            raise Struck

    landing.s3.before = die_after_the_file
    with pytest.raises(Struck):
        landing.deliver(event)
    assert len(landing.s3.keys("test-errored")) == 1
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
    landing.deliver(event)
    assert counts(landing.load()) == (1, 1, 0, 0, 0, 0)
    assert landing.s3.keys("test-errored") == []


def test_the_load_of_a_deleted_version_fails(landing: Landing) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    version = event["Records"][0]["s3"]["object"]["versionId"]
    landing.s3.client.delete_object(Bucket="test-landing", Key="departments.csv", VersionId=version)
    landing.deliver(event)
    assert (landing.load()["status"], landing.load()["error"]) == ("failed", "the object no longer exists")


def test_the_sweep_gives_up_abandoned_loads(landing: Landing, database: Database) -> None:
    landing.deliver(landing.put("departments.csv", "1,Sales\n"))

    def failed(change: str) -> int:
        with database.session() as session:
            session.run(change)
        return upkeep.sweep(database, landing.s3.storage, grace=GRACE).failed

    assert failed("") == 0
    assert failed("UPDATE loads SET status = 'running', attempts = 3") == 1
    assert failed("UPDATE loads SET status = 'queued', attempts = 1") == 0
    assert failed("UPDATE loads SET queued_at = now() - interval '7 hours'") == 1
    assert landing.load()["status"] == "failed"


def test_a_load_that_was_given_up_leaves_no_reject_file_behind(landing: Landing, database: Database) -> None:
    """In each of the three attempts, the worker has died after it stored the reject file and before it committed."""
    landing.upload("departments.csv", "1,Sales\nx,y\n")
    assert len(landing.s3.keys("test-errored")) == 1
    with database.session() as session:
        session.run("UPDATE loads SET status = 'running', attempts = 3")
    assert upkeep.sweep(database, landing.s3.storage, grace=GRACE).failed == 1
    assert landing.s3.keys("test-errored") == []


def test_the_sweep_removes_reject_files_that_no_load_names(
    landing: Landing, database: Database, postgres: Postgres
) -> None:
    """The test makes two such files. After the first file was stored, the commit of its request failed. The second file
    belongs to a failed load and could not be deleted."""
    kept = landing.upload("departments.csv", "1,Sales\nx,y\n")["errored_key"]
    departments, storage = DATASETS["departments"], landing.s3.storage

    def lose_the_connection(operation: str, _key: str) -> None:
        if operation == "PutObject":
            with connect(postgres.superuser_url) as admin:
                admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hireflow'")

    landing.s3.before = lose_the_connection
    with pytest.raises(DatabaseUnavailable):
        upload(database, storage, SentRows(departments, [{"id": 2, "department": ""}], "api"), grace=GRACE)
    landing.s3.before = None
    failed = landing.upload("departments_2.csv", "2,Ops\nx,y\n")
    running = landing.upload("departments_3.csv", "3,Law\nx,y\n")
    with database.session() as session:
        session.run("UPDATE loads SET status = 'failed', errored_key = NULL WHERE id = :id", id=failed["id"])
        session.run("UPDATE loads SET status = 'running', errored_key = NULL WHERE id = :id", id=running["id"])
    assert len(landing.s3.keys("test-errored")) == 4
    assert upkeep.sweep(database, storage, grace=GRACE).removed == 0  # both are too new
    assert upkeep.sweep(database, storage, grace=GRACE, stray_wait=timedelta(0)).removed == 2
    assert landing.s3.keys("test-errored") == sorted([kept, running["errored_key"]])


def test_a_merge_that_is_retried_stores_its_rejects_once(landing: Landing, database: Database) -> None:
    """Postgres cancels the first merge, as it does to end a deadlock. The reject file was stored before."""
    event = landing.put("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    with database.session() as session:
        session.run(CANCEL_THE_FIRST_MERGE)
    try:
        landing.deliver(event)
        with database.session() as session:
            assert session.scalar("SELECT last_value FROM merges") == 2
    finally:
        with database.session() as session:
            session.run("DROP TRIGGER cancelled ON loads; DROP FUNCTION cancel_merge; DROP SEQUENCE merges")
    stored = [key for operation, key in landing.s3.calls if operation == "PutObject" and key.endswith(".ndjson")]
    assert len(stored) == 1
    assert landing.load()["attempts"] == 1
    assert counts(landing.load()) == (1, 0, 0, 0, 0, 1)
    assert len(landing.rejects(landing.load())) == 1


def test_objects_are_distinguished_in_a_bucket_with_suspended_versioning(landing: Landing) -> None:
    for name in ("First", "Second"):
        event = landing.put("departments.csv", f"1,{name}\n")
        event["Records"][0]["s3"]["object"]["versionId"] = "null"
        landing.deliver(event)
    assert landing.loads() == 2
    assert landing.scalar("SELECT department FROM departments") == "Second"


EMPLOYEES = "1,Ann,2021-07-27T16:02:08Z,1,1\n2,Bo,2021-07-28,1,9\n3,Cy,2021-07-29,2,1\n3,Cyd,2021-07-29,1,1\n"


def test_files_load_in_any_order(landing: Landing) -> None:
    first = landing.upload("hired_employees.csv", EMPLOYEES)
    assert counts(first) == (4, 0, 0, 0, 0, 4)
    landing.upload("jobs.csv", "1,Clerk\n")
    assert landing.scalar("SELECT count(*) FROM hired_employees") == 0
    landing.upload("departments.csv", "1,Sales\n")
    assert landing.rows("SELECT id, name FROM hired_employees ORDER BY id") == [(1, "Ann"), (3, "Cyd")]
    assert landing.load(first["id"])["resolved"] == 3  # both rows with the id 3
    landing.upload("jobs_2.csv", "9,Smith\n")
    assert landing.scalar("SELECT name FROM hired_employees WHERE id = 2") == "Bo"
    assert landing.load(first["id"])["resolved"] == 4
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


def test_a_later_row_with_the_same_id_replaces_a_waiting_row(landing: Landing) -> None:
    landing.upload("jobs.csv", "1,Clerk\n")
    landing.upload("departments.csv", "1,Sales\n")
    orphaned = landing.upload("hired_employees_1.csv", "7,Old,2021-07-27,5,1\n")
    landing.upload("hired_employees_2.csv", "7,New,2021-07-27,1,1\n")
    landing.upload("departments_2.csv", "5,Late\n")
    assert landing.scalar("SELECT name FROM hired_employees") == "New"
    assert landing.load(orphaned["id"])["resolved"] == 1


def test_the_newest_waiting_row_of_an_id_is_stored(landing: Landing) -> None:
    landing.upload("jobs.csv", "1,Clerk\n")
    first = landing.upload("hired_employees_1.csv", "7,Old,2021-07-27,5,1\n")
    second = landing.upload("hired_employees_2.csv", "7,New,2021-07-27,5,1\n7,Newest,2021-07-27,5,1\n")
    landing.upload("departments.csv", "5,Late\n")
    assert landing.scalar("SELECT name FROM hired_employees") == "Newest"
    assert [landing.load(load["id"])["resolved"] for load in (first, second)] == [1, 2]


def test_waiting_rows_expire_after_the_grace_period(landing: Landing, database: Database) -> None:
    landing.upload("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    with database.session() as session:
        session.run("UPDATE orphans SET rejected_at = now() - interval '20 minutes'")
    landing.upload("departments.csv", "1,Sales\n")
    assert landing.scalar("SELECT count(*) FROM hired_employees") == 0
    with database.session() as session:
        orphans.heal_all(session, timedelta(minutes=15))
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


def test_a_waiting_row_whose_load_missed_its_parents_is_stored_later(landing: Landing, database: Database) -> None:
    load = landing.upload("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    with database.session() as session:  # writes the parents without a load, because a load would heal the waiting rows
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
        assert orphans.heal_all(session, timedelta(minutes=15)) == 1
    assert landing.load(load["id"])["resolved"] == 1


def test_a_load_rechecks_the_parents_of_only_its_own_waiting_rows(landing: Landing, database: Database) -> None:
    """If a load also looked for the parents of other loads' waiting rows, every load would be slower. The sweep looks
    for them."""
    landing.upload("jobs.csv", "1,Clerk\n")
    first = landing.upload("hired_employees_1.csv", "1,Ann,2021-07-27,5,1\n")
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (5, 'Written by hand')")  # not by a load
    landing.upload("hired_employees_2.csv", "2,Bo,2021-07-27,5,1\n3,Cy,2021-07-27,6,1\n")
    assert landing.rows("SELECT id FROM hired_employees ORDER BY id") == [(2,)]
    assert upkeep.sweep(database, landing.s3.storage, grace=GRACE).healed == 1
    assert landing.load(first["id"])["resolved"] == 1
