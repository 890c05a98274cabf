"""Declares the messages of the outbox, and what the functions `relay` and `outbox` send to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOAD = "load"  # a load has ended: its event has to be sent
NOTICE = "notice"  # the event of a load was sent, and people have to be told
BACKUPS = "backups"  # backups are late, or are in time again: people have to be told
INVOKE = "invoke"  # a function has to be invoked
# The kinds of the messages that go to one service. The messages of a line keep their order. A service that refuses
# messages does not hold up the other lines.
LINES = ((INVOKE,), (LOAD,), (NOTICE, BACKUPS))
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """A message of the outbox. `id` gives the order of the messages. `kind` is one of the constants of this
    module."""

    id: int
    kind: str
    body: Body


@dataclass(frozen=True)
class Order:
    """A request of the function `relay` to the function `outbox`.

    `relay` is the name of the relay's invocation. `sent` are the ids of the messages that this invocation has sent.
    `noteworthy` are the ids of messages about loads that need a notice, after this invocation has sent their events.
    `dead_letters` is the depth of the dead-letter queue, or None if the relay has not measured it. `lines` are the
    positions in LINES from which the relay wants further messages. Without further messages, `lines` is empty.
    """

    relay: str
    sent: list[int] = field(default_factory=list)
    noteworthy: list[int] = field(default_factory=list)
    dead_letters: int | None = None
    lines: list[int] = field(default_factory=lambda: [*range(len(LINES))])


@dataclass(frozen=True)
class Taken:
    """The response of the function `outbox`: the next messages, in their order, and the URL of the API. The URL is
    empty if it is not known. `busy` says that another invocation of the relay is sending messages."""

    messages: tuple[Message, ...] = ()
    api_url: str = ""
    busy: bool = False

    def payload(self) -> dict[str, Any]:
        """Return the JSON object that the function `outbox` returns."""
        return {"messages": [vars(one) for one in self.messages], "api_url": self.api_url, "busy": self.busy}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "Taken":
        """Convert the JSON object that `payload` returns."""
        messages = tuple(Message(**one) for one in payload["messages"])
        return cls(messages, payload["api_url"], payload["busy"])
