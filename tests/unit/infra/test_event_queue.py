"""Tests how the embedded AWS keeps, retries and gives up events. The tests set the time themselves."""

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from infra.local.runtime.delivery import Delivery
from infra.local.runtime.event_queue import MAX_AGE, Event, EventQueue, Policy
from infra.local.runtime.slots import Slots
from infra.local.runtime.worker import Outcome

DONE, FAILED = Outcome(b"null"), Outcome(b"{}", failed=True)


def payload(number: int) -> bytes:
    return str(number).encode()


@given(st.lists(st.integers(0, 5), max_size=30))
def test_events_leave_the_queue_by_time_and_then_by_arrival(dues: list[int]) -> None:
    queue = EventQueue()
    for number, due in enumerate(dues):
        queue.put(Event(payload(number), due), due)
    left = [queue.pop(10) for _ in dues]
    expected = sorted(range(len(dues)), key=lambda number: (dues[number], number))
    assert [event.payload for event in left if event] == [payload(number) for number in expected]
    assert queue.next_due() is None


def test_an_event_whose_time_has_not_come_stays() -> None:
    queue = EventQueue()
    queue.put(Event(b"1", 0), 7)
    assert queue.pop(6.9) is None
    assert queue.next_due() == 7
    event = queue.pop(7)
    assert event is not None
    assert event.attempts == 1


def test_the_pauses_double_and_the_third_failure_is_the_last_one() -> None:
    pauses = []
    for attempts in (1, 2, 3):
        pauses.append(Event(b"", 0, attempts).pause(Policy(), 0))
    assert pauses == [1, 2, None]
    assert Event(b"", 0, 10).pause(Policy(retries=99), 0) == 30


def test_a_retry_that_would_come_too_late_is_given_up() -> None:
    event = Event(b"", 0, attempts=1)
    assert event.pause(Policy(), MAX_AGE - 1) == 1
    assert event.pause(Policy(), MAX_AGE - 0.5) is None


def test_the_policy_is_read_from_the_record_of_a_function() -> None:
    config = {
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {"OnFailure": {"Destination": "arn"}},
    }
    assert Policy.of({"event_invoke_config": config}) == Policy(0, 60, "arn")
    assert Policy.of({"event_invoke_configs": {"$LATEST": config}}) == Policy(0, 60, "arn")
    assert Policy.of({}) == Policy(2, 21_600, "")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Deliveries:
    """A delivery whose attempts end as `outcome` says. `attempts` has the payloads of all attempts. `most` is the
    largest number of slots that were taken at the same time."""

    def __init__(self, outcome: Callable[[bytes], Outcome], limit: int = 1, policy: Policy | None = None) -> None:
        self.clock, self.slots = Clock(), Slots(limit)
        self.attempts: list[bytes] = []
        self.given_up: list[tuple[bytes, bool]] = []
        self.most = 0
        self._outcome = outcome
        self.delivery = Delivery(self.slots, self._attempt, lambda: policy or Policy(), self._give_up, self.clock)

    async def _attempt(self, content: bytes) -> Outcome:
        self.attempts.append(content)
        self.most = max(self.most, self.slots.taken)
        await asyncio.sleep(0)
        return self._outcome(content)

    def _give_up(self, content: bytes, outcome: Outcome, _: Policy) -> None:
        self.given_up.append((content, outcome.failed))

    async def settle(self) -> None:
        """Let all tasks run until they wait for the clock or for a slot."""
        for _ in range(200):
            await asyncio.sleep(0)


@given(st.integers(1, 4), st.integers(1, 12))
def test_every_event_is_handled_once_in_order_and_within_the_limit(limit: int, events: int) -> None:
    async def run() -> Deliveries:
        made = Deliveries(lambda _: DONE, limit)
        for number in range(events):
            made.delivery.put(payload(number))
        await made.settle()
        assert len(made.delivery) == 0
        await made.delivery.stop()
        return made

    made = asyncio.run(run())
    assert made.attempts == [payload(number) for number in range(events)]
    assert made.most <= limit
    assert (made.slots.taken, made.given_up) == (0, [])


def test_waiting_for_a_slot_uses_up_no_attempt() -> None:
    async def run() -> Deliveries:
        made = Deliveries(lambda _: DONE)
        made.slots.take("another one", lambda: None)
        made.delivery.put(b"1")
        made.clock.now = MAX_AGE - 1
        await made.settle()
        assert made.attempts == []
        assert len(made.delivery) == 1
        made.slots.free()
        await made.settle()
        await made.delivery.stop()
        return made

    made = asyncio.run(run())
    assert (made.attempts, made.given_up) == ([b"1"], [])


def test_an_event_that_has_waited_for_more_than_six_hours_is_given_up_without_an_attempt() -> None:
    async def run() -> Deliveries:
        made = Deliveries(lambda _: DONE)
        made.slots.take("another one", lambda: None)
        made.delivery.put(b"1")
        await made.settle()
        made.clock.now = MAX_AGE + 1
        made.slots.free()
        await made.settle()
        await made.delivery.stop()
        return made

    made = asyncio.run(run())
    assert (made.attempts, made.given_up, made.slots.taken) == ([], [(b"1", True)], 0)


def test_a_failing_event_is_given_up_once_after_its_last_attempt() -> None:
    async def run() -> Deliveries:
        made = Deliveries(lambda _: FAILED, policy=Policy(retries=0))
        made.delivery.put(b"1")
        made.delivery.put(b"2")
        await made.settle()
        await made.delivery.stop()
        return made

    made = asyncio.run(run())
    assert (made.attempts, made.given_up) == ([b"1", b"2"], [(b"1", True), (b"2", True)])


def test_an_event_that_waits_for_its_retry_holds_up_no_other_event() -> None:
    async def run() -> Deliveries:
        made = Deliveries(lambda content: FAILED if content == b"bad" else DONE)
        made.delivery.put(b"bad")
        made.delivery.put(b"good")
        await made.settle()
        assert made.attempts == [b"bad", b"good"]
        assert len(made.delivery) == 1
        made.clock.now = 1
        made.delivery.put(b"later")  # the retry is due by now, too, and comes first
        await made.settle()
        await made.delivery.stop()
        return made

    assert asyncio.run(run()).attempts == [b"bad", b"good", b"bad", b"later"]
