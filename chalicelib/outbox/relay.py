"""Sends the messages of the outbox in their order.

The relay deletes a message only after it has sent it. If the relay crashes between these steps, its next invocation
sends the message again. So each message is sent at least once.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import uuid4

from chalicelib.cloud.event_bus import Event, EventBus, batches
from chalicelib.cloud.topics import Topic
from chalicelib.core.errors import NotFound, Unavailable, Unprocessable
from chalicelib.outbox import load_events, notices
from chalicelib.outbox.messages import BACKUPS, LINES, Message, Order, Taken
from chalicelib.outbox.notices import Notice

_log = logging.getLogger("hireflow.outbox")
Take = Callable[[Order], Taken]


@dataclass(frozen=True)
class Channels:
    """The services through which the relay sends messages. Without a topic, it publishes no notices. `percent` is the
    share of rejected rows above which a load needs a notice."""

    bus: EventBus
    topic: Topic | None
    invoke_later: Callable[[str, Any], None]
    stage: str
    percent: float


@dataclass
class Relayed:
    """Counts what an invocation of the relay has sent. `busy` says that another invocation is sending messages."""

    events: int = 0
    notices: int = 0
    invocations: int = 0
    busy: bool = False


@dataclass
class Relay:
    """One invocation of the relay. `take` passes an order to the function `outbox`."""

    take: Take
    channels: Channels
    relayed: Relayed = field(default_factory=Relayed)
    _sent: list[int] = field(default_factory=list)
    _noteworthy: list[int] = field(default_factory=list)
    _failures: dict[int, Unavailable] = field(default_factory=dict)  # by the number of the line
    _deadline: float = 0.0

    def run(self, seconds: float, dead_letters: int | None = None) -> Relayed:
        """Send messages until there are no more, or about `seconds` are over.

        Raises Unavailable if a service did not accept a message. All messages before it were sent and are deleted, and
        so are the messages of the other lines.
        """
        self._deadline, name = time.monotonic() + seconds, uuid4().hex
        taken = self.take(Order(name, dead_letters=dead_letters))
        while taken.messages:
            self._send(taken)
            lines = [line for line in range(len(LINES)) if line not in self._failures and not self._is_late()]
            taken = self.take(Order(name, self._sent, self._noteworthy, lines=lines))
            self._sent, self._noteworthy = [], []
        self.relayed.busy = taken.busy
        for failure in self._failures.values():
            raise failure
        return self.relayed

    def _is_late(self) -> bool:
        """Return whether the time is over. It is checked after each request, because the relay must delete what it has
        sent before its function times out, however slow a service is."""
        return time.monotonic() > self._deadline

    def _send(self, taken: Taken) -> None:
        for line, send in enumerate((self._invoke, self._send_events, self._send_notices)):
            try:
                send([message for message in taken.messages if message.kind in LINES[line]], taken.api_url)
            except Unavailable as error:
                _log.warning("messages wait for the next relay: %s", error.detail)
                self._failures[line] = error

    def _invoke(self, messages: Iterable[Message], _: str) -> None:
        for message in messages:
            try:
                self.channels.invoke_later(message.body["function"], message.body["event"])
                self.relayed.invocations += 1
            except NotFound as error:  # no object is lost, because the sweep offers it again
                _log.error("an invocation was discarded: %s", error.detail)
            self._sent.append(message.id)
            if self._is_late():
                break

    def _send_events(self, messages: Sequence[Message], api_url: str) -> None:
        """Send the events of loads in batches. The notices about these loads follow as messages of their own."""
        details = [load_events.detail(message.body, self.channels.stage, api_url) for message in messages]
        ended = iter(zip(messages, details, strict=True))
        events = [Event(load_events.SOURCE, load_events.DETAIL_TYPE, _json(detail)) for detail in details]
        for batch in batches(events):
            accepted = self.channels.bus.put(batch)
            self.relayed.events += accepted
            for message, detail in islice(ended, accepted):
                noteworthy = self.channels.topic is not None and self._notice(detail) is not None
                (self._noteworthy if noteworthy else self._sent).append(message.id)
            if accepted < len(batch):
                raise Unavailable("EventBridge did not accept an event")
            if self._is_late():
                break

    def _send_notices(self, messages: Iterable[Message], api_url: str) -> None:
        for message in messages:
            if message.kind == BACKUPS:
                self._publish(notices.of_backups(message.body, self.channels.stage))
            else:
                detail = load_events.detail(message.body, self.channels.stage, api_url)
                self._publish(self._notice(detail), detail["dataset"])
            self._sent.append(message.id)
            if self._is_late():
                break

    def _notice(self, detail: load_events.Json) -> Notice | None:
        return notices.of_load(detail, self.channels.stage, self.channels.percent)

    def _publish(self, notice: Notice | None, dataset: str | None = None) -> None:
        if notice is None or self.channels.topic is None:
            return
        attributes = {"kind": notice.kind, "stage": self.channels.stage} | ({"dataset": dataset} if dataset else {})
        try:
            self.channels.topic.publish(notice.subject, notice.text, attributes)
            self.relayed.notices += 1
        except Unprocessable as error:
            _log.error("a notice was discarded: %s", error.detail)


def _json(detail: load_events.Json) -> str:
    return json.dumps(detail, ensure_ascii=False)
