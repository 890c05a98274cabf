"""Tests what happens to an announced upload if its file arrives at once, twice, late, or never."""

import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import StorageUnavailable
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.upload_forms import FORM_SECONDS, order_upload
from chalicelib.loads import announcements
from chalicelib.loads.announcements import CANCELLED, NEVER_CAME
from chalicelib.loads.claims import claim
from chalicelib.recovery import dead_letters, upkeep
from chalicelib.recovery.dead_letters import Redriven
from chalicelib.services import services
from tests.integration.http_api import Api, Response
from tests.integration.landing import GRACE, Landing, Row, counts
from tests.integration.recovery.test_redrive import Ingest
from tests.integration.s3_fixtures import BUCKETS
from tests.integration.sqs_fixtures import Queue


def order(api: Api, dataset: str = "departments", filename: str = "new.csv", size: int = 1000) -> Row:
    response = api.post("/uploads", {"dataset": dataset, "filename": filename, "size": size})
    assert response.status == 201
    return dict(response.body)


def age(landing: Landing, load_id: int, old: timedelta) -> None:
    landing.rows(f"UPDATE loads SET queued_at = now() - interval '{old.total_seconds()} seconds' WHERE id = {load_id}")


def swept(landing: Landing) -> int:
    """Run the sweep. Return the number of loads that the sweep has marked as failed."""
    return upkeep.sweep(landing.database, landing.s3.storage, grace=GRACE).failed


def test_the_load_of_an_upload_exists_before_its_file(api: Api, landing: Landing) -> None:
    ordered = order(api, filename="staff é.csv.gz")
    assert ordered["key"] == f"uploads/{ordered['load_id']}/departments-staff é.csv.gz"
    load = api.get(ordered["status_url"]).body
    assert (load["id"], load["status"], load["kind"]) == (ordered["load_id"], "queued", "csv")
    assert (load["dataset"], load["source"]) == ("departments", f"s3://test-landing/{ordered['key']}")
    assert (load["attempts"], load["started_at"], load["finished_at"], load["error"]) == (0, None, None, None)


def test_the_file_of_a_form_belongs_to_the_announced_load(api: Api, landing: Landing) -> None:
    ordered = order(api)
    event = landing.put(ordered["key"], "1,Sales\n,x\n")
    for _ in range(2):
        landing.deliver(event)
    load = landing.load(ordered["load_id"])
    assert (load["status"], load["attempts"], landing.loads()) == ("succeeded", 1, 1)
    assert counts(load) == (2, 1, 0, 0, 0, 1)
    [reject] = landing.rejects(load)
    assert (reject["load_id"], reject["source"]) == (ordered["load_id"], load["source"])


def test_a_second_file_with_the_same_form_gets_its_own_load(api: Api, landing: Landing) -> None:
    ordered = order(api)
    landing.upload(ordered["key"], "1,Sales\n")
    again = landing.upload(ordered["key"], "1,Sales and more\n")
    assert (landing.loads(), again["status"], counts(again)) == (2, "succeeded", (1, 0, 1, 0, 0, 0))
    assert counts(landing.load(ordered["load_id"])) == (1, 1, 0, 0, 0, 0)


def test_of_two_files_with_one_form_the_newer_wins_if_their_events_come_in_the_wrong_order(
    api: Api, landing: Landing
) -> None:
    ordered = order(api)
    older, newer = landing.put(ordered["key"], "1,Old\n"), landing.put(ordered["key"], "1,New\n")
    landing.deliver(newer)
    landing.deliver(older)
    assert landing.load(ordered["load_id"])["status"] == "succeeded"
    assert (landing.load()["status"], landing.loads()) == ("skipped", 2)
    assert landing.rows("SELECT * FROM departments") == [(1, "New")]


