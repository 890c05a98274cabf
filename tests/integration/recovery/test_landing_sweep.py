"""Tests the landing sweep. The sweep offers objects whose events never came, and objects of loads without a worker. It
offers no other objects."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import DatabaseUnavailable, LoadGivenUp, NotFound
from chalicelib.ingest.events import created_objects
from chalicelib.loads import announcements, claims
from chalicelib.loads.announcements import NEVER_CAME
from chalicelib.migrations.migrate import upgrade
from chalicelib.recovery import landing_sweep, upkeep
from chalicelib.recovery.landing_sweep import KNOWN, LOCK, Budget, Patience
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.landing import GRACE, Landing, Row
from tests.integration.s3_fixtures import LANDING

IMPATIENT = Patience(age=timedelta(0), idle=timedelta(0))
ALL_AT_ONCE = Budget(at_once=10**6)


class Function:
    """Replaces the `ingest` function. It collects the offered events, and `work` loads their objects."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self.offered: list[Row] = []
        self.error: Exception | None = None

    def __call__(self, event: Row) -> None:
        if self.error:
            raise self.error
        self.offered.append(event)

    def work(self) -> None:
        events, self.offered = self.offered, []
        for event in events:
            self.landing.deliver(event)


@pytest.fixture
def function(landing: Landing) -> Function:
    return Function(landing)


def sweep(function: Function, **how: Any) -> int:
    """Run a sweep with the arguments `how`. By default, the sweep offers versions of any age, all at once."""
    landing = function.landing
    how = {"patience": IMPATIENT, "budget": ALL_AT_ONCE, **how}
    return landing_sweep.sweep(landing.database, landing.s3.storage.landing, function, **how)


def run(landing: Landing, sql: str) -> None:
    with landing.database.session() as session:
        session.run(sql)


def run_rows(landing: Landing, sql: str) -> list[list[Any]]:
    with landing.database.session() as session:
        return session.run(sql)


@pytest.fixture
def other(database_url: str) -> Iterator[Database]:
    """Return a database with another connection, for another worker."""
    opened = Database(database_url, tls="disable")
    yield opened
    opened.close()


# --- objects


@pytest.mark.parametrize("key", ["departments.csv", "a/b c/departments+x%20é.csv", "departments.csv.gz"])
def test_an_object_whose_event_was_lost_is_loaded_once(landing: Landing, function: Function, key: str) -> None:
    event = landing.put(key, "1,Sales\n")
    assert sweep(function) == 1
    [offered], [lost] = (list(created_objects(of)) for of in (function.offered[0], event))
    assert (offered.source, offered.version, offered.version_id) == (lost.source, lost.version, lost.version_id)
    function.work()
    assert (landing.load()["status"], landing.loads()) == ("succeeded", 1)
    assert sweep(function) == 0
    landing.deliver(event)  # the event arrives late
    assert landing.loads() == 1


def test_only_the_sweep_after_a_restart_offers_a_young_object(landing: Landing, function: Function) -> None:
    landing.put("departments.csv", "1,Sales\n")
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0
    assert sweep(function, patience=landing_sweep.PATIENCE, restarted=True) == 1


def test_an_object_from_before_the_start_time_is_not_offered(landing: Landing, function: Function) -> None:
    landing.put("departments.csv", "1,Sales\n")
    run(landing, "UPDATE landing_sweep SET starts_at = now() + interval '1 second'")
    assert (sweep(function), sweep(function, restarted=True)) == (0, 0)


def test_an_object_that_was_deleted_is_not_offered(landing: Landing, function: Function) -> None:
    for key in ("departments.csv", "departments_2.csv", "departments_3.csv"):
        landing.put(key, "1,Old\n")
    landing.s3.client.delete_object(Bucket=LANDING, Key="departments.csv")
    landing.s3.client.delete_object(Bucket=LANDING, Key="departments_2.csv")
    landing.put("departments_2.csv", "1,New\n")  # this key was deleted and then stored again
    assert sweep(function) == 3
    assert {created.key for event in function.offered for created in created_objects(event)} == {
        "departments_2.csv",
        "departments_3.csv",
    }


