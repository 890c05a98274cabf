"""Delivers the events of one function to its workers, as many at a time as the function has slots."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from infra.local.runtime.event_queue import Event, EventQueue, Policy
from infra.local.runtime.slots import Slots, acquire
from infra.local.runtime.worker import Outcome

_log = logging.getLogger("hireflow.delivery")


class Delivery:
    """Delivers the events of one function.

    `attempt` lets a worker handle a payload. `policy` returns the function's present policy. `give_up` is called for an
    event that is not retried any more, with its payload, its last outcome and the policy.
    """

    def __init__(
        self,
        slots: Slots,
        attempt: Callable[[bytes], Awaitable[Outcome]],
        policy: Callable[[], Policy],
        give_up: Callable[[bytes, Outcome, Policy], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots, self._attempt, self._policy, self._give_up, self._clock = slots, attempt, policy, give_up, clock
        self._queue = EventQueue()
        self._changed = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many events wait or are being handled."""
        return len(self._queue) + len(self._running)

    def put(self, payload: bytes) -> None:
        now = self._clock()
        self._queue.put(Event(payload, now), now)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._deliver())

    async def stop(self) -> None:
        """Stop the delivery, and drop all events."""
        tasks = [*self._running, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self) -> None:
        while True:
            await self._until_due()
            await acquire(self._slots)
            event = self._queue.pop(self._clock())
            if event is None:
                self._slots.free()
                continue
            task = asyncio.get_running_loop().create_task(self._handle(event))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _until_due(self) -> None:
        while True:
            self._changed.clear()
            due = self._queue.next_due()
            if due is not None and due <= self._clock():
                return
            seconds = None if due is None else due - self._clock()
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                return

    async def _handle(self, event: Event) -> None:
        policy = self._policy()
        try:
            if event.expired(policy, self._clock()):
                outcome = Outcome.error("EventAgeExceeded", "the event has waited too long for a free worker")
                self._give_up(event.payload, outcome, policy)
                return
            outcome = await self._attempt(event.payload)
        except Exception as error:  # a defect of this package must not lose an event
            _log.exception("an event could not be handled")
            outcome = Outcome.error(type(error).__name__, str(error))
        finally:
            self._slots.free()
        if outcome.failed:
            self._retry(event, outcome, policy)

    def _retry(self, event: Event, outcome: Outcome, policy: Policy) -> None:
        now = self._clock()
        pause = event.pause(policy, now)
        if pause is None:
            self._give_up(event.payload, outcome, policy)
        else:
            self._queue.put(event, now + pause)
            self._changed.set()
