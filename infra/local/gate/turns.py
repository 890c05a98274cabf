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

ROUNDS = 4  # a request that takes more rounds waits for its client or for the disk


class Turns:
    """Gives one turn at a time. A turn ends after `rounds` rounds of the event loop, although its request goes on, so
    that slow clients do not hold up the others. If nothing else happens, such rounds take some microseconds."""

    def __init__(self, rounds: int = ROUNDS) -> None:
        self._turns, self._rounds = asyncio.Semaphore(1), rounds

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it during the `async with` block."""
        await self._turns.acquire()
        turn = _Turn(self._turns, self._rounds)
        turn.count()
        try:
            await asyncio.sleep(0)  # until the next round: otherwise this round would serve one request after the other
            yield
        finally:
            turn.end()


@dataclass
class _Turn:
    """A turn, which ends only once. `left` is the number of rounds until its end."""

    turns: asyncio.Semaphore
    left: int
    has_ended: bool = False

    def count(self) -> None:
        """Count the rounds from now on."""
        self.left -= 1
        if self.left < 0:
            self.end()
        elif not self.has_ended:
            asyncio.get_running_loop().call_soon(self.count)

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.turns.release()