def test_folders_are_ignored_and_foreign_objects_fail_once(landing: Landing, function: Function) -> None:
    landing.put("departments.csv/", "")
    landing.put("notes.txt", "hello")
    assert sweep(function) == 1
    function.work()
    assert landing.load()["status"] == "failed"
    assert sweep(function) == 0


@pytest.mark.parametrize("status", ["queued", "running", "succeeded", "failed", "skipped"])
def test_a_version_that_has_a_load_is_not_offered(landing: Landing, function: Function, status: str) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    run(landing, f"UPDATE loads SET status = '{status}'")
    assert sweep(function, patience=Patience(age=timedelta(0))) == 0


def test_versions_are_offered_oldest_first_and_the_newest_one_wins(landing: Landing, function: Function) -> None:
    for name in ("Old", "Newer", "Newest"):
        landing.put("departments.csv", f"1,{name}\n")
    assert sweep(function) == 3
    function.work()
    assert landing.rows("SELECT status FROM loads ORDER BY id") == [("succeeded",)] * 3
    assert landing.rows("SELECT department FROM departments") == [("Newest",)]


def test_an_older_version_that_is_offered_late_is_skipped(landing: Landing, function: Function) -> None:
    landing.put("departments.csv", "1,Old\n")
    landing.upload("departments.csv", "1,New\n")
    assert sweep(function) == 1
    function.work()
    assert landing.load()["status"] == "skipped"
    assert landing.rows("SELECT department FROM departments") == [("New",)]


def test_the_late_event_of_a_version_is_skipped_if_a_newer_version_has_been_loaded(
    landing: Landing, function: Function
) -> None:
    """The sweep does not know the sequencers of the versions that it offers, so it takes the order from the bucket's
    list."""
    landing.upload("departments.csv", "1,Oldest\n")
    late = landing.put("departments.csv", "1,Older\n")
    landing.put("departments.csv", "1,Newest\n")
    assert sweep(function) == 2
    landing.deliver(function.offered[1])
    landing.deliver(late)
    assert landing.rows("SELECT status FROM loads ORDER BY id") == [("succeeded",), ("succeeded",), ("skipped",)]
    assert landing.rows("SELECT department FROM departments") == [("Newest",)]


def test_a_bucket_without_versioning_is_compared_by_etag(landing: Landing, function: Function) -> None:
    landing.s3.client.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Suspended"})
    came, lost = landing.put("departments.csv", "1,Sales\n"), landing.put("jobs.csv", "1,Clerk\n")
    assert lost["Records"][0]["s3"]["object"]["versionId"] == "null"
    landing.deliver(came)
    assert sweep(function) == 1
    function.work()
    assert landing.rows("SELECT job FROM jobs") == [("Clerk",)]
    assert sweep(function) == 0


# --- announced loads, which exist before their objects


def test_a_restore_whose_event_was_lost_is_offered_and_not_given_up(landing: Landing, function: Function) -> None:
    with landing.database.session() as session:
        load_id, key = announcements.queue_restore(session, DATASETS["jobs"], LANDING, "20210727T160208Z", "0" * 64)
        session.run("UPDATE loads SET queued_at = now() - interval '1 hour'")
    landing.put(key, "damaged")
    assert sweep(function) == 1
    assert upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE).failed == 0
    function.work()
    load = landing.load()
    assert (load["id"], load["status"], landing.loads()) == (load_id, "failed", 1)
    assert "gave up" not in load["error"]


@pytest.mark.parametrize("restarted", [True, False])
def test_a_restore_that_the_sweep_has_not_reached_is_not_given_up_after_an_outage(
    landing: Landing, function: Function, restarted: bool
) -> None:
    with landing.database.session() as session:
        _, key = announcements.queue_restore(session, DATASETS["jobs"], LANDING, "20210727T160208Z", "0" * 64)
        session.run("UPDATE loads SET queued_at = now() - interval '20 minutes'")
        session.run("UPDATE landing_sweep SET swept_at = now() - interval '20 minutes'")
    landing.put("departments.csv", "1,Sales\n")
    landing.put(key, "damaged")
    assert sweep(function, restarted=restarted, budget=Budget(offers=1)) == 1  # one offer: the first object of the list
    assert upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE).failed == 0
    assert sweep(function) == 1
    function.work()
    assert run_rows(landing, "SELECT status, version IS NULL FROM loads WHERE kind = 'restore'") == [["failed", False]]


