"""Gives tests the dead-letter queue, in an SQS that moto simulates inside the test process. INGEST is the ARN of the
function whose events fail."""

import json
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from chalicelib.cloud.queues import DeadLetters
from tests.integration.s3_fixtures import S3

DEAD_LETTERS = "test-dead-letters"
INGEST = "arn:aws:lambda:us-east-1:000000000000:function:test-ingest:$LATEST"


@dataclass
class Queue:
    """The dead-letter queue. `letters` is the product's DeadLetters, and `client` is the client that it uses. `calls`
    has the operations that the client has sent so far."""

    client: Any
    url: str
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.letters = DeadLetters(DEAD_LETTERS, client=lambda: self.client)
        self.client.meta.events.register("before-parameter-build.sqs", self._record)

    def _record(self, model: Any, **_: Any) -> None:
        self.calls.append(model.name)

    def send(self, body: str) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def fail(self, event: Any, function: str = INGEST) -> None:
        """Send a dead letter to the queue, as Lambda does after the last retry of an event."""
        self.send(json.dumps(record(event, function)))

    def depth(self, state: str = "ApproximateNumberOfMessages") -> int:
        response = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[state])
        return int(response["Attributes"][state])

    def hidden(self) -> int:
        return self.depth("ApproximateNumberOfMessagesNotVisible")


def record(event: Any, function: str = INGEST) -> dict[str, Any]:
    """Return the record that Lambda sends to a failure destination for an event."""
    return {
        "version": "1.0",
        "timestamp": "2021-07-27T16:02:08.123Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-bd18-bc3a-4fae8f47ff2b",
            "functionArn": function,
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "StorageUnavailable", "errorMessage": "s3://… cannot be reached"},
    }


@pytest.fixture
def queue(s3: S3) -> Queue:  # the fixture `s3` starts moto, so no request leaves this process
    client = boto3.client("sqs", region_name="us-east-1")
    url = client.create_queue(QueueName=DEAD_LETTERS, Attributes={"VisibilityTimeout": "360"})["QueueUrl"]
    return Queue(client, url)
