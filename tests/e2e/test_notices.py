"""Tests that the events and notices of loads arrive at other services: queues that are subscribed to the event bus and
to the topic of the notices."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest

from chalicelib.outbox import load_events
from infra.deploy import driver
from infra.deploy.target import topic_name
from infra.local.provision import connect
from tests.e2e.cloud import PATIENCE, Cloud, Row, until

RULE, EVENTS, NOTICES = "hireflow-test-events", "hireflow-test-events", "hireflow-test-notices"


class Listener:
    """Has two queues. One queue gets the events of loads, and the other one gets the notices. The attributes `events`
    and `notices` hold everything that has arrived."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, target = cloud, cloud.commands.deployed()
        self.sqs, self.bus, self.sns = (target.client(name) for name in ("sqs", "events", "sns"))
        self.topic = self.sns.create_topic(Name=topic_name(cloud.commands.stage))["TopicArn"]
        self.urls = {name: self._queue(name) for name in (EVENTS, NOTICES)}
        self.events: list[Row] = []
        self.notices: list[Row] = []
        pattern = {"source": [load_events.SOURCE], "detail-type": [load_events.DETAIL_TYPE]}
        self.bus.put_rule(Name=RULE, EventPattern=json.dumps(pattern))
        self.bus.put_targets(Rule=RULE, Targets=[{"Id": "1", "Arn": self._arn(EVENTS)}])
        subscription = self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self._arn(NOTICES))
        self.subscription = subscription["SubscriptionArn"]

    def close(self) -> None:
        self.sns.unsubscribe(SubscriptionArn=self.subscription)
        self.bus.remove_targets(Rule=RULE, Ids=["1"])
        self.bus.delete_rule(Name=RULE)
        for url in self.urls.values():
            self.sqs.delete_queue(QueueUrl=url)

    def relay(self) -> None:
        """Run the relay, and receive the events and notices that have arrived."""
        self.cloud.commands.invoke("relay")
        self.receive()

    def receive(self) -> None:
        self.events += [json.loads(body)["detail"] for body in self._received(EVENTS)]
        self.notices += [json.loads(body) for body in self._received(NOTICES)]

    def of_load(self, load_id: int) -> list[Row]:
        return [event for event in self.events if event["load_id"] == load_id]

    def wait_for(self, found: Callable[[], Any], what: str) -> Any:
        def look() -> Any:
            self.relay()
            return found()

        return until(look, what)

    def _queue(self, name: str) -> str:
        url = str(self.sqs.create_queue(QueueName=name)["QueueUrl"])
        allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return url

    def _arn(self, name: str) -> str:
        found = self.sqs.get_queue_attributes(QueueUrl=self.urls[name], AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    def _received(self, name: str) -> Iterator[str]:
        url = self.urls[name]
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                yield message["Body"]
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def listener(cloud: Cloud) -> Iterator[Listener]:
    listening = Listener(cloud)
    yield listening
    listening.close()


def test_the_end_of_a_load_is_an_event_with_links_that_work(cloud: Cloud, listener: Listener) -> None:
    load = cloud.upload("hr/jobs_event.csv", "1,Clerk\n2,\n")
    [event] = listener.wait_for(lambda: listener.of_load(load["id"]), "the event of the load")
    same = ("dataset", "source", "kind", "status", "received", "inserted", "rejected", "started_at", "finished_at")
    assert {name: event[name] for name in same} == {name: load[name] for name in same}
    assert event["stage"] == cloud.commands.stage
    assert event["links"]["load"] == f"{cloud.env['API_URL']}/loads/{load['id']}"
    shown = cloud.get(event["links"]["rejects"].removeprefix(cloud.env["API_URL"]))
    assert [reject["line"] for reject in shown.body["rejects"]] == [2]


def test_a_file_that_fails_has_a_notice_with_its_folder_and_reason(cloud: Cloud, listener: Listener) -> None:
    load = cloud.upload("hr/zürich/jobs\u202e_failed.csv", "1,\n2,\n")
    assert load["status"] == "failed"
    about = f"load {load['id']} "
    [notice] = listener.wait_for(
        lambda: [one for one in listener.notices if about in one["Subject"]], "the notice about the load"
    )
    assert notice["Subject"] == f"Hireflow {cloud.commands.stage}: {about}failed: jobs?_failed.csv"
    assert "File: jobs?_failed.csv\n" in notice["Message"]
    assert "/hr/zürich/\n" in notice["Message"]
    assert "2 x job is missing" in notice["Message"]
    assert f"See: {cloud.env['API_URL']}/#/load?id={load['id']}\n" in notice["Message"]
    assert notice["MessageAttributes"]["kind"]["Value"] == "load_failed"
    assert notice["MessageAttributes"]["stage"]["Value"] == cloud.commands.stage


def test_a_relay_that_is_killed_after_sending_sends_again_and_keeps_the_order(
    cloud: Cloud, listener: Listener, stage: str | None
) -> None:
    if stage is not None:
        pytest.skip("only the embedded cloud has workers that this test can kill")
    listener.wait_for(lambda: cloud.sql("SELECT count(*) FROM outbox") == [(0,)], "an empty outbox")
    with closing(connect(cloud.env["DATABASE_URL"])) as database:
        ids = [cloud.post("/job/upload", {"job": f"Job {number}"}).body["load_id"] for number in range(12)]
        # A transaction that deletes a message waits for this lock. So the relay sends its messages, and then waits.
        database.run("BEGIN")
        database.run("SELECT FROM outbox FOR UPDATE")
        driver.invoke_later(cloud.commands.deployed(), "relay", {"detail": {}})

        def all_sent() -> bool:
            listener.receive()
            return set(ids) <= {event["load_id"] for event in listener.events}

        until(all_sent, "the events that the relay has sent")
        for function in ("relay", "outbox"):
            for pid in cloud.workers(function):
                os.kill(pid, signal.SIGKILL)
        database.run("ROLLBACK")
    first = [event["load_id"] for event in listener.events if event["load_id"] in ids]
    assert first == ids
    assert cloud.sql(f"SELECT count(*) FROM outbox WHERE (body->>'load_id')::bigint >= {ids[0]}") == [(len(ids),)]
    cloud.sql("UPDATE relay_state SET leased_until = now()")  # end the lease of the killed relay
    listener.events.clear()
    listener.wait_for(lambda: ids[-1] in {event["load_id"] for event in listener.events}, "the second sending")
    assert [event["load_id"] for event in listener.events if event["load_id"] in ids][: len(ids)] == ids


def test_a_webhook_gets_notices_after_it_has_confirmed_its_subscription(
    cloud: Cloud, listener: Listener, stage: str | None
) -> None:
    if stage is not None:
        pytest.skip("other services may not reach a server of this machine")
    received: list[Row] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/hook"
            listener.sns.subscribe(TopicArn=listener.topic, Protocol="http", Endpoint=url)
            until(lambda: received, "the request to confirm")
            assert received[0]["Type"] == "SubscriptionConfirmation"
            with urlopen(received[0]["SubscribeURL"], timeout=PATIENCE) as answer:  # without a signature, as on AWS
                assert answer.status == 200
            load = cloud.upload("jobs_hook.csv", "1,\n")
            listener.wait_for(lambda: len(received) > 1, "the notice")
            assert f"load {load['id']} failed" in received[1]["Subject"]
        finally:
            server.shutdown()
    for found in listener.sns.list_subscriptions_by_topic(TopicArn=listener.topic)["Subscriptions"]:
        if found["Protocol"] == "http":
            listener.sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