@pytest.mark.parametrize("status", ["failed", "succeeded"])
def test_the_object_of_a_restore_that_has_ended_is_not_offered(
    landing: Landing, function: Function, status: str
) -> None:
    with landing.database.session() as session:
        _, key = announcements.queue_restore(session, DATASETS["jobs"], LANDING, "20210727T160208Z", "0" * 64)
        session.run(f"UPDATE loads SET status = '{status}', given_up = {status == 'failed'}")
    landing.put(key, "too late")
    assert (sweep(function), sweep(function, restarted=True)) == (0, 0)


@pytest.mark.parametrize("in_time", [True, False])
def test_the_file_of_an_upload_is_loaded_once(landing: Landing, function: Function, in_time: bool) -> None:
    with landing.database.session() as session:
        load_id, key = announcements.queue_upload(session, DATASETS["jobs"], LANDING, "jobs.csv")
        if not in_time:
            session.run("UPDATE loads SET status = 'failed', error = :error", error=NEVER_CAME)
    landing.put(key, "1,Clerk\n")
    assert sweep(function) == 1
    function.work()
    assert (landing.load()["id"] == load_id, landing.load()["status"]) == (in_time, "succeeded")
    assert landing.loads() == (1 if in_time else 2)
    assert sweep(function) == 0


def test_an_upload_without_a_file_is_not_offered(landing: Landing, function: Function) -> None:
    with landing.database.session() as session:
        announcements.queue_upload(session, DATASETS["jobs"], LANDING, "jobs.csv")
    assert (sweep(function), sweep(function, restarted=True)) == (0, 0)


# --- pages and budgets


def marker(landing: Landing) -> str:
    return str(landing.scalar("SELECT key_marker FROM landing_sweep"))


