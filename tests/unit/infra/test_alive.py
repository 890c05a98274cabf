"""Tests that the background tasks of the embedded AWS start and stop together with the server."""

import asyncio
from typing import Any

from infra.local.gate.app import Send
from infra.local.gate.bodies import Message, Receive
from infra.local.memory import Memory
from infra.local.runtime.lambdas import Lambdas
from infra.local.server import Alive


class WatchedMemory(Memory):
    def __init__(self, steps: list[str]) -> None:
        super().__init__({}, lambda *_: None, lambda _: None)
        self._steps = steps

    def start(self) -> None:
        self._steps.append("memory starts")
        super().start()

    async def stop(self) -> None:
        await super().stop()
        self._steps.append("memory stops")


class WatchedLambdas(Lambdas):
    def __init__(self, steps: list[str]) -> None:
        super().__init__(lambda _: {}, lambda _: None, lambda *_: None, lambda *_: None)
        self._steps = steps

    def start(self) -> None:
        self._steps.append("events are delivered")
        super().start()

    async def stop(self) -> None:
        await super().stop()
        self._steps.append("workers end")


def test_nothing_is_saved_before_the_saved_state_is_read() -> None:
    """Before a service has read its saved state, its state is empty. Saving the empty state would overwrite the saved
    state."""
    steps: list[str] = []

    async def task() -> None:
        steps.append("task starts")
        try:
            await asyncio.sleep(60)
        finally:
            steps.append("task stops")

    async def inner(_: Message, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0)
        steps.append("state is loaded")
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(0)  # the task begins to run
        await receive()
        steps.append("state is saved")
        await send({"type": "lifespan.shutdown.complete"})

    async def send(message: Any) -> None:
        steps.append(message["type"])

    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return events.pop(0)

    async def run() -> None:
        await Alive(inner, WatchedMemory(steps), WatchedLambdas(steps), [task])({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert steps == [
        "state is loaded",
        "memory starts",
        "events are delivered",
        "lifespan.startup.complete",
        "task starts",
        "workers end",
        "memory stops",
        "task stops",
        "state is saved",
        "lifespan.shutdown.complete",
    ]
