"""Tests the second reading: a load reads its object again to report the rows without parents. Other writers of the
dataset do not wait for the second reading."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from chalicelib.cloud.database import Database
from chalicelib.cloud.storage import Storage
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LockTimeout, OutOfTime, StorageUnavailable
from chalicelib.ingest.completion import MERGE_TRIES
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.handover import NO_HANDOVER, HandoverPolicy
from chalicelib.ingest.objects import Ingestion, ingest_object
from chalicelib.ingest.rows import SentRows, upload
from tests.integration.landing import GRACE, Landing, counts
from tests.integration.s3_fixtures import BUCKETS

KEY = "hired_employees.csv"
ROWS = "1,Ann,2021-07-27T16:02:08Z,1,1\n2,Bo,2021-07-27T16:02:08Z,9,1\n3,,2021-07-27T16:02:08Z,1,1\n"
BROKEN, ORPHAN = (3, ["name is missing"]), (2, ["department_id 9 does not exist"])


@pytest.fixture
def others(landing: Landing, database_url: str) -> Iterator[Landing]:
    """Return another worker, which has its own connection. All parents of the rows exist, except department 9."""
    landing.upload("departments.csv", "1,Sales\n2,Ops\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    with closing(Database(database_url, tls="disable")) as other:
        yield Landing(other, landing.s3)


@pytest.fixture(autouse=True)
def large(landing: Landing) -> None:
    """Treat every file as a large one, which is not kept in memory."""
    landing.keeps = 0


def at_the_second_reading(landing: Landing, act: Callable[[], None]) -> None:
    """Call `act` when the next load is about to read its object for the second time."""
    readings = []

    def count(operation: str, key: str) -> None:
        if (operation, key) == ("GetObject", KEY):
            readings.append(key)
            if len(readings) == 2:
                landing.s3.before = None
                act()

    landing.s3.before = count


def reported(landing: Landing) -> list[tuple[int, list[str]]]:
    [key] = landing.rows("SELECT errored_key FROM loads WHERE dataset = 'hired_employees' AND rejected > 0")
    return [(reject["line"], reject["reasons"]) for reject in landing.rejects({"errored_key": key[0]})]


def test_other_writers_of_the_dataset_commit_during_the_second_reading(landing: Landing, others: Landing) -> None:
    row = {"id": 7, "name": "Cy", "datetime": "2021-07-27", "department_id": 1, "job_id": 1}
    written = []

    def write() -> None:
        response = upload(
            others.database,
            landing.s3.storage,
            SentRows(DATASETS["hired_employees"], [row], "api"),
            grace=GRACE,
            lock_timeout=1,
        )
        written.append(response.counts.inserted)

    at_the_second_reading(landing, write)
    landing.deliver(landing.put(KEY, ROWS))
    assert written == [1]
    assert landing.rows("SELECT id FROM hired_employees ORDER BY id") == [(1,), (7,)]
    assert reported(landing) == [BROKEN, ORPHAN]


def test_the_second_reading_may_take_longer_than_a_transaction_may_be_idle(landing: Landing, others: Landing) -> None:
    def wait() -> None:
        others.rows("SELECT pg_sleep(1.3)")

    with others.database.session() as session:
        session.run("ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '1s'")
    landing.database.close()
    try:
        at_the_second_reading(landing, wait)
        landing.deliver(landing.put(KEY, ROWS))
        assert landing.scalar("SHOW idle_in_transaction_session_timeout") == "1s"
    finally:
        with others.database.session() as session:
            session.run("ALTER ROLE CURRENT_USER RESET idle_in_transaction_session_timeout")
    assert reported(landing) == [BROKEN, ORPHAN]


def test_children_are_healed_after_the_load_if_their_parent_comes_during_the_second_reading(
    landing: Landing, others: Landing
) -> None:
    at_the_second_reading(landing, lambda: others.deliver(landing.put("departments_9.csv", "9,Late\n")))
    landing.deliver(landing.put(KEY, ROWS))
    load = landing.rows("SELECT status, rejected, resolved FROM loads WHERE dataset = 'hired_employees'")
    assert load == [("succeeded", 2, 1)]
    assert landing.rows("SELECT id FROM hired_employees ORDER BY id") == [(1,), (2,)]
    assert reported(landing) == [BROKEN, ORPHAN]
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


def test_the_parent_of_an_accepted_row_cannot_be_deleted_during_the_second_reading(
    landing: Landing, others: Landing
) -> None:
    refused = []

    def delete() -> None:
        with others.database.session() as session:
            session.run("DELETE FROM departments WHERE id = 2")  # no row refers to it
            with pytest.raises(LockTimeout) as caught, session.transaction():
                session.run("SET LOCAL lock_timeout = '200ms'; DELETE FROM departments WHERE id = 1")
            refused.append(caught.value)

    at_the_second_reading(landing, delete)
    landing.deliver(landing.put(KEY, ROWS))
    assert len(refused) == 1
    assert counts(landing.load()) == (3, 1, 0, 0, 0, 2)


def test_an_object_with_a_newer_version_is_not_read_again(landing: Landing, others: Landing) -> None:
    older = landing.put(KEY, ROWS)
    landing.upload(KEY, "1,New,2021-07-27T16:02:08Z,1,1\n")
    landing.s3.calls.clear()
    landing.deliver(older)
    assert landing.load()["status"] == "skipped"
    assert landing.s3.calls.count(("GetObject", KEY)) == 1
    assert landing.rows("SELECT name FROM hired_employees") == [("New",)]
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


def test_a_newer_version_that_is_loaded_during_the_second_reading_wins(landing: Landing, others: Landing) -> None:
    older, newer = landing.put(KEY, ROWS), landing.put(KEY, "1,New,2021-07-27T16:02:08Z,1,1\n")
    at_the_second_reading(landing, lambda: others.deliver(newer))
    landing.deliver(older)
    assert landing.rows("SELECT status FROM loads WHERE dataset = 'hired_employees' ORDER BY id") == [
        ("skipped",),
        ("succeeded",),
    ]
    assert landing.rows("SELECT name FROM hired_employees") == [("New",)]
    assert landing.s3.keys("test-errored") == []
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


def test_an_object_that_is_overwritten_between_the_readings_is_loaded_by_the_next_attempt(
    landing: Landing, others: Landing
) -> None:
    """In a bucket without versioning, each reading returns the newest object. So the two readings may return different
    objects."""
    landing.s3.client.put_bucket_versioning(Bucket=BUCKETS[0], VersioningConfiguration={"Status": "Suspended"})
    event, other = landing.put(KEY, ROWS), ROWS.replace("Bo", "Cy")
    at_the_second_reading(landing, lambda: landing.s3.storage.landing.put(KEY, other.encode(), "text/csv"))
    with pytest.raises(StorageUnavailable, match="overwritten"):
        landing.deliver(event)
    assert landing.s3.keys("test-errored") == []
    landing.deliver(event)
    assert [reject["row"]["name"] for reject in landing.rejects(landing.load())] == ["", "Cy"]


FAR_APART = "".join(
    f"{i},{'Ann' * 30},2021-07-27T16:02:08Z,{9 if i in (2, 39_999) else 1},1\n" for i in range(1, 40_001)
)


@pytest.mark.parametrize("portion", [None, 15_000])
def test_the_second_reading_leaves_out_parts_without_orphans(
    landing: Landing, others: Landing, portion: int | None
) -> None:
    """A load in portions knows the parts that its last invocation has read. Here, one invocation reads them all."""
    client: Any = CountingS3(landing.s3.client)
    storage = Storage(*BUCKETS, client=lambda: client)
    handover = HandoverPolicy(1, None, margin=60, lines=portion) if portion else NO_HANDOVER
    [created] = created_objects(landing.put(KEY, FAR_APART))
    assert ingest_object(Ingestion(landing.database, storage, GRACE, handover, keeps=0), created, seconds=75)
    assert counts(landing.load()) == (40_000, 39_998, 0, 0, 0, 2)
    assert [line for line, _ in reported(landing)] == [2, 39_999]
    again = client.bytes_read - len(FAR_APART)
    assert 0 < again < len(FAR_APART) / 3


def test_an_object_that_is_overwritten_while_a_part_is_left_out_is_loaded_by_the_next_attempt(
    landing: Landing, others: Landing
) -> None:
    landing.s3.client.put_bucket_versioning(Bucket=BUCKETS[0], VersioningConfiguration={"Status": "Suspended"})
    event, readings = landing.put(KEY, FAR_APART), list[str]()
    longer = FAR_APART.replace("Ann", "Anna")

    def overwrite(operation: str, key: str) -> None:
        readings.append(operation)
        if readings.count("GetObject") == 3:
            landing.s3.before = None
            landing.s3.storage.landing.put(KEY, longer.encode(), "text/csv")

    landing.s3.before = overwrite
    with pytest.raises(StorageUnavailable, match="overwritten"):
        landing.deliver(event)
    assert landing.s3.keys("test-errored") == []
    landing.deliver(event)
    assert {reject["row"]["name"] for reject in landing.rejects(landing.load())} == {"Anna" * 30}


@pytest.mark.parametrize("before", [4_000, 50_000])
def test_a_record_that_is_too_long_for_its_ignored_fields_does_not_fail_the_load(
    landing: Landing, others: Landing, before: int
) -> None:
    rows = "".join(f"c,{i},Ann,2021-07-27T16:02:08Z,1,1,d\n" for i in range(10, 10 + before))
    long = f"{'k' * 1_050_000},5,Long,2021-07-27T16:02:08Z,9,1,{'m' * 150_000}\n"
    file = f"a,id,name,datetime,department_id,job_id,b\n{rows}{long}c,6,Late,2021-07-27T16:02:08Z,9,1,d\n"
    load = landing.upload(KEY, file)
    assert counts(load) == (before + 2, before, 0, 0, 0, 2)
    too_long, orphan = landing.rejects(load)
    assert too_long["reasons"] == ["the record is longer than 1 MiB"]
    assert (orphan["line"], orphan["raw"]) == (before + 3, "c,6,Late,2021-07-27T16:02:08Z,9,1,d")


WAITING = (
    "SELECT pid, query_start FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%LOCK TABLE _hired%'"
)


def test_a_load_that_waits_too_long_for_the_table_tries_again_and_reports_each_row_once(
    landing: Landing, others: Landing
) -> None:
    """The test cancels the waiting statements. For the load, a cancelled statement is the same as a lock timeout, but
    the test is faster."""
    event, waits = landing.put(KEY, ROWS), set[datetime]()
    with others.database.session() as session:
        with session.transaction():
            session.run("LOCK TABLE hired_employees IN SHARE ROW EXCLUSIVE MODE")
            load = threading.Thread(target=landing.deliver, args=(event,))
            load.start()
            deadline = time.monotonic() + 20
            while len(waits) < MERGE_TRIES and time.monotonic() < deadline:
                session.run("SELECT pg_stat_clear_snapshot()")
                for pid, began in session.run(WAITING):
                    if began not in waits:
                        waits.add(began)
                        if len(waits) < MERGE_TRIES:
                            session.run(f"SELECT pg_cancel_backend({pid})")
        load.join()
    assert len(waits) == MERGE_TRIES
    assert landing.s3.calls.count(("GetObject", KEY)) == 2
    assert (landing.load()["status"], landing.load()["attempts"]) == ("succeeded", 1)
    assert counts(landing.load()) == (3, 1, 0, 0, 0, 2)
    assert reported(landing) == [BROKEN, ORPHAN]
    assert landing.rows("SELECT id FROM orphans") == [(2,)]


@dataclass
class CountingS3:
    """A client of S3 that counts the bytes of objects that are read."""

    client: Any
    bytes_read: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_object(self, **params: Any) -> Any:
        response = self.client.get_object(**params)
        return {**response, "Body": Counted(response["Body"], self)}


@dataclass
class Counted:
    """The body of an object that a CountingS3 has returned."""

    body: Any
    client: CountingS3

    def read(self, size: int) -> bytes:
        data = bytes(self.body.read(size))
        self.client.bytes_read += len(data)
        return data

    def close(self) -> None:
        self.body.close()


@dataclass
class Hindered:
    """The body of an object. `hinder` is called before each piece is read."""

    body: Any
    hinder: Callable[[], None]

    def read(self, size: int) -> bytes:
        self.hinder()
        return bytes(self.body.read(min(size, 65536)))

    def close(self) -> None:
        self.body.close()


@dataclass
class HinderedS3:
    """A client of S3. The body of the second object that it reads is a `Hindered` body."""

    client: Any
    hinder: Callable[[], None]
    readings: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_object(self, **params: Any) -> Any:
        response = self.client.get_object(**params)
        self.readings += 1
        return response if self.readings != 2 else {**response, "Body": Hindered(response["Body"], self.hinder)}


def deliver_hindered(landing: Landing, event: dict[str, Any], hinder: Callable[[], None], seconds: float) -> None:
    client: Any = HinderedS3(landing.s3.client, hinder)
    [created] = created_objects(event)
    storage = Storage(*BUCKETS, client=lambda: client)
    ingest_object(Ingestion(landing.database, storage, GRACE, keeps=0), created, seconds=seconds)


MANY = "".join(f"{i},{'Ann' * 30},2021-07-27T16:02:08Z,{1 if i % 10 else 9},1\n" for i in range(1, 8001))


def test_an_attempt_fails_if_s3_breaks_off_in_the_second_reading_and_the_next_one_succeeds(
    landing: Landing, others: Landing
) -> None:
    event, pieces = landing.put(KEY, MANY), iter(range(5))

    def break_off() -> None:
        if next(pieces) == 4:
            raise ConnectionResetError

    with pytest.raises(StorageUnavailable):
        deliver_hindered(landing, event, break_off, 60)
    load = landing.load()
    assert (load["status"], load["error"]) == ("queued", f"attempt 1: s3://{BUCKETS[0]}/{KEY} cannot be reached")
    assert landing.s3.keys("test-errored") == []
    landing.deliver(event)
    assert counts(landing.load()) == (8000, 7200, 0, 0, 0, 800)
    assert [line for line, _ in reported(landing)] == list(range(10, 8001, 10))


def test_the_second_reading_ends_when_the_time_is_up(landing: Landing, others: Landing) -> None:
    event, waits = landing.put(KEY, MANY), list[float]()

    def be_slow() -> None:
        waits.append(0.7)
        time.sleep(0.7)

    with pytest.raises(OutOfTime):
        deliver_hindered(landing, event, be_slow, 2.5)  # 0.5 of these seconds are reserved for recording the failure
    assert len(waits) <= 3
    assert (landing.load()["status"], landing.s3.keys("test-errored")) == ("queued", [])


def test_the_wait_for_the_table_ends_when_the_time_is_up(landing: Landing, others: Landing) -> None:
    """The second reading uses some of the time, and the wait for the table uses the rest. Postgres itself ends the
    wait, so the connection stays usable."""
    event, pid = landing.put(KEY, MANY), landing.scalar("SELECT pg_backend_pid()")
    with others.database.transaction() as session:
        session.run("LOCK TABLE hired_employees IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(OutOfTime):
            # 0.75 of these seconds are reserved for recording the failure.
            deliver_hindered(landing, event, lambda: time.sleep(0.06), 3.75)
    assert landing.load()["error"] == "attempt 1: the database did not finish in time"
    assert landing.scalar("SELECT pg_backend_pid()") == pid