def test_a_sweep_continues_where_the_last_one_ended(
    landing: Landing, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")  # entries of the list in a page
    for number in range(3):
        for _ in range(3):
            landing.put(f"departments_{number} é.csv", f"{number + 1},Sales\n")  # three versions of each key
    one_page = Budget(pages=1, at_once=10**6)
    assert sweep(function, budget=one_page) == 2
    assert marker(landing) == "departments_0%20%C3%A9.csv"
    assert [sweep(function, budget=one_page) for _ in range(4)] == [2, 2, 2, 1]
    assert marker(landing) == ""
    function.work()
    assert (landing.loads(), sweep(function)) == (9, 0)
    assert landing.rows("SELECT DISTINCT status FROM loads ORDER BY 1") == [("skipped",), ("succeeded",)]
    assert landing.scalar("SELECT count(*) FROM departments") == 3


def test_many_lost_objects_are_offered_in_portions(landing: Landing, function: Function) -> None:
    for number in range(5):
        landing.put(f"departments_{number}.csv", "1,Sales\n")
    portion = Budget(offers=2, at_once=10**6)
    assert [sweep(function, budget=portion) for _ in range(3)] == [2, 2, 1]
    assert [created.key[12] for event in function.offered for created in created_objects(event)] == list("01234")


def test_a_few_objects_are_offered_at_a_time(landing: Landing, function: Function, other: Database) -> None:
    """At most `at_once` loads run at a time. The next offer follows when one of these loads has ended."""
    for number in range(12):
        landing.put(f"departments_{number:02}.csv", "1,Sales\n")
    worker, stop, most = Landing(other, landing.s3), threading.Event(), 0

    def work() -> None:
        nonlocal most
        done = 0
        while done < 12 and not stop.is_set():
            most = max(most, len(function.offered) - done)
            if len(function.offered) > done:
                worker.deliver(function.offered[done])
                done += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert sweep(function, budget=Budget(at_once=3)) == 12
    finally:
        thread.join(timeout=30)
        stop.set()
    assert landing.loads() == 12
    assert 1 <= most <= 3


def test_versions_with_a_load_are_found_by_index(landing: Landing) -> None:
    run(
        landing,
        "INSERT INTO loads (source, version, kind, status) SELECT 's3://test-landing/jobs_' || n || '.csv', 'v' || n,"
        " 'csv', 'succeeded' FROM generate_series(1, 100000) n; ANALYZE loads",
    )
    page = range(1, 1001)
    with landing.database.session() as session:
        plan = session.run(
            f"EXPLAIN (ANALYZE, BUFFERS) {KNOWN}",
            sources=[f"s3://test-landing/jobs_{n}.csv" for n in page],
            versions=[f"v{n}" for n in page],
            kept=[True] * 1000,
        )
    lines = [str(line) for [line] in plan]
    assert not [line for line in lines if "Seq Scan on loads" in line], lines
    assert [line for line in lines if "loads_source_version_key" in line]


@pytest.mark.parametrize("service", ["S3", "Lambda"])
def test_an_unavailable_service_ends_only_one_sweep(
    landing: Landing, function: Function, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    landing.put("departments.csv", "1,Sales\n")

    def away(operation: str, _key: str) -> None:
        if operation == "ListObjectVersions":
            raise ConnectionResetError

    if service == "S3":
        landing.s3.before = away
    else:
        function.error = NotFound("the function does not take the event")
    assert sweep(function) == 0
    assert [line for line in caplog.messages if line.startswith("the sweep of the landing bucket ended early")]
    landing.s3.before, function.error = None, None
    assert sweep(function) == 1


def test_after_a_cursor_that_s3_refuses_the_next_sweep_continues_behind_its_key(
    landing: Landing, function: Function
) -> None:
    landing.put("departments_2.csv", "2,Ops\n")
    run(landing, "UPDATE landing_sweep SET key_marker = 'departments_1.csv', version_marker = 'gone'")

    def refuse(model: Any, params: Row, **_: Any) -> None:
        if params.get("VersionIdMarker") == "gone":
            raise ConnectionResetError

    landing.s3.client.meta.events.register("before-parameter-build.s3.ListObjectVersions", refuse)
    assert sweep(function) == 0
    assert landing.rows("SELECT key_marker, version_marker FROM landing_sweep") == [("departments_1.csv", "")]
    sweep(function)
    assert marker(landing) == "", "the sweep has not reached the end of the list"


def test_only_one_sweep_runs_at_a_time(landing: Landing, function: Function, other: Database) -> None:
    landing.put("departments.csv", "1,Sales\n")
    with other.session() as session:
        session.run("SELECT pg_advisory_lock({}, {})".format(*LOCK))
        assert sweep(function) == 0
        threading.Timer(0.5, other.close).start()
        assert sweep(function, restarted=True) == 1, "this sweep did not wait for the other sweep"


def test_a_sweep_raises_if_the_database_is_unavailable(landing: Landing, function: Function) -> None:
    function.landing = Landing(Database("postgresql+pg8000://u:p@127.0.0.1:1/x", tls="disable"), landing.s3)
    with pytest.raises(DatabaseUnavailable):
        sweep(function)


# --- loads without a worker


def load_without_a_worker(landing: Landing, attempts: int = 1, status: str = "running") -> Row:
    """Make a load that has no worker and whose only event was delivered. Return this event."""
    event = landing.put("departments.csv", "1,Sales\n")
    landing.give_up(event)
    run(landing, f"UPDATE loads SET status = '{status}', attempts = {attempts}, error = NULL, finished_at = NULL")
    return event


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_load_without_a_worker_is_offered_again(landing: Landing, function: Function, status: str) -> None:
    event = load_without_a_worker(landing, status=status)
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0, "Lambda may still retry"
    run(landing, "UPDATE idle_loads SET since = since - interval '4 minutes'")
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0
    run(landing, "UPDATE idle_loads SET since = since - interval '1 minute'")
    assert sweep(function, patience=landing_sweep.PATIENCE) == 1
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0, "the time without a worker starts again"
    assert list(created_objects(function.offered[0])) == list(created_objects(event))
    function.work()
    assert (landing.load()["status"], landing.load()["attempts"], landing.loads()) == ("succeeded", 2, 1)
    assert sweep(function) == 0
    assert landing.scalar("SELECT count(*) FROM idle_loads") == 0


def test_a_load_with_a_worker_is_not_offered(landing: Landing, function: Function, other: Database) -> None:
    load_without_a_worker(landing)
    with other.session() as session:
        session.run("SELECT pg_advisory_lock(:id)", id=landing.load()["id"])
        assert (sweep(function), sweep(function, restarted=True)) == (0, 0)
        assert (landing.load()["status"], landing.load()["attempts"]) == ("running", 1)
        session.run("SELECT pg_advisory_unlock_all()")
    assert sweep(function) == 1


def test_another_attempt_restarts_the_wait_of_a_load_without_a_worker(landing: Landing, function: Function) -> None:
    load_without_a_worker(landing)
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0
    run(landing, "UPDATE idle_loads SET since = since - interval '1 hour'; UPDATE loads SET attempts = attempts + 1")
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0


def test_a_file_that_kills_every_worker_ends_as_a_failed_load(landing: Landing, function: Function) -> None:
    load_without_a_worker(landing, attempts=3)
    assert sweep(function) == 0
    assert upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE).failed == 1
    with pytest.raises(LoadGivenUp):  # an event that is delivered later becomes a dead letter
        landing.deliver(landing.events[0])


@pytest.mark.parametrize(
    ("attempts", "error"),
    [
        (0, "gave up: no worker claimed the load in time"),
        (2, "gave up: no other attempt followed attempt 2 of 3"),
        (3, "gave up after 3 attempts"),
    ],
)
def test_the_error_of_a_load_that_is_given_up_names_its_last_attempt(
    landing: Landing, attempts: int, error: str
) -> None:
    load_without_a_worker(landing, attempts=attempts)
    run(landing, "UPDATE loads SET queued_at = now() - interval '7 hours'")
    assert upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE).failed == 1
    assert landing.load()["error"] == error


