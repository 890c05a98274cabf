"""How an event reaches the ingest function again: the dead-letter queue, and an asynchronous invocation.

boto3 is imported when a client is first needed, as in `storage`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.errors import NotFound, Unavailable

Client = Callable[[], Any]
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
        self._make = client or _client("sqs")

    def receive(self) -> list[Message]:
        """Some messages, hidden from others for a while; none where the queue is empty. Raises Unavailable."""
        with self._errors():  # waiting a second asks all of SQS's servers, where not waiting asks some
            answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=1)
        return [Message(m["MessageId"], m["Body"], m["ReceiptHandle"]) for m in answer.get("Messages", ())]

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
            answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
            return int(answer["Attributes"][name])

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


def sibling(deployed: str, function: str) -> str:
    """The deployed name of another function of the same stage: its name in app.py comes after the last hyphen."""
    stage, hyphen, _ = deployed.rpartition("-")
    return f"{stage}{hyphen}{function}"


class Functions:
    """Deployed functions, by ARN or by name."""

    def __init__(self, client: Client | None = None) -> None:
        self._make = client or _client("lambda")

    def invoke_later(self, arn: str, event: Any) -> None:
        """Hand an event over for asynchronous invocation, with all its retries.

        Raises NotFound where the function does not take it, Unavailable where none can be asked.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._lambda.invoke(FunctionName=arn, InvocationType="Event", Payload=json.dumps(event).encode())
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if 400 <= status < 500 and status != 429:
                raise NotFound(f"{arn} does not take the event") from error
            raise Unavailable(f"{arn} cannot be invoked now") from error
        except (BotoCoreError, OSError) as error:
            raise Unavailable(f"{arn} cannot be invoked now") from error

    @cached_property
    def _lambda(self) -> Any:
        return self._make()


def _client(service: str) -> Client:
    def make() -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=6, retries={"mode": "standard", "max_attempts": 2})
        create: Any = boto3.client  # its stubs want the service's name at type-checking time
        return create(service, config=config)

    return make