def test_of_two_files_with_one_form_at_the_same_moment_one_belongs_to_the_announced_load(
    api: Api, landing: Landing, database_url: str
) -> None:
    """Either of the two files may belong to the announced load. The other one gets a load of its own."""
    ordered = order(api)
    events = [landing.put(ordered["key"], f"{number},Sales\n") for number in (1, 2)]
    start = threading.Barrier(2)

    def deliver(event: Row) -> None:
        own = Landing(Database(database_url, tls="disable"), landing.s3)
        start.wait()
        own.deliver(event)
        own.database.close()

    threads = [threading.Thread(target=deliver, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert landing.loads() == 2
    ended = {landing.load(ordered["load_id"])["status"], landing.load()["status"]}
    assert ended in ({"succeeded"}, {"succeeded", "skipped"})


def test_a_file_with_another_name_in_the_folder_of_an_upload_gets_its_own_load(api: Api, landing: Landing) -> None:
    """The announced load still waits for the file whose name was announced."""
    ordered = order(api)
    load = landing.upload(f"uploads/{ordered['load_id']}/departments-other.csv", "1,Sales\n")
    assert (load["id"] != ordered["load_id"], load["status"]) == (True, "succeeded")
    assert landing.load(ordered["load_id"])["status"] == "queued"


# --- no file arrives


@pytest.mark.parametrize("filename", ["new.csv", "new.xlsx", "new.avro"])
def test_an_upload_without_a_file_fails_some_time_after_its_form_has_expired(
    api: Api, landing: Landing, filename: str
) -> None:
    ordered = order(api, filename=filename)
    age(landing, ordered["load_id"], timedelta(seconds=FORM_SECONDS, minutes=30))
    assert swept(landing) == 0, "the sweep marked a load as failed while S3 may still be receiving the file"
    age(landing, ordered["load_id"], upkeep.UPLOAD_WAIT + timedelta(seconds=1))
    assert swept(landing) == 1
    load = api.get(ordered["status_url"]).body
    assert (load["status"], load["error"], load["attempts"]) == ("failed", NEVER_CAME, 0)
    assert load["finished_at"] is not None
    assert swept(landing) == 0


def test_a_file_that_comes_after_its_load_has_failed_gets_its_own_load(api: Api, landing: Landing) -> None:
    """The failed load does not change, because its client may have seen that the load has ended."""
    ordered = order(api)
    age(landing, ordered["load_id"], upkeep.UPLOAD_WAIT + timedelta(seconds=1))
    assert swept(landing) == 1
    before = landing.load(ordered["load_id"])
    event = landing.put(ordered["key"], "1,Sales\n")
    for _ in range(2):
        landing.deliver(event)
    load = landing.load()
    assert (load["id"] != ordered["load_id"], load["status"], load["source"]) == (True, "succeeded", before["source"])
    assert (landing.loads(), landing.load(ordered["load_id"])) == (2, before)


def test_the_sweep_does_not_mark_an_upload_as_failed_if_its_file_has_come(api: Api, landing: Landing) -> None:
    ordered = order(api)
    landing.upload(ordered["key"], "1,Sales\n")
    landing.rows("UPDATE loads SET status = 'running', attempts = 1, finished_at = NULL")
    age(landing, ordered["load_id"], upkeep.UPLOAD_WAIT + timedelta(seconds=1))
    assert swept(landing) == 0
    landing.rows("UPDATE loads SET status = 'queued'")
    assert swept(landing) == 0, "the sweep marked a load as failed whose event Lambda will deliver again"


def test_the_sweep_does_not_take_waiting_files_and_restores_for_uploads(landing: Landing) -> None:
    """The load of the file waits for its next attempt, so the sweep does not mark it as failed. The object of the
    restore has never arrived, so the sweep gives the restore up. A redrive can reopen the restore, but not a failed
    upload."""
    landing.upload("departments.csv", "1,Sales\n")
    landing.rows("UPDATE loads SET status = 'queued', attempts = 0, finished_at = NULL")
    landing.rows("INSERT INTO loads (dataset, source, kind, status) VALUES ('jobs', 's3://x/y', 'restore', 'queued')")
    landing.rows("UPDATE loads SET queued_at = now() - interval '3 hours'")
    assert swept(landing) == 1
    assert landing.load()["error"] == "gave up: no worker claimed the load in time"


# --- the load fails


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


def redrive(landing: Landing, queue: Queue, ingest: Ingest) -> None:
    reopen = partial(dead_letters.reopen_loads, landing.database)
    assert dead_letters.redrive(reopen, queue.letters, ingest, seconds=60) == Redriven(redriven=1, left=0)


def test_an_upload_that_was_given_up_is_loaded_after_a_redrive(
    api: Api, landing: Landing, queue: Queue, ingest: Ingest
) -> None:
    ordered = order(api)
    event = landing.put(ordered["key"], "1,Sales\n")
    assert landing.give_up(event)["id"] == ordered["load_id"]
    queue.fail(event)
    redrive(landing, queue, ingest)
    landing.deliver(event)
    assert (landing.load(ordered["load_id"])["status"], landing.loads()) == ("succeeded", 1)


def test_a_redrive_restarts_the_wait_of_an_upload_whose_event_never_reached_the_database(
    api: Api, landing: Landing, queue: Queue, ingest: Ingest
) -> None:
    """The database was unavailable during all attempts of Lambda to deliver the event. So in the database, the load
    still waits for its file, although the file has arrived."""
    ordered = order(api)
    event = landing.put(ordered["key"], "1,Sales\n")
    age(landing, ordered["load_id"], upkeep.UPLOAD_WAIT + timedelta(seconds=1))
    queue.fail(event)
    redrive(landing, queue, ingest)
    assert swept(landing) == 0
    landing.deliver(event)
    assert (landing.load(ordered["load_id"])["status"], landing.loads()) == ("succeeded", 1)


def test_an_upload_that_the_sweep_failed_before_the_redrive_gets_its_own_load(
    api: Api, landing: Landing, queue: Queue, ingest: Ingest
) -> None:
    ordered = order(api)
    event = landing.put(ordered["key"], "1,Sales\n")
    age(landing, ordered["load_id"], upkeep.UPLOAD_WAIT + timedelta(seconds=1))
    assert swept(landing) == 1
    queue.fail(event)
    redrive(landing, queue, ingest)
    assert landing.load(ordered["load_id"])["error"] == NEVER_CAME
    landing.deliver(ingest.events[0])
    assert (landing.load()["status"], landing.loads()) == ("succeeded", 2)


# --- refused requests


def problem(response: Response, status: int) -> Any:
    assert (response.status, response.headers["Content-Type"]) == (status, "application/problem+json")
    return response.body


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"dataset": "salaries", "filename": "../x.txt", "size": -1}, ["dataset", "filename", "size"]),
        ({"dataset": "jobs", "filename": "jobs.csv", "size": 1, "key": "anything"}, [None]),
        ({"dataset": "jobs", "filename": "\ud800.csv", "size": 1}, ["filename"]),
        ([], [None]),
    ],
)
def test_an_invalid_order_is_refused_and_makes_no_load(
    api: Api, landing: Landing, body: Any, fields: list[str | None]
) -> None:
    response = problem(api.post("/uploads", body), 422)
    assert [error["field"] for error in response["errors"]] == fields
    assert landing.loads() == 0


