"""Makes FilterLogEvents respond as CloudWatch Logs does: with pages, and with an id for every event.

ministack returns the oldest 10,000 events, or the oldest `limit` ones. Its response does not say that there are more
events, and has no token for a next page. Events of functions have no ids. Without ids, a client that follows the log
cannot distinguish new events from those that it already has.

This module starts a page at the time of the last event of the page before, and skips those events of this time that
earlier pages had. If one millisecond has more than 10,000 events, no page contains the events beyond 10,000.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Json = dict[str, Any]
TARGET = "Logs_20140328.FilterLogEvents"
MOST = 10_000  # events in one response


@dataclass(frozen=True)
class Page:
    """One page: the `request` to ministack, and how many events of ministack's response to skip."""

    request: Json
    skipped: int

    @classmethod
    def of(cls, request: Json) -> "Page":
        """Return the page that a client requests. Raises ValueError if this module did not make its token."""
        inner = {name: value for name, value in request.items() if name != "nextToken"}
        skipped = 0
        if "nextToken" in request:
            start, _, count = str(request["nextToken"]).partition("-")
            inner["startTime"], skipped = int(start), int(count)
        inner["limit"] = min(MOST, int(inner.get("limit", MOST)) + skipped)
        return cls(inner, skipped)

    def response(self, inner: Json) -> Json:
        """Return the response to the client, made from ministack's response."""
        events = _with_ids(inner["events"])
        response = {**inner, "events": events[self.skipped :]}
        if len(events) == self.request["limit"]:
            last = events[-1]["timestamp"]
            at_last = sum(event["timestamp"] == last for event in events)
            response["nextToken"] = f"{last}-{at_last}" if at_last < MOST else f"{last + 1}-0"
        return response


def _with_ids(events: list[Json]) -> list[Json]:
    """Give an id to each event that has none: a hash of its content, and of its number among events with equal
    content."""
    seen: Counter[str] = Counter()
    with_ids = []
    for event in events:
        content = f"{event['logStreamName']}\0{event['timestamp']}\0{event['message']}"
        seen[content] += 1
        with_ids.append({"eventId": sha256(f"{content}\0{seen[content]}".encode()).hexdigest(), **event})
    return with_ids
