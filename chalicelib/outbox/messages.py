"""Declares the messages of the outbox, and what the functions `relay` and `outbox` send to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOAD = "load"  # a load has ended
BACKUPS = "backups"  # backups are late, or are in time again
INVOKE = "invoke"  # a function has to be invoked
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """A message of the outbox. `id` gives the order of the messages. `kind` is LOAD, BACKUPS or INVOKE."""

    id: int
    kind: str
    body: Body


@dataclass(frozen=True)
class Order:
    """A request of the function `relay` to the function `outbox`.

    `relay` is the name of the relay's invocation. `sent` are the ids of the messages that this invocation has sent.
    `dead_letters` is the depth of the dead-letter queue, or None if the relay has not measured it. `done` says that the
    relay wants no further messages.
    """

    relay: str
    sent: list[int] = field(default_factory=list)
    dead_letters: int | None = None
    done: bool = False


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
