"""The dead-letter queue: events that Lambda could not deliver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.cloud.clients import Client, aws_client
from chalicelib.core.errors import Unavailable

_BATCH = 10  # messages; SQS hands out no more at once


@dataclass(frozen=True)
class Message:
    """A message that was received; `receipt` is the right to delete it or to give it back."""

    id: str
    body: str
    receipt: str


class DeadLetters:
    """The queue of events whose retries are used up."""

    def __init__(self, name: str, client: Client | None = None) -> None:
        self.name = name
        self._make = client or aws_client("sqs")

    def receive(self) -> list[Message]:
        """Some messages, hidden from others for a while; none where the queue is empty. Raises Unavailable."""
        with self._errors():  # waiting a second asks all of SQS's servers, where not waiting asks some
            response = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=1)
        return [Message(m["MessageId"], m["Body"], m["ReceiptHandle"]) for m in response.get("Messages", ())]

    def delete(self, message: Message) -> None:
        with self._errors():
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def give_back(self, message: Message) -> None:
        """Let others see it again at once."""
        with self._errors():
            self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=0)

    def depth(self) -> int:
        """About how many messages wait. Raises Unavailable."""
        name = "ApproximateNumberOfMessages"
        with self._errors():
            response = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
            return int(response["Attributes"][name])

    @cached_property
    def _sqs(self) -> Any:
        return self._make()

    @cached_property
    def _url(self) -> str:
        """Asked for rather than configured: an emulator's differs between those who ask."""
        return str(self._sqs.get_queue_url(QueueName=self.name)["QueueUrl"])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"the queue {self.name} cannot be reached") from error
