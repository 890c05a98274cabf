"""Keeps the events of a function until a worker handles them. Some events wait for a slot, others for a retry.

As on AWS, events wait in the order of their arrival, for at most six hours. Waiting uses up no attempt. The pauses
before retries are shorter than on AWS, where they take a minute or two.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RETRIES, MAX_AGE = 2, 21_600  # the defaults of AWS; the age is in seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds; each pause is twice as long as the pause before


@dataclass(frozen=True)
class Policy:
    """Says how often a failed event is retried, and how many seconds old an event may become.

    `destination` is the ARN of a queue, a topic or a function, which gets the events that were given up. If it is
    empty, these events are dropped.
    """

    retries: int = RETRIES
    max_age: float = MAX_AGE
    destination: str = ""

    @classmethod
    def of(cls, function: Mapping[str, Any]) -> "Policy":
        """Return the policy in ministack's record of a function."""
        found = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
        retries, age = found.get("MaximumRetryAttempts"), found.get("MaximumEventAgeInSeconds")
        return cls(
            RETRIES if retries is None else int(retries),
            MAX_AGE if age is None else float(age),
            (found.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination") or "",
        )


@dataclass
class Event:
    """One event. `payload` is JSON. `arrived` is the time of the arrival, in seconds of the caller's clock."""

    payload: bytes
    arrived: float
    attempts: int = 0

    def expired(self, policy: Policy, now: float) -> bool:
        return now - self.arrived > policy.max_age

    def pause(self, policy: Policy, now: float) -> float | None:
        """Return how many seconds to wait after a failed attempt, or None if the event is given up."""
        pause = min(_FIRST_PAUSE * 2.0 ** (self.attempts - 1), _LONGEST_PAUSE)
        if self.attempts > policy.retries or now + pause - self.arrived > policy.max_age:
            return None
        return pause


class EventQueue:
    """Holds the waiting events in the order of the times from which they may be handled. Events with the same time keep
    the order in which they were put in."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Event]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, event: Event, due: float) -> None:
        self._number += 1
        heapq.heappush(self._heap, (due, self._number, event))

    def next_due(self) -> float | None:
        """Return the time from which the next event may be handled, or None if no event waits."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Event | None:
        """Remove the next event, count an attempt for it, and return it. Return None if no event may be handled yet."""
        if not self._heap or self._heap[0][0] > now:
            return None
        event = heapq.heappop(self._heap)[2]
        event.attempts += 1
        return event
