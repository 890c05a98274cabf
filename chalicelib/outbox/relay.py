"""Sends the messages of the outbox in their order.

The relay deletes a message only after it has sent it. If an invocation of the relay crashes between these two steps,
the next one sends the message again. So each message is sent at least once.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from chalicelib.cloud.event_bus import Event, EventBus, batches
from chalicelib.cloud.topics import Topic
from chalicelib.core.errors import NotFound, Unavailable, Unprocessable
from chalicelib.outbox import load_events, notices
from chalicelib.outbox.messages import BACKUPS, INVOKE, LOAD, Message, Order, Taken
from chalicelib.outbox.notices import Notice

_log = logging.getLogger("hireflow.outbox")
Take = Callable[[Order], Taken]


@dataclass(frozen=True)
class Channels:
    """The services to which the relay sends messages. Without a topic, the relay publishes no notices. `percent` is the
    share of rejected rows above which a load needs a notice."""

    bus: EventBus
    topic: Topic | None
    invoke_later: Callable[[str, Any], None]
    stage: str
    percent: float


@dataclass
class Relayed:
    """Counts the messages that an invocation of the relay has sent. `busy` says that another invocation is sending
    messages."""

    events: int = 0
    notices: int = 0
    invocations: int = 0
    busy: bool = False


@dataclass
class Relay:
    """One invocation of the relay. `take` sends an order to the function `outbox`, and returns the response."""

    take: Take
    channels: Channels
    relayed: Relayed = field(default_factory=Relayed)
    _sent: list[int] = field(default_factory=list)
    _failure: Unavailable | None = None

    def run(self, seconds: float, dead_letters: int | None = None) -> Relayed:
        """Send messages until there are no more, or about `seconds` are over.

        Raises Unavailable if a service did not accept a message. All messages before that one were sent and are
        deleted.
        """
        until, name = time.monotonic() + seconds, uuid4().hex
        taken = self.take(Order(name, dead_letters=dead_letters))
        while taken.messages:
            self._send(taken)
            done = self._failure is not None or time.monotonic() > until
            taken, self._sent = self.take(Order(name, self._sent, done=done)), []
        self.relayed.busy = taken.busy
        if self._failure is not None:
            raise self._failure
        return self.relayed

    def _send(self, taken: Taken) -> None:
        """Send the messages. Invocations are one sequence. Events and notices are another one. A failure in one
        sequence does not hold up the other."""
        invocations = [message for message in taken.messages if message.kind == INVOKE]
        others = [message for message in taken.messages if message.kind != INVOKE]
        with self._noting_failure():
            self._invoke(invocations)
        with self._noting_failure():
            self._send_events_and_notices(others, taken.api_url)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except Unavailable as error:
            self._failure = error

    def _invoke(self, messages: Iterable[Message]) -> None:
        for message in messages:
            try:
                self.channels.invoke_later(message.body["function"], message.body["event"])
                self.relayed.invocations += 1
            except NotFound as error:  # no object is lost, because the sweep offers it again
                _log.error("an invocation was discarded: %s", error.detail)
            self._sent.append(message.id)

    def _send_events_and_notices(self, messages: Sequence[Message], api_url: str) -> None:
        """Send events and notices. The events between two messages about backups are sent in batches."""
        rest = list(messages)
        while rest:
            loads = list(_leading(rest))
            self._send_load_events(loads, api_url)
            rest = rest[len(loads) :]
            if rest:
                self._publish(notices.of_backups(rest[0].body, self.channels.stage))
                self._sent.append(rest.pop(0).id)

    def _send_load_events(self, messages: Sequence[Message], api_url: str) -> None:
        details = [load_events.detail(message.body, self.channels.stage, api_url) for message in messages]
        ended = iter(zip(messages, details, strict=True))
        events = [Event(load_events.SOURCE, load_events.DETAIL_TYPE, _json(detail)) for detail in details]
        for batch in batches(events):
            accepted = self.channels.bus.put(batch)
            self.relayed.events += accepted
            for _ in range(accepted):
                message, detail = next(ended)
                self._publish(notices.of_load(detail, self.channels.stage, self.channels.percent), detail["dataset"])
                self._sent.append(message.id)
            if accepted < len(batch):
                raise Unavailable("EventBridge did not accept an event")

    def _publish(self, notice: Notice | None, dataset: str | None = None) -> None:
        if notice is None or self.channels.topic is None:
            return
        attributes = {"kind": notice.kind, "stage": self.channels.stage} | ({"dataset": dataset} if dataset else {})
        try:
            self.channels.topic.publish(notice.subject, notice.text, attributes)
            self.relayed.notices += 1
        except Unprocessable as error:
            _log.error("a notice was discarded: %s", error.detail)


def _leading(messages: Iterable[Message]) -> Iterable[Message]:
    """Return the messages before the first one that is not about a load."""
    for message in messages:
        if message.kind != LOAD:
            assert message.kind == BACKUPS
            return
        yield message


def _json(detail: load_events.Json) -> str:
    return json.dumps(detail, ensure_ascii=False)
