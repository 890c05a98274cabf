"""Counts the slots of a function: how many events its workers handle at the same time.

A caller that finds no free slot waits. Waiting callers get slots in the order of their arrival.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

Granted = Callable[[], None]


class Slots:
    """The slots of one function. `limit` may change at any time. If it decreases, taken slots stay taken."""

    def __init__(self, limit: int) -> None:
        self._limit, self._taken = limit, 0
        self._waiting: OrderedDict[object, Granted] = OrderedDict()

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        return self._taken >= self._limit

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._grant()

    def take(self, waiter: object, granted: Granted) -> bool:
        """Take a slot and return True if a slot is free and nobody waits. Otherwise return False, and call `granted`
        when the waiter has got a slot."""
        if self._taken < self._limit and not self._waiting:
            self._taken += 1
            return True
        self._waiting[waiter] = granted
        return False

    def free(self) -> None:
        """Give a slot back."""
        self._taken -= 1
        self._grant()

    def withdraw(self, waiter: object) -> bool:
        """Stop waiting. Return False if the waiter has got a slot already."""
        return self._waiting.pop(waiter, None) is not None

    def _grant(self) -> None:
        while self._waiting and self._taken < self._limit:
            self._taken += 1
            _, granted = self._waiting.popitem(last=False)
            granted()


async def acquire(slots: Slots, patience: float | None = None) -> bool:
    """Wait for a slot, at most `patience` seconds if this is given. Return whether the caller has a slot now."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if slots.take(turn, lambda: turn.set_result(None)):
        return True
    try:
        await asyncio.wait([turn], timeout=patience)
    except asyncio.CancelledError:
        if not slots.withdraw(turn):
            slots.free()
        raise
    return not slots.withdraw(turn)
