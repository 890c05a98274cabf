"""Tests that callers get the slots of a function in the order of their arrival, and never more than the limit."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infra.local.runtime.slots import Slots, acquire


class SlotsMachine(RuleBasedStateMachine):
    """Compares the slots with a simple model: a list of the waiters, and the number of taken slots."""

    def __init__(self) -> None:
        super().__init__()
        self.limit, self.number = 2, 0
        self.slots = Slots(self.limit)
        self.waiting: list[int] = []
        self.granted: list[int] = []
        self.expected: list[int] = []
        self.holders = 0

    @rule()
    def take(self) -> None:
        self.number += 1
        number = self.number
        if self.slots.take(number, lambda: self.granted.append(number)):
            assert not self.waiting
            self.holders += 1
        else:
            self.waiting.append(number)

    @precondition(lambda self: self.holders > 0)
    @rule()
    def free(self) -> None:
        self.holders -= 1
        self._grant()
        self.slots.free()

    @rule(limit=st.integers(0, 4))
    def change_the_limit(self, limit: int) -> None:
        self.limit = limit
        self._grant()
        self.slots.limit = limit

    @precondition(lambda self: self.number > 0)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.number))
        assert self.slots.withdraw(number) == (number in self.waiting)
        self.waiting = [each for each in self.waiting if each != number]

    def _grant(self) -> None:
        while self.waiting and self.holders < self.limit:
            self.holders += 1
            self.expected.append(self.waiting.pop(0))

    @invariant()
    def the_turns_are_those_of_the_model(self) -> None:
        assert self.granted == self.expected
        assert (self.slots.taken, self.slots.waiting) == (self.holders, len(self.waiting))


TestSlots = SlotsMachine.TestCase


@given(st.integers(1, 5), st.integers(1, 30))
def test_tasks_run_in_the_order_of_arrival_and_within_the_limit(limit: int, tasks: int) -> None:
    slots, order, most = Slots(limit), list[int](), 0

    async def work(number: int) -> None:
        nonlocal most
        assert await acquire(slots)
        order.append(number)
        most = max(most, slots.taken)
        await asyncio.sleep(0)
        slots.free()

    async def run() -> None:
        await asyncio.gather(*map(work, range(tasks)))

    asyncio.run(run())
    assert order == list(range(tasks))
    assert most == min(limit, tasks)
    assert (slots.taken, slots.waiting) == (0, 0)


def test_who_waits_too_long_gets_no_slot_and_leaves_the_queue() -> None:
    async def run() -> tuple[bool, bool, int, int]:
        slots = Slots(1)
        return await acquire(slots), await acquire(slots, 0), slots.taken, slots.waiting

    assert asyncio.run(run()) == (True, False, 1, 0)


def test_a_cancelled_task_gives_its_slot_to_the_next_one() -> None:
    async def run() -> tuple[int, int]:
        slots = Slots(1)
        await acquire(slots)
        waiting = [asyncio.create_task(acquire(slots)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # while it waits
        slots.free()
        waiting[1].cancel()  # when it has just got the slot
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await waiting[2]
        return slots.taken, slots.waiting

    assert asyncio.run(run()) == (1, 0)
