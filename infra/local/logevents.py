"""FilterLogEvents as clients of CloudWatch Logs expect it: with pages, and an id for every event.

ministack answers with the oldest 10,000 events, or as many as were asked for, says nothing of the others, and knows
no token. It gives the events of functions no ids, without which a client that follows cannot tell new ones from
those it has. A page begins anew at the time of the last event before it, less those of that time which were given
out already; of more than 10,000 events of one millisecond the rest stays unseen.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Json = dict[str, Any]
TARGET = "Logs_20140328.FilterLogEvents"
MOST = 10_000  # events in one answer


@dataclass(frozen=True)
class Page:
    """What is asked of ministack: `order`, whose first `given` events were on earlier pages."""

    order: Json
    given: int

    @classmethod
    def of(cls, asked: Json) -> "Page":
        """Raises ValueError for a token that is none of ours."""
        order = {name: value for name, value in asked.items() if name != "nextToken"}
        given = 0
        if "nextToken" in asked:
            start, _, count = str(asked["nextToken"]).partition("-")
            order["startTime"], given = int(start), int(count)
        order["limit"] = min(MOST, int(order.get("limit", MOST)) + given)
        return cls(order, given)

    def response(self, found: Json) -> Json:
        """The answer to what was asked, made of ministack's."""
        events = _with_ids(found["events"])
        response = {**found, "events": events[self.given :]}
        if len(events) == self.order["limit"]:
            last = events[-1]["timestamp"]
            known = sum(event["timestamp"] == last for event in events)
            response["nextToken"] = f"{last}-{known}" if known < MOST else f"{last + 1}-0"
        return response


def _with_ids(events: list[Json]) -> list[Json]:
    """An id that is missing is made of all that the event is, and of its place among those that are the same."""
    seen: Counter[str] = Counter()
    named = []
    for event in events:
        same = f"{event['logStreamName']}\0{event['timestamp']}\0{event['message']}"
        seen[same] += 1
        named.append({"eventId": sha256(f"{same}\0{seen[same]}".encode()).hexdigest(), **event})
    return named
