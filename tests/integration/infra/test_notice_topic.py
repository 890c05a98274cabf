"""Tests how a deployment to an emulator creates the topic of the notices and its subscriptions."""

from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.deploy import notices
from infra.deploy.target import Target, topic_name
from tests.integration.s3_fixtures import S3

TOPIC = f"arn:aws:sns:us-east-1:123456789012:{topic_name('local')}"


QUEUE = "arn:aws:sqs:us-east-1:123456789012:mine"
NO_TOPIC = r"NotFound|ResourceNotFound"


def subscribed(target: Target) -> set[tuple[str, str]]:
    found = target.client("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    return {(each["Protocol"], each["Endpoint"]) for each in found}


def test_the_topic_has_exactly_the_subscriptions_of_the_settings_and_those_of_users(s3: S3, tmp_path: Path) -> None:
    target = Target("local", tmp_path, tmp_path, {"NOTICE_TOPIC": TOPIC}, {"AWS_DEFAULT_REGION": "us-east-1"})
    with pytest.raises(ClientError, match=NO_TOPIC):
        notices.has_topic(target)
    notices.make_topic(target)
    target.client("sqs").create_queue(QueueName="mine")
    target.client("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=QUEUE)
    assert notices.has_topic(target)
    before = target
    for wanted in (
        {"email": "hr@example.com", "http": "http://127.0.0.1:8000/hook"},
        {"email": "it@example.com", "https": "https://example.com/hook"},
        {},
    ):
        changed = replace(target, subscriptions=wanted)
        assert not notices.has_topic(changed)
        for _ in range(2):
            notices.make_topic(changed)
            assert notices.has_topic(changed)
        assert not notices.has_topic(before) or before.subscriptions == wanted
        assert subscribed(target) == {("sqs", QUEUE), *wanted.items()}
        before = changed
    notices.delete_topic(target)
    notices.delete_topic(target)
    with pytest.raises(ClientError, match=NO_TOPIC):
        notices.has_topic(target)
