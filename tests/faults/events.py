"""Works with the S3 events of a stage: copies them, loses them on purpose, delivers them again, and reads the dead
letters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.deploy.target import Target


class Events:
    """The events of the landing bucket. `s3` and the other clients send their requests straight to the embedded AWS,
    not through the proxies."""

    def __init__(self, target: Target, s3: Any) -> None:
        self._target, self._s3 = target, s3
        self._functions, self._queues = target.client("lambda"), target.client("sqs")
        self._copies = ""

    def tap(self) -> None:
        """Let S3 also send its events to a queue of the tests. A restart may lose this setting, so the tests call this
        method again, which does no harm."""
        allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        url = str(self._queues.create_queue(QueueName="copies", Attributes={"Policy": policy})["QueueUrl"])
        attributes = self._queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        copies = {"Id": "copies", "QueueArn": attributes["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        self._notify(self._notifications() | {"QueueConfigurations": [copies]})
        self._copies = url

    @contextmanager
    def swallowed(self) -> Iterator[None]:
        """Make S3 send its events only to the queue of the tests, and not to the function, during the `with` block."""
        usual = self._notifications()
        self._notify({name: value for name, value in usual.items() if name != "LambdaFunctionConfigurations"})
        try:
            yield
        finally:
            self._notify(usual)

    def copies(self) -> list[Any]:
        """Return the events that S3 has sent since the last call of this method."""
        bodies: list[Any] = []
        while messages := self._queues.receive_message(QueueUrl=self._copies, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
            taken = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
            self._queues.delete_message_batch(QueueUrl=self._copies, Entries=taken)
        return bodies

    def dead_letters(self) -> list[str]:
        """Return the failure records that Lambda has sent for events after the last retry. The records stay in the
        dead-letter queue."""
        url = self._queues.get_queue_url(QueueName=self._target.dead_letters)["QueueUrl"]
        received: list[Any] = []
        while messages := self._queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            received += messages
        for message in received:
            receipt = message["ReceiptHandle"]
            self._queues.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return [message["Body"] for message in received]

    def deliver(self, event: Any) -> None:
        """Send an event to the function as S3 does. Do not wait until the invocation has ended."""
        name, payload = self._target.function("ingest"), json.dumps(event).encode()
        self._functions.invoke(FunctionName=name, InvocationType="Event", Payload=payload)

    def _notifications(self) -> dict[str, Any]:
        configuration: dict[str, Any] = self._s3.get_bucket_notification_configuration(Bucket=self._target.landing)
        configuration.pop("ResponseMetadata")
        return configuration

    def _notify(self, notifications: dict[str, Any]) -> None:
        self._s3.put_bucket_notification_configuration(
            Bucket=self._target.landing, NotificationConfiguration=notifications
        )
