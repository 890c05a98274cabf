"""Tests that work which reaches its deadline stops, leaves nothing behind, and reports that its time was over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from chalice.app import Response

from chalicelib.api.backup_routes import routes
from chalicelib.api.http import problems
from chalicelib.cloud.database import Database
from chalicelib.cloud.storage import Storage
from chalicelib.core import deadline
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import HireflowError, OutOfTime
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.objects import Ingestion, ingest_object
from chalicelib.ingest.rows import SentRows, upload
from tests.integration.http_api import Api
from tests.integration.landing import GRACE, Landing, Row
from tests.integration.s3_fixtures import BUCKETS, S3

JOBS = DATASETS["jobs"]


@contextmanager
def busy_jobs(database_url: str) -> Iterator[None]:
    """Lock the table jobs inside the `with` block, as another writer would do."""
    other = Database(database_url, tls="disable")
    with other.transaction() as session:
        session.run("LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")
        yield
    other.close()


def deliver(landing: Landing, event: Row, seconds: float) -> None:
    for created in created_objects(event):
        ingest_object(Ingestion(landing.database, landing.s3.storage, GRACE), created, seconds=seconds)


def test_a_load_that_waits_too_long_records_the_reason_and_is_retried(landing: Landing, database_url: str) -> None:
    event = landing.put("jobs.csv", "1,Clerk\n2,\n")
    with busy_jobs(database_url):
        with pytest.raises(OutOfTime):
            deliver(landing, event, 1)
        load = landing.load()
        assert (load["status"], load["attempts"], load["received"]) == ("queued", 1, 0)
        assert load["error"] == "attempt 1: the database did not finish in time"
    deliver(landing, event, 30)
    load = landing.load()
    assert landing.s3.keys("test-errored") == [load["errored_key"]]  # the first attempt has left no other file
    assert (load["status"], load["attempts"], load["error"]) == ("succeeded", 2, None)
    assert landing.rows("SELECT * FROM jobs") == [(1, "Clerk")]


def test_a_load_that_always_runs_out_of_time_fails_with_the_reason(landing: Landing, database_url: str) -> None:
    event = landing.put("jobs.csv", "1,Clerk\n")
    with busy_jobs(database_url):
        for _ in range(3):
            with pytest.raises(OutOfTime):
                deliver(landing, event, 1)
    load = landing.load()
    assert load["status"] == "failed"
    assert load["error"] == "gave up after 3 attempts: the database did not finish in time"


def test_a_file_that_takes_too_long_to_read_stops_between_two_blocks(landing: Landing) -> None:
    event = landing.put("jobs.csv", "".join(f'{i},"Clerk {i}"\n' for i in range(1, 400_000)))
    pid = landing.scalar("SELECT pg_backend_pid()")
    with pytest.raises(OutOfTime):
        deliver(landing, event, 0.5)
    assert landing.scalar("SELECT pg_backend_pid()") == pid  # the connection was still usable
    assert landing.load()["status"] == "queued"
    assert landing.scalar("SELECT count(*) FROM jobs") == 0


def test_a_request_that_waits_too_long_stores_nothing(landing: Landing, database_url: str) -> None:
    began = time.monotonic()
    with busy_jobs(database_url), pytest.raises(OutOfTime), deadline.within(1):
        upload(
            landing.database,
            landing.s3.storage,
            SentRows(JOBS, [{"id": 1, "job": "Clerk"}], "api:/job/upload"),
            grace=GRACE,
        )
    assert time.monotonic() - began < 5
    assert landing.scalar("SELECT count(*) FROM jobs") == landing.loads() == 0


def test_no_request_goes_to_s3_after_the_deadline(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    storage = Storage(*BUCKETS)
    with deadline.within(5):
        storage.errored.put("in-time", b"", "text/plain")
    with pytest.raises(OutOfTime), deadline.within(0):
        storage.errored.put("too-late", b"", "text/plain")
    keys = boto3.client("s3").list_objects_v2(Bucket="test-errored")["Contents"]
    assert [found["Key"] for found in keys] == ["in-time"]


def test_every_request_has_less_time_than_api_gateway_allows(api: Api) -> None:
    seen: list[float | None] = []

    def view(_event: object) -> Response:
        seen.append(deadline.left())
        return Response({})

    api.get("/backups")
    problems.middleware(routes.current_request, view)
    assert seen[0] is not None
    assert 15 < seen[0] <= 20


def test_a_passed_deadline_is_a_504_with_retry_after(api: Api) -> None:
    @problems.endpoint
    def slow() -> None:
        with deadline.within(0):
            deadline.left()

    response = slow()
    assert response.status_code == 504
    assert response.headers["Retry-After"] == "5"
    assert issubclass(OutOfTime, HireflowError)
