"""The S3 events of a stage: copy them, lose them, deliver them again, and read the dead letters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.deploy.target import Target


class Events:
    """The events of the landing bucket. `s3` and the clients of the target bypass the proxies."""

    def __init__(self, target: Target, s3: Any) -> None:
        self._target, self._s3 = target, s3
        self._functions, self._queues = target.client("lambda"), target.client("sqs")
        self._copies = ""

    def tap(self) -> None:
        """Let S3 also send its events to a queue of the tests. Idempotent, because a restart may lose this setting."""
        allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        url = str(self._queues.create_queue(QueueName="copies", Attributes={"Policy": policy})["QueueUrl"])
        attributes = self._queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        copies = {"Id": "copies", "QueueArn": attributes["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        self._notify(self._notifications() | {"QueueConfigurations": [copies]})
        self._copies = url

    @contextmanager
    def swallowed(self) -> Iterator[None]:
        """During this context, the events of acknowledged objects reach only the queue of the tests."""
        usual = self._notifications()
        self._notify({name: value for name, value in usual.items() if name != "LambdaFunctionConfigurations"})
        try:
            yield
        finally:
            self._notify(usual)

    def copies(self) -> list[Any]:
        """Return the events that S3 has sent since the last call."""
        bodies: list[Any] = []
        while messages := self._queues.receive_message(QueueUrl=self._copies, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
            taken = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
            self._queues.delete_message_batch(QueueUrl=self._copies, Entries=taken)
        return bodies

    def dead_letters(self) -> list[str]:
        """Return the failure records of the events whose retries have run out. The records stay in their queue."""
        url = self._queues.get_queue_url(QueueName=self._target.dead_letters)["QueueUrl"]
        received: list[Any] = []
        while messages := self._queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            received += messages
        for message in received:
            receipt = message["ReceiptHandle"]
            self._queues.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return [message["Body"] for message in received]

    def deliver(self, event: Any) -> None:
        """Deliver an S3 event (again) as S3 does, without waiting for the invocation."""
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