def test_a_file_beyond_the_limit_of_the_stage_is_refused(
    api: Api, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOAD_LIMIT", "1000")
    services().database.close()
    services.cache_clear()
    order(api, size=1000)
    body = {"dataset": "departments", "filename": "new.csv", "size": 1001}
    response = problem(api.post("/uploads", body), 422)
    assert "in parts" in response["errors"][0]["reason"]
    assert landing.loads() == 1


def test_a_body_that_is_not_json_is_refused(api: Api, landing: Landing) -> None:
    problem(api.post("/uploads", b"{"), 400)
    problem(api.post("/uploads", b"1,Sales\n", **{"Content-Type": "text/csv"}), 415)
    assert landing.loads() == 0


def test_if_no_form_can_be_made_there_is_no_load(landing: Landing) -> None:
    def without_credentials() -> Any:
        raise NoCredentialsError

    storage = Storage(*BUCKETS, client=without_credentials)
    with pytest.raises(StorageUnavailable):
        order_upload(landing.database, storage, {"dataset": "jobs", "filename": "jobs.csv", "size": 1})
    assert landing.loads() == 0


# --- cancelling


def cancel(api: Api, load_id: int | str) -> Response:
    return api.send("DELETE", f"/uploads/{load_id}")


@pytest.mark.parametrize("filename", ["new.csv", "new.xlsx", "new.avro"])
def test_an_upload_can_be_cancelled_repeatedly_before_its_file_comes(api: Api, landing: Landing, filename: str) -> None:
    ordered = order(api, filename=filename)
    for _ in range(2):
        response = cancel(api, ordered["load_id"])
        assert (response.status, response.body) == (204, None)
    load = api.get(ordered["status_url"]).body
    assert (load["status"], load["error"], load["attempts"]) == ("skipped", CANCELLED, 0)
    assert load["finished_at"] is not None


def test_a_file_that_comes_after_the_cancellation_gets_its_own_load(api: Api, landing: Landing) -> None:
    ordered = order(api)
    cancel(api, ordered["load_id"])
    own = landing.upload(ordered["key"], "1,Sales\n")
    assert (landing.loads(), own["status"], counts(own)) == (2, "succeeded", (1, 1, 0, 0, 0, 0))
    assert landing.load(ordered["load_id"])["status"] == "skipped"


def test_an_upload_whose_file_is_in_the_bucket_is_not_cancelled_even_before_its_event_comes(
    api: Api, landing: Landing
) -> None:
    ordered = order(api)
    event = landing.put(ordered["key"], "1,Sales\n")
    detail = problem(cancel(api, ordered["load_id"]), 409)["detail"]
    assert detail == f"the file of load {ordered['load_id']} has arrived: the load goes on"
    landing.deliver(event)
    assert (landing.load(ordered["load_id"])["status"], landing.loads()) == ("succeeded", 1)


def test_a_load_that_has_ended_is_not_cancelled(api: Api, landing: Landing) -> None:
    ordered = order(api)
    landing.upload(ordered["key"], "1,Sales\n")
    assert problem(cancel(api, ordered["load_id"]), 409)["detail"].endswith("has ended: its status is succeeded")
    given_up = order(api)
    age(landing, given_up["load_id"], upkeep.UPLOAD_WAIT + timedelta(seconds=1))
    swept(landing)
    assert problem(cancel(api, given_up["load_id"]), 409)["detail"].endswith("has ended: its status is failed")
    assert landing.load(given_up["load_id"])["error"] == NEVER_CAME


def test_a_running_load_is_not_cancelled(api: Api, landing: Landing) -> None:
    ordered = order(api)
    [event] = created_objects(landing.put(ordered["key"], "1,Sales\n"))
    with landing.database.session() as session:
        assert claim(session, event, DATASETS["departments"], "csv")
        detail = problem(cancel(api, ordered["load_id"]), 409)["detail"]
    assert detail == f"the file of load {ordered['load_id']} has arrived: the load is running, and goes on"


def test_only_uploads_are_cancelled(api: Api, landing: Landing) -> None:
    own = landing.upload("departments.csv", "1,Sales\n")
    request = api.post("/job/upload", {"job": "Clerk"}).body["load_id"]
    for load_id in (int(own["id"]), int(request), 99, "x"):
        assert problem(cancel(api, load_id), 404)["detail"] == f"there is no upload {load_id}"


def test_get_and_delete_ignore_a_body(api: Api, landing: Landing) -> None:
    ordered = order(api)
    for method, path, status in (
        ("GET", ordered["status_url"], 200),
        ("DELETE", f"/uploads/{ordered['load_id']}", 204),
    ):
        assert api.send(method, path, b'{"reason": "none"}').status == status
    assert landing.load(ordered["load_id"])["status"] == "skipped"


@pytest.mark.parametrize("wins", ["the file", "the cancellation"])
def test_if_a_file_and_a_cancellation_come_at_the_same_moment_the_first_one_wins(
    api: Api, landing: Landing, database_url: str, wins: str
) -> None:
    """The second transaction waits until the first one has committed its change of the load. Then the second
    transaction sees this change."""
    load_id = order(api)["load_id"]
    [event] = created_objects(landing.put(f"uploads/{load_id}/departments-new.csv", "1,Sales\n"))
    results: list[int | None] = []

    def claimed(session: Session) -> int | None:
        claimed_load = claim(session, event, DATASETS["departments"], "csv")
        return claimed_load.load_id if claimed_load else None

    def cancelled(session: Session) -> int | None:
        return load_id if announcements.cancel_upload(session, load_id) else None

    first, second = (claimed, cancelled) if wins == "the file" else (cancelled, claimed)
    other = Database(database_url, tls="disable")
    with landing.database.session() as one, other.session() as two:
        with one.transaction():
            assert first(one) == load_id
            late = threading.Thread(target=lambda: results.append(second(two)))
            late.start()
            until_locked(database_url)
        late.join()
    other.close()
    status = landing.load(load_id)["status"]
    if wins == "the file":
        assert (results, status, landing.loads()) == ([None], "running", 1)
    else:
        assert (results, status, landing.loads()) == ([load_id + 1], "skipped", 2)


def until_locked(database_url: str) -> None:
    """Return as soon as a transaction waits for a row that another transaction has changed."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'transactionid'"
    deadline = time.monotonic() + 10
    database = Database(database_url, tls="disable")
    with database.session() as watching:
        while not watching.scalar(waiting):
            assert time.monotonic() < deadline
    database.close()
