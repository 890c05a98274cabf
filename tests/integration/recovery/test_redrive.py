"""Tests the redrive. The redrive offers events again that Lambda gave up on. The tests try every state of a load, and
crashes of the redrive."""

from functools import partial
from typing import Any

import pytest

from chalicelib.cloud.database import Database
from chalicelib.cloud.functions import Functions
from chalicelib.cloud.queues import DeadLetters
from chalicelib.core.errors import LoadGivenUp, NotFound, Unavailable
from chalicelib.recovery import dead_letters, upkeep
from chalicelib.services import services
from tests.integration.http_api import Api
from tests.integration.landing import GRACE, Landing, Row, counts
from tests.integration.sqs_fixtures import INGEST, Queue


class Crash(Exception):
    """The tests raise this exception at the step where the process crashes."""


class Ingest(Functions):
    """Replaces the client of Lambda. It collects the events that it gets. If `error` is set, it raises this error."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Row] = []
        self.error: Exception | None = None

    def invoke_later(self, arn: str, event: Any) -> None:
        assert arn == INGEST
        if self.error:
            raise self.error
        self.events.append(event)


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


def run(database: Database, queue: Queue, ingest: Ingest, seconds: float = 60) -> dict[str, int]:
    reopen = partial(dead_letters.reopen_loads, database)
    return vars(dead_letters.redrive(reopen, queue.letters, ingest, seconds=seconds))


def given_up(landing: Landing, key: str = "departments.csv", body: str = "1,Sales\n") -> Row:
    """Upload a file, and let its load fail three times. Return the event of the file."""
    event = landing.put(key, body)
    landing.give_up(event)
    return event


def test_a_load_that_was_given_up_is_loaded_after_a_redrive(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest
) -> None:
    event = given_up(landing)
    queue.fail(event)
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}
    load = landing.load()
    assert (load["status"], load["attempts"], load["finished_at"], load["error"]) == ("queued", 0, None, None)
    assert ingest.events == [event]
    assert (queue.depth(), queue.hidden()) == (0, 0)
    landing.deliver(event)
    assert (landing.load()["status"], landing.load()["attempts"], landing.loads()) == ("succeeded", 1, 1)
    assert run(database, queue, ingest) == {"redriven": 0, "left": 0}


@pytest.mark.parametrize(
    "state",
    [
        "status = 'running', attempts = 3, finished_at = NULL, error = NULL",  # all three workers were killed
        "status = 'queued', attempts = 1, finished_at = NULL, error = NULL",  # Lambda has discarded the old event
        "status = 'failed', attempts = 1, given_up = true",  # the sweep has given up the load
    ],
)
def test_a_load_that_no_worker_will_finish_is_loaded_after_a_redrive(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest, state: str
) -> None:
    event = given_up(landing)
    with database.session() as session:
        session.run(f"UPDATE loads SET {state}, queued_at = now() - interval '7 hours'")
    queue.fail(event)
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}
    assert (landing.load()["status"], landing.load()["attempts"]) == ("queued", 0)
    assert upkeep.sweep(database, landing.s3.storage, grace=GRACE).failed == 0, "Lambda may retry again for six hours"
    landing.deliver(event)
    assert landing.load()["status"] == "succeeded"


def test_an_event_without_a_load_is_offered_again(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest
) -> None:
    """The database was unavailable during all attempts, so no load was created."""
    event = landing.put("departments.csv", "1,Sales\n")
    queue.fail(event)
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}
    assert (landing.loads(), ingest.events) == (0, [event])


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [("departments.csv", "1,Sales\n", "succeeded"), ("notes.csv", "1\n", "failed")],
)
def test_a_redrive_does_not_change_a_load_that_has_ended(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest, key: str, body: str, status: str
) -> None:
    event = landing.put(key, body)
    landing.deliver(event)
    before = landing.load()
    assert before["status"] == status
    queue.fail(event)
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}
    landing.deliver(event)
    assert landing.load() == before


def test_the_dead_letter_of_a_load_with_a_worker_stays_in_the_queue(
    landing: Landing, database: Database, database_url: str, queue: Queue, ingest: Ingest
) -> None:
    event = given_up(landing)
    other = Database(database_url, tls="disable")
    with other.session() as session:
        session.run("UPDATE loads SET status = 'running'")
        session.run("SELECT pg_advisory_lock(:id)", id=landing.load()["id"])
        queue.fail(event)
        assert run(database, queue, ingest) == {"redriven": 0, "left": 1}
        # Closing the connection is not enough, because Postgres frees the locks of a closed connection a moment later.
        session.run("SELECT pg_advisory_unlock_all()")
    assert (landing.load()["status"], landing.load()["attempts"], ingest.events) == ("running", 3, [])
    assert queue.depth() == 1, "the redrive did not give the message back at once"
    other.close()
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}


def test_messages_that_cannot_be_parsed_stay_and_do_not_block_others(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):  # more messages than one request returns
        queue.send(f"hello {number}")
    queue.fail(given_up(landing))
    assert run(database, queue, ingest) == {"redriven": 1, "left": 12}
    reason = "stays in the queue: the body is not the record of a failed S3 event"
    assert len([line for line in caplog.messages if reason in line]) == 12
    assert (queue.depth(), queue.hidden()) == (12, 0)


def test_a_dead_letter_stays_if_its_function_does_not_exist(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest
) -> None:
    queue.fail(given_up(landing))
    ingest.error = NotFound("the function does not take the event")
    assert run(database, queue, ingest) == {"redriven": 0, "left": 1}
    assert queue.depth() == 1


def test_all_dead_letters_stay_if_the_database_is_unavailable(landing: Landing, queue: Queue, ingest: Ingest) -> None:
    for number in range(3):
        queue.fail(landing.put(f"jobs_{number}.csv", "1,Clerk\n"))
    away = Database("postgresql+pg8000://user:secret@127.0.0.1:1/hireflow", tls="disable")
    with pytest.raises(Unavailable):
        run(away, queue, ingest)
    assert (queue.depth(), queue.hidden(), ingest.events) == (3, 0, [])


def test_a_redrive_without_time_leaves_the_dead_letters(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest
) -> None:
    queue.fail(given_up(landing))
    assert run(database, queue, ingest, seconds=0) == {"redriven": 0, "left": 1}


@pytest.mark.parametrize("step", ["ReceiveMessage", "Invoke", "DeleteMessage"])
def test_a_crash_at_any_step_loses_nothing(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest, step: str
) -> None:
    """The process of the redrive crashes at `step`. Then an operator starts the redrive again."""
    event = given_up(landing)
    queue.fail(event)

    def die(model: Any, **_: Any) -> None:
        if model.name == step:
            raise Crash

    queue.client.meta.events.register("before-call.sqs", die)
    if step == "Invoke":
        ingest.error = Crash()
    with pytest.raises(Crash):
        run(database, queue, ingest)
    queue.client.meta.events.unregister("before-call.sqs", die)
    ingest.error = None
    if ingest.events:
        landing.deliver(ingest.events[0])
    assert queue.depth() == 1
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}
    landing.deliver(ingest.events[-1])
    assert (landing.load()["status"], landing.loads(), landing.scalar("SELECT count(*) FROM departments")) == (
        "succeeded",
        1,
        1,
    )


def test_an_attempt_after_a_redrive_deletes_the_reject_file_of_an_earlier_attempt(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest
) -> None:
    """Three workers were killed after they had stored the reject file, and the sweep has not run since then."""
    event = landing.put("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    landing.deliver(event)
    stale = landing.load()["errored_key"]
    with database.session() as session:
        session.run("UPDATE loads SET status = 'running', attempts = 3, errored_key = NULL, finished_at = NULL")
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
    assert landing.s3.keys("test-errored") == [stale]
    queue.fail(event)
    run(database, queue, ingest)
    landing.deliver(event)
    assert counts(landing.load())[-1] == 0
    assert landing.s3.keys("test-errored") == []


def test_a_redrive_reopens_a_restore_that_was_given_up_before_its_first_attempt(
    landing: Landing, database: Database, queue: Queue, ingest: Ingest
) -> None:
    """The database was unavailable during all attempts of Lambda. Afterwards the sweep gave up the restore."""
    with database.session() as session:
        session.run(
            "INSERT INTO loads (dataset, source, kind, status, given_up, finished_at) VALUES ('jobs',"
            " 's3://test-landing/restores/1/jobs.avro', 'restore', 'failed', true, now())"
        )
    queue.fail(landing.put("restores/1/jobs.avro", "damaged"))
    assert run(database, queue, ingest) == {"redriven": 1, "left": 0}
    assert landing.load()["status"] == "queued"


def test_every_later_delivery_of_a_load_that_was_given_up_becomes_a_dead_letter(landing: Landing) -> None:
    """If an event is delivered twice, both deliveries use the same three attempts. Both deliveries must fail, so that
    Lambda stores a dead letter for each."""
    event = given_up(landing)
    before = landing.load()
    with pytest.raises(LoadGivenUp):
        landing.deliver(event)
    assert landing.load() == before


def test_health_shows_the_number_of_dead_letters(api: Api, queue: Queue) -> None:
    assert api.get("/health").body["dead_letters"] == 0
    queue.send("hello")
    vars(services()).pop("readiness")  # it keeps what it has read for some seconds
    health = api.get("/health")
    assert (health.status, health.body["status"], health.body["dead_letters"]) == (200, "ok", 1)
    queue.client.delete_queue(QueueUrl=queue.url)


def test_health_shows_null_if_the_queue_cannot_be_reached(api: Api) -> None:
    health = api.get("/health")
    assert (health.status, health.body["dead_letters"]) == (200, None)


def test_sqs_and_lambda_that_cannot_be_reached_are_reported_as_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        DeadLetters("anything").receive()
    with pytest.raises(Unavailable):
        Functions().invoke_later(INGEST, {})
