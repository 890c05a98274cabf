"""Sends events to the default event bus of EventBridge."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.cloud.clients import Client, aws_client
from chalicelib.core.errors import Unavailable

MOST_ENTRIES, MOST_BYTES = 10, 256 * 1024  # the limits of one request
# EventBridge documents these errors as errors of the event itself, so no later attempt can succeed.
_PERMANENT = ("InvalidArgument", "MalformedDetail")
_INVALID_REQUEST = "ValidationException"  # the whole request was refused, for example because it is too large
_log = logging.getLogger("hireflow.outbox")


@dataclass(frozen=True)
class Event:
    """An event for EventBridge. `detail` is the text of a JSON object."""

    source: str
    detail_type: str
    detail: str

    @property
    def size(self) -> int:
        """Return the number of bytes that count against MOST_BYTES."""
        return sum(len(part.encode()) for part in (self.source, self.detail_type, self.detail))


class EventBus:
    """Sends events to the default event bus."""

    def __init__(self, client: Client | None = None) -> None:
        self._make = client or aws_client("events")

    def put(self, events: Sequence[Event]) -> int:
        """Send events in their order. Return the number of events before the first event that was not accepted.

        Events after that one may have been accepted, too. An event that EventBridge can never accept counts as
        accepted, and an error is logged. Raises Unavailable if the whole request failed.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        entries = [{"Source": e.source, "DetailType": e.detail_type, "Detail": e.detail} for e in events]
        try:
            results = self._events.put_events(Entries=entries)["Entries"]
        except (BotoCoreError, ClientError, OSError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == _INVALID_REQUEST:
                return self._put_each(events)
            raise Unavailable(f"EventBridge accepts no events now: {type(error).__name__}") from error
        for number, result in enumerate(results):
            code = result.get("ErrorCode")
            if code in _PERMANENT:
                _log.error("an event was discarded, because EventBridge can never accept it: %s", code)
            elif code:
                _log.warning("EventBridge did not accept an event: %s", code)
                return number
        return len(results)

    def _put_each(self, events: Sequence[Event]) -> int:
        """Send each event of a request that EventBridge can never accept in a request of its own, so that one bad event
        does not hold up the others. Discard an event that is refused even then."""
        if len(events) > 1:
            for number, event in enumerate(events):
                if self.put([event]) == 0:
                    return number
        else:
            _log.error("an event was discarded, because EventBridge can never accept it: %s", _INVALID_REQUEST)
        return len(events)

    @cached_property
    def _events(self) -> Any:
        return self._make()


def batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Divide events into batches, each of which fits into one request. The events keep their order."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and (len(batch) == MOST_ENTRIES or size + event.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.size
    if batch:
        yield batch