# --- after a restart


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_load_has_all_its_attempts_again_after_a_restart(landing: Landing, function: Function, attempts: int) -> None:
    load_without_a_worker(landing, attempts=attempts)
    assert sweep(function, restarted=True) == 1
    assert (landing.load()["status"], landing.load()["attempts"]) == ("queued", 0)
    function.work()
    assert (landing.load()["status"], landing.load()["attempts"], landing.loads()) == ("succeeded", 1, 1)


@pytest.mark.parametrize(("minutes", "offered"), [(10, 1), (20, 0)])
def test_a_load_given_up_shortly_before_a_restart_is_opened_again(
    landing: Landing, function: Function, minutes: int, offered: int
) -> None:
    """The dead letter of this load may be lost in the restart. The dead letter of a load that was given up long before
    the restart is stored already, so that load is not opened again."""
    landing.give_up(landing.put("departments.csv", "1,Sales\n"))
    run(landing, f"UPDATE loads SET finished_at = now() - interval '{minutes} minutes'")
    assert sweep(function) == 0
    assert sweep(function, restarted=True) == offered


def test_a_load_that_failed_for_good_stays_failed(landing: Landing, function: Function) -> None:
    landing.upload("notes.txt", "hello")
    assert sweep(function, restarted=True) == 0
    assert landing.load()["status"] == "failed"


def test_the_sweep_after_a_restart_does_not_reopen_a_load_that_a_worker_has_claimed_or_ended(
    landing: Landing, function: Function, other: Database
) -> None:
    """If the sweep reopened a load with a worker, the worker would lose its claim."""
    event = load_without_a_worker(landing)
    with other.session() as session:
        claim = claims.claim(session, next(iter(created_objects(event))), DATASETS["departments"], "csv")
        assert claim is not None
        assert sweep(function, restarted=True) == 0
        claims.skip(session, claim, "another reason")
        claims.release(session, claim.load_id)
    assert sweep(function, restarted=True) == 0
    assert landing.load()["status"] == "skipped"


