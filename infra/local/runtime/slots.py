"""Counts the slots of a function: how many events its workers handle at the same time.

Who finds no free slot waits, and gets a slot in the order of arrival.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

Granted = Callable[[], None]


class Slots:
    """The slots of one function. `limit` may change at any time; slots that are taken stay so until they are freed."""

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
        """Take a slot at once, or return False and call `granted` when the waiter's turn has come."""
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
    """Wait at most `patience` seconds for a slot, or without an end. Return whether there is one."""
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
