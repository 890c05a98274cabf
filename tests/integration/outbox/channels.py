"""Stands for the services to which the relay sends messages. These services keep everything that they get, and refuse
requests if a test says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.cloud.database import Database
from chalicelib.cloud.event_bus import EventBus
from chalicelib.cloud.functions import Functions
from chalicelib.cloud.topics import Topic
from chalicelib.outbox import store
from chalicelib.outbox.messages import Order, Taken
from chalicelib.outbox.relay import Channels, Relay, Relayed


class Crash(Exception):
    """Stands for a crash of the process."""


@dataclass
class Services:
    """The clients of EventBridge, SNS and Lambda. `events`, `notices` and `invocations` hold everything that has
    arrived.

    After `refused` events, PutEvents refuses every further event. If `error` is set, every request to SNS raises it.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    invocations: list[dict[str, Any]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    refused: int | None = None
    error: Exception | None = None

    def put_events(self, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.batches.append(len(Entries))
        results: list[dict[str, str]] = []
        for entry in Entries:
            if self.refused is not None and len(self.events) >= self.refused:
                results.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "too fast"})
            else:
                self.events.append(dict(entry))
                results.append({"EventId": "1"})
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def publish(self, **params: Any) -> None:
        if self.error:
            raise self.error
        self.notices.append(params)

    def invoke(self, **params: Any) -> None:
        self.invocations.append(params)

    def channels(self, percent: float = 10) -> Channels:
        functions = Functions(lambda: self)
        topic = Topic("arn:aws:sns:us-east-1:123456789012:hireflow-local-notices", lambda: self)
        return Channels(EventBus(lambda: self), topic, functions.invoke_later, "local", percent)


@dataclass
class Stage:
    """A database and the services of a relay. `crash_after` is the number of orders after which the process crashes."""

    database: Database
    services: Services = field(default_factory=Services)
    crash_after: int | None = None

    def take(self, order: Order) -> Taken:
        """Do what the function `outbox` does. The response is converted to JSON and back, as in a real invocation."""
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                raise Crash
        with self.database.transaction() as session:
            return Taken.of(store.take(session, order).payload())

    def relay(self, seconds: float = 60, percent: float = 10) -> Relayed:
        return Relay(self.take, self.services.channels(percent)).run(seconds)

    def messages(self, kind: str = "load") -> list[Any]:
        with self.database.session() as session:
            return [body for [body] in session.run("SELECT body FROM outbox WHERE kind = :k ORDER BY id", k=kind)]
