"""Reads the dead-letter queue. Lambda sends an event to this queue after all retries of the event have failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.cloud.clients import Client, aws_client
from chalicelib.core.errors import Unavailable

_BATCH = 10  # the most messages that SQS returns in one response


@dataclass(frozen=True)
class Measured:
    """The approximate number of messages in the dead-letter queue, and how many seconds ago it was measured."""

    depth: int
    age: float = 0.0


@dataclass(frozen=True)
class Message:
    """A received message. `receipt` is needed to delete the message or to give it back to the queue."""

    id: str
    body: str
    receipt: str


class DeadLetters:
    """The queue of events whose retries all failed."""

    def __init__(self, name: str, client: Client | None = None) -> None:
        self.name = name
        self._make = client or aws_client("sqs")

    def receive(self) -> list[Message]:
        """Receive some messages, or none if the queue is empty. SQS hides received messages from other receivers for a
        while.

        Raises Unavailable.
        """
        with self._errors():  # without a wait time, SQS would search only some of its servers
            response = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=1)
        return [Message(m["MessageId"], m["Body"], m["ReceiptHandle"]) for m in response.get("Messages", ())]

    def delete(self, message: Message) -> None:
        with self._errors():
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def give_back(self, message: Message) -> None:
        """Make the message visible to other receivers at once."""
        with self._errors():
            self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=0)

    def depth(self) -> int:
        """Return approximately how many messages the queue has. Raises Unavailable."""
        name = "ApproximateNumberOfMessages"
        with self._errors():
            response = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
            return int(response["Attributes"][name])

    def measured(self) -> Measured:
        """Return the depth of the queue now. Raises Unavailable."""
        return Measured(self.depth())

    @cached_property
    def _sqs(self) -> Any:
        return self._make()

    @cached_property
    def _url(self) -> str:
        """The queue's URL, which SQS returns for the queue's name. A setting could not contain this URL, because an
        emulator gives different clients different URLs."""
        return str(self._sqs.get_queue_url(QueueName=self.name)["QueueUrl"])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"the queue {self.name} cannot be reached") from error
