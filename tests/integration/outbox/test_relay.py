"""Tests that the relay sends every message at least once and in order, through crashes and refusals."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from chalicelib.cloud.database import Database
from chalicelib.cloud.functions import Functions
from chalicelib.core.errors import Unavailable
from chalicelib.outbox import late_backups, store
from chalicelib.outbox.invocations import ByRelay
from chalicelib.outbox.messages import Order
from chalicelib.outbox.relay import Relay
from chalicelib.recovery import dead_letters
from infra.venv import ROOT
from tests.integration.landing import Landing
from tests.integration.outbox.channels import Crash, Stage
from tests.integration.sqs_fixtures import Queue


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def end_loads(stage: Stage, count: int, status: str = "succeeded") -> None:
    with stage.database.session() as session:
        for number in range(count):
            session.run(
                "INSERT INTO loads (dataset, source, kind, status) VALUES ('jobs', :source, 'csv', :status)",
                source=f"s3://test-landing/hr/jobs_{number}.csv",
                status=status,
            )


def sent(stage: Stage) -> list[int]:
    return [json.loads(event["Detail"])["load_id"] for event in stage.services.events]


def test_all_messages_are_sent_in_order_and_in_batches_of_ten(stage: Stage) -> None:
    end_loads(stage, 2 * store.MOST + 3)
    assert stage.relay().events == 2 * store.MOST + 3
    assert sent(stage) == list(range(1, 2 * store.MOST + 4))
    assert stage.services.batches == [10] * 10 + [3]
    assert stage.messages() == []
    assert stage.relay().events == 0
    assert {(e["Source"], e["DetailType"]) for e in stage.services.events} == {("hireflow", "hireflow.load")}


def test_messages_are_sent_again_if_the_relay_crashes_before_it_deletes_them(stage: Stage) -> None:
    end_loads(stage, 13)
    stage.crash_after = 1  # the relay gets the messages, sends them, and crashes before its next order
    with pytest.raises(Crash):
        stage.relay()
    assert sent(stage) == list(range(1, 14))
    stage.crash_after = None
    assert stage.relay().busy  # the lease of the crashed relay lasts until its invocation must have ended
    end_lease(stage)
    assert stage.relay().events == 13
    assert sent(stage) == [*range(1, 14), *range(1, 14)]
    assert stage.messages() == []


def end_lease(stage: Stage) -> None:
    with stage.database.session() as session:
        session.run("UPDATE relay_state SET leased_until = now() - interval '1 second'")


def test_the_relay_stops_at_the_first_refused_event_and_sends_the_rest_next_time(stage: Stage) -> None:
    end_loads(stage, 25)
    stage.services.refused = 14
    with pytest.raises(Unavailable):
        stage.relay()
    assert sent(stage) == list(range(1, 15))
    assert [body["load_id"] for body in stage.messages()] == list(range(15, 26))
    stage.services.refused = None
    stage.relay()  # the failed relay has released its lease, so another one can send
    assert sent(stage) == list(range(1, 26))


def test_only_one_relay_sends_at_a_time(stage: Stage) -> None:
    end_loads(stage, 1)
    assert len(stage.take(Order("first")).messages) == 1
    assert stage.take(Order("second")).busy
    assert len(stage.take(Order("first")).messages) == 1  # the holder renews its lease
    assert not stage.take(Order("first", lines=[])).messages
    assert len(stage.take(Order("second")).messages) == 1
    end_lease(stage)
    assert len(stage.take(Order("third")).messages) == 1
    assert stage.take(Order("second", [1])).busy
    assert stage.messages() == []  # the holder has sent the message, so the message is deleted


def test_the_relay_leaves_messages_for_the_next_one_when_its_time_is_over(stage: Stage) -> None:
    """A slow service must not keep the relay from deleting what it has sent."""
    end_loads(stage, 12, "failed")
    for _ in range(2):
        ByRelay(stage.database).invoke_later("ingest", {})
    found = [stage.relay(seconds=0) for _ in range(3)]
    assert [one.events for one in found] == [10, 2, 0]
    assert [one.invocations for one in found] == [1, 1, 0]
    assert [one.notices for one in found] == [0, 1, 1]
    assert sent(stage) == list(range(1, 13))
    assert len(stage.messages("notice")) == 10


@pytest.mark.parametrize("code", ["Throttling", "NotFound", "AuthorizationError", "KMSDisabled"])
def test_a_topic_that_accepts_no_notices_holds_up_no_event(stage: Stage, code: str) -> None:
    end_loads(stage, 2, "failed")
    end_loads(stage, 2 * store.MOST)
    ByRelay(stage.database).invoke_later("ingest", {"Records": []})
    stage.services.error = ClientError({"Error": {"Code": code, "Message": ""}}, "Publish")
    for _ in range(2):
        with pytest.raises(Unavailable, match="SNS"):
            stage.relay()
    assert sent(stage) == list(range(1, 2 * store.MOST + 3))  # each event once
    assert len(stage.services.invocations) == 1
    assert stage.messages() == []
    assert [body["load_id"] for body in stage.messages("notice")] == [1, 2]
    stage.services.error = None
    assert stage.relay().notices == 2
    assert [notice["Subject"].split(" ")[3] for notice in stage.services.notices] == ["1", "2"]
    assert len(sent(stage)) == 2 * store.MOST + 2


def test_notices_follow_their_events_and_no_notice_waits_without_a_topic(stage: Stage) -> None:
    end_loads(stage, 1, "failed")
    channels = replace(stage.services.channels(), topic=None)
    assert Relay(stage.take, channels).run(60).events == 1
    assert (stage.messages(), stage.messages("notice"), stage.services.notices) == ([], [], [])


def test_a_notice_that_sns_does_not_accept_now_is_sent_next_time(stage: Stage) -> None:
    end_loads(stage, 1)
    end_loads(stage, 1, "failed")
    stage.services.error = ClientError({"Error": {"Code": "Throttling", "Message": ""}}, "Publish")
    with pytest.raises(Unavailable):
        stage.relay()
    assert [body["status"] for body in stage.messages("notice")] == ["failed"]
    stage.services.error = None
    assert stage.relay().notices == 1
    assert sent(stage) == [1, 2]
    [notice] = stage.services.notices
    assert notice["MessageAttributes"]["kind"] == {"DataType": "String", "StringValue": "load_failed"}
    assert {name: value["StringValue"] for name, value in notice["MessageAttributes"].items()} == {
        "kind": "load_failed",
        "stage": "local",
        "dataset": "jobs",
    }


def test_a_notice_that_sns_can_never_accept_does_not_hold_up_the_others(stage: Stage) -> None:
    end_loads(stage, 1, "failed")
    stage.services.error = ClientError({"Error": {"Code": "InvalidParameter", "Message": "no"}}, "Publish")
    assert stage.relay().notices == 0
    assert stage.messages() == []


def test_invocations_are_not_held_up_by_events(stage: Stage) -> None:
    end_loads(stage, 1)
    ByRelay(stage.database).invoke_later("ingest", {"Records": []})
    stage.services.refused = 0
    with pytest.raises(Unavailable):
        stage.relay()
    [invocation] = stage.services.invocations
    assert (invocation["FunctionName"], json.loads(invocation["Payload"])) == ("ingest", {"Records": []})
    assert (len(stage.messages()), stage.messages("invoke")) == (1, [])


def test_an_episode_of_late_backups_has_one_notice_at_its_beginning_and_one_at_its_end(stage: Stage) -> None:
    def watch(lag: float | None, minutes_later: int = 0) -> int:
        with stage.database.session() as session:
            session.run(f"UPDATE late_backups SET since = since - interval '{minutes_later} minutes'")
            late_backups.watch(session, lag)
        return stage.relay().notices

    late = late_backups.LIMIT.total_seconds() + 1
    assert [watch(0), watch(late), watch(late)] == [0, 0, 0]  # one sweep is not enough for a notice
    assert [watch(late, 5), watch(late, 60), watch(None, 60)] == [1, 0, 0]
    assert [watch(0), watch(0)] == [1, 0]
    assert [watch(late), watch(0, 60)] == [0, 0]  # its end has no notice, because its beginning had none
    assert [watch(None), watch(None, 14), watch(None, 1)] == [0, 0, 1]
    kinds = [notice["MessageAttributes"]["kind"]["StringValue"] for notice in stage.services.notices]
    assert kinds == ["backups_late", "backups_in_time", "backups_late"]


def test_messages_that_could_not_be_sent_for_too_long_are_discarded(stage: Stage) -> None:
    end_loads(stage, 2)
    ByRelay(stage.database).invoke_later("ingest", {})
    with stage.database.session() as session:
        assert store.discard_old(session) == 0
        session.run("UPDATE outbox SET created_at = now() - interval '7 hours'")
        assert store.discard_old(session) == 1
        assert stage.messages("invoke") == []
        session.run("UPDATE outbox SET created_at = now() - interval '169 hours' WHERE id = 1")
        assert store.discard_old(session) == 1
    assert [body["load_id"] for body in stage.messages()] == [2]


def test_the_depth_of_the_queue_is_the_last_measured_one(stage: Stage) -> None:
    queue = ByRelay(stage.database)
    with pytest.raises(Unavailable):
        queue.measured()
    stage.take(Order("me", dead_letters=3))
    assert queue.measured().depth == 3
    with stage.database.session() as session:
        session.run("UPDATE relay_state SET measured_at = measured_at - interval '10 minutes'")
    assert 600 <= queue.measured().age < 700
    stage.take(Order("me"))
    assert queue.measured().depth == 3


def test_a_redrive_outside_of_the_network_lets_the_function_outbox_reopen_loads(
    landing: Landing, queue: Queue, database_url: str
) -> None:
    event = landing.put("departments.csv", "1,Sales\n")
    load = landing.give_up(event)
    queue.fail(event)
    queue.send("hello")
    stage = Stage(landing.database)
    asked: list[str] = []

    def ask(order: Mapping[str, str]) -> dict[str, str | None]:
        asked.append(order["reopen"])
        return {"refused": dead_letters.refusal(landing.database, order["reopen"])}

    reopen = dead_letters.reopening_by(ask)
    redriven = dead_letters.redrive(reopen, queue.letters, Functions(lambda: stage.services), seconds=60)
    assert vars(redriven) == {"redriven": 1, "left": 1}
    assert landing.load(load["id"])["status"] == "queued"
    assert [json.loads(one["Payload"]) for one in stage.services.invocations] == [event]
    assert queue.depth() == 1
    with landing.database.session() as session:
        session.run("SELECT pg_advisory_lock(:id)", id=load["id"])
        other = Database(database_url, tls="disable")
        assert dead_letters.refusal(other, asked[0]) == f"another worker is working on load {load['id']}"
        other.close()


def test_the_lease_outlives_an_invocation_of_the_relay() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert timedelta(seconds=config["lambda_functions"]["relay"]["lambda_timeout"]) < store.LEASE