def test_a_sweep_detects_an_outage_by_itself(landing: Landing, function: Function) -> None:
    load_without_a_worker(landing, attempts=3)
    landing.put("departments_2.csv", "2,Ops\n")
    run(landing, "UPDATE landing_sweep SET swept_at = now() - interval '11 minutes', key_marker = 'x'")
    assert sweep(function, patience=landing_sweep.PATIENCE) == 2
    assert sweep(function, patience=landing_sweep.PATIENCE) == 0


# --- waiting rows and the start time


@pytest.mark.parametrize("restarted", [True, False])
def test_rows_still_wait_for_a_parent_whose_event_was_lost_in_an_outage(
    landing: Landing, function: Function, restarted: bool
) -> None:
    run(landing, "INSERT INTO jobs VALUES (1, 'Cook')")
    landing.deliver(landing.put("hired_employees.csv", "1,Ann,2021-01-01,1,1\n"))
    landing.put("departments.csv", "1,Sales\n")
    run(landing, "UPDATE orphans SET rejected_at = now() - interval '10 hours 1 minute'")
    run(landing, "UPDATE landing_sweep SET swept_at = now() - interval '10 hours'")
    assert sweep(function, restarted=restarted) == 1
    upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE)
    function.work()
    assert run_rows(landing, "SELECT id FROM hired_employees") == [[1]]


def test_rows_that_were_rejected_after_a_restart_do_not_wait_longer_than_others(
    landing: Landing, function: Function
) -> None:
    landing.deliver(landing.put("hired_employees.csv", "1,Ann,2021-01-01,1,1\n"))
    run(landing, "UPDATE landing_sweep SET swept_at = now() - interval '10 hours'")
    sweep(function, restarted=True)
    assert run_rows(landing, "SELECT rejected_at <= now() FROM orphans") == [[True]]


@pytest.fixture
def old_database(postgres: Postgres) -> str:
    """Return the URL of a database with the schema of the last release that had no landing sweep."""
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE IF EXISTS old")
        admin.run(f"CREATE DATABASE old OWNER {postgres.role.user}")
    url = postgres.url.rsplit("/", 1)[0] + "/old"
    upgrade(url, tls="disable", revision="0005")
    return url


@pytest.mark.parametrize("has_loads", [True, False])
def test_the_start_time_of_an_upgraded_database_is_the_time_of_its_creation(old_database: str, has_loads: bool) -> None:
    with closing(connect(old_database)) as server:
        # Now the database looks as if it was created a day ago.
        server.run("UPDATE dataset_state SET version = version - 86400 * 1000000::bigint")
        server.run("INSERT INTO jobs VALUES (1, 'Clerk')")
        if has_loads:
            server.run("INSERT INTO loads (source, kind, status) VALUES ('s3://x/jobs.csv', 'csv', 'succeeded')")
        upgrade(old_database, tls="disable")
        age = "SELECT extract(epoch FROM now() - starts_at), extract(epoch FROM now() - swept_at) FROM landing_sweep"
        [[since_start, since_sweep]] = server.run(age)
    assert 86400 <= since_start < 86400 + 120
    assert since_sweep > landing_sweep.OUTAGE.total_seconds(), "the first sweep would not offer versions of any age"


def test_the_start_time_of_a_new_database_is_now(old_database: str) -> None:
    upgrade(old_database, tls="disable")
    with closing(connect(old_database)) as server:
        [[age, rows]] = server.run("SELECT max(extract(epoch FROM now() - starts_at)), count(*) FROM landing_sweep")
    assert 0 <= age < 120
    assert rows == 1


def test_the_sweep_goes_on_after_a_clock_was_ahead(old_database: str) -> None:
    with closing(connect(old_database)) as server:
        server.run("UPDATE dataset_state SET version = version + 86400 * 1000000::bigint")
        upgrade(old_database, tls="disable")
        assert server.run("SELECT starts_at <= now() FROM landing_sweep") == [[True]]
