"""Tests how a deployment to an emulator creates the topic of the notices and its subscriptions."""

from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.deploy import notices
from infra.deploy.target import Target, topic_name
from tests.integration.s3_fixtures import S3

TOPIC = f"arn:aws:sns:us-east-1:123456789012:{topic_name('local')}"


def test_the_topic_has_exactly_the_subscriptions_of_the_settings_and_those_of_users(s3: S3, tmp_path: Path) -> None:
    target = Target("local", tmp_path, tmp_path, {"NOTICE_TOPIC": TOPIC}, {"AWS_DEFAULT_REGION": "us-east-1"})
    with pytest.raises(ClientError, match="NotFound"):
        notices.subscribed(target)
    notices.make_topic(target)
    assert notices.subscribed(target) == {}
    queue = "arn:aws:sqs:us-east-1:123456789012:mine"
    target.client("sqs").create_queue(QueueName="mine")
    target.client("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=queue)
    for wanted in (
        {"email": "hr@example.com", "http": "http://127.0.0.1:8000/hook"},
        {"email": "it@example.com", "https": "https://example.com/hook"},
        {},
    ):
        for _ in range(2):
            notices.make_topic(replace(target, subscriptions=wanted))
        assert notices.subscribed(target) == wanted
    [left] = target.client("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    assert left["Endpoint"] == queue
    notices.delete_topic(target)
    notices.delete_topic(target)
    with pytest.raises(ClientError, match="NotFound"):
        notices.subscribed(target)
