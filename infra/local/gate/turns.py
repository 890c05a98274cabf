"""Lets the clients' requests to S3 take turns, so that a burst of uploads does not hold up the functions.

One event loop serves all requests. In each round, it serves everything that has arrived since the last round. While
hundreds of files arrive at once, a round takes a tenth of a second, and a request of a function, such as the reading of
one of these files, takes several rounds. So only one request of a client is served in a round, in the order of their
arrival. A request of a function does not wait for a turn.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

LONGEST = 0.005  # seconds of a turn; a request that takes longer waits for its client or for the disk


class Turns:
    """Gives one turn at a time. A turn ends after `longest` seconds, although its request goes on, so that slow clients
    do not hold up the others."""

    def __init__(self, longest: float = LONGEST) -> None:
        self._turns, self._longest = asyncio.Semaphore(1), longest

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it during the `async with` block."""
        await self._turns.acquire()
        turn = _Turn(self._turns)
        timer = asyncio.get_running_loop().call_later(self._longest, turn.end)
        try:
            await asyncio.sleep(0)  # until the next round: otherwise this round would serve one request after the other
            yield
        finally:
            timer.cancel()
            turn.end()


@dataclass
class _Turn:
    """A turn, which ends only once."""

    turns: asyncio.Semaphore
    has_ended: bool = False

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.turns.release()
