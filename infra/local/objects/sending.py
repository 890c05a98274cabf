"""Sends the bodies of objects from their files."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from infra.local.gate.app import Send
from infra.local.gate.bodies import Message, Receive
from infra.local.objects.stored import Stored

T = TypeVar("T")
# Other work, such as that of ministack, may occupy all threads of asyncio. So bodies have threads of their own.
_THREADS = ThreadPoolExecutor(2, "bodies")


async def in_thread(work: Callable[[], T]) -> T:
    """Read or write a file in a thread, so that other requests go on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


def streaming(receive: Receive, send: Send) -> Send:
    """Return a `send` that also takes a `Stored` as the only body of a response."""

    async def sent(message: Message) -> None:
        body = message.get("body")
        if isinstance(body, Stored):
            await _stream(body, receive, send)
        else:
            await send(message)

    return sent


async def _stream(body: Stored, receive: Receive, send: Send) -> None:
    """Send a body piece by piece.

    Stop when the client disconnects. Otherwise the server would hold the rest of the body in memory: for each piece it
    raises the same error of the connection again, and the traceback of this error keeps all pieces.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    pieces = body.pieces()
    try:
        while not gone.done() and (piece := await in_thread(lambda: next(pieces, b""))):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
