"""Tests that the background tasks of the embedded AWS start and stop together with the server."""

import asyncio
from pathlib import Path
from typing import Any

from infra.local.gate.app import Send
from infra.local.gate.bodies import Message, Receive
from infra.local.memory import Memory
from infra.local.runtime.lambdas import Lambdas
from infra.local.server import Alive


def test_nothing_is_saved_before_the_saved_state_is_read(tmp_path: Path) -> None:
    """Before a service has read its saved state, its state is empty. Saving the empty state would overwrite the saved
    state."""
    steps: list[str] = []

    class Watched(Memory):
        def start(self) -> None:
            steps.append("memory starts")
            super().start()

        async def stop(self) -> None:
            await super().stop()
            steps.append("memory stops")

    class WatchedLambdas(Lambdas):
        def __init__(self) -> None:
            super().__init__(lambda _: {}, lambda _: None, lambda *_: None, lambda *_: None)

        def start(self) -> None:
            steps.append("events are delivered")
            super().start()

        async def stop(self) -> None:
            await super().stop()
            steps.append("workers end")

    async def inner(_: Message, receive: Receive, send: Send) -> None:
        await receive()
        steps.append("state is loaded")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        steps.append("state is saved")
        await send({"type": "lifespan.shutdown.complete"})

    async def send(message: Any) -> None:
        steps.append(message["type"])

    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return events.pop(0)

    async def run() -> None:
        memory = Watched({}, lambda *_: None, lambda _: None)
        await Alive(inner, memory, WatchedLambdas(), tmp_path / "aws.log")({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert steps == [
        "state is loaded",
        "memory starts",
        "events are delivered",
        "lifespan.startup.complete",
        "workers end",
        "memory stops",
        "state is saved",
        "lifespan.shutdown.complete",
    ]
