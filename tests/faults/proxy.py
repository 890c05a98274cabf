"""Runs a TCP proxy between the functions and Postgres. The proxy injects faults when a test calls for them.

All methods are thread-safe. The faults are those of a real network:

- A reset sends a real RST packet.
- A stalled connection delivers everything later.
- A black hole discards all bytes. Both ends still see an open connection.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from infra.local.ports import HOST

_BLOCK = 64 * 1024


class _Link:
    """A connection through the proxy. It has a socket to the client and a socket to the server."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.swallowed = False
        self.gone = asyncio.Event()

    def close(self) -> None:
        self.gone.set()
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        self.gone.set()
        for writer in self._writers:
            wire = writer.get_extra_info("socket")
            if wire is not None:
                with suppress(OSError):  # the socket is already closed
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class TcpProxy:
    """Listens on a free port of this machine. `aim` sets the port to which the proxy forwards connections."""

    def __init__(self) -> None:
        self._target = 0
        self._links: set[_Link] = set()
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def aim(self, port: int) -> None:
        self._target = port

    def reset(self) -> int:
        """Reset every connection. Return the number of connections that were reset."""
        return self._each(_Link.reset)

    def stall(self, seconds: float) -> int:
        """Hold back all bytes for some seconds, and deliver them afterwards. Return the number of current
        connections."""
        self._call(self._flows.clear)
        self._later(seconds, self._flows.set)
        return len(self._links)

    def delay(self, each: float, seconds: float) -> int:
        """Deliver every block of bytes `each` seconds late, during the next `seconds`."""
        self._delay = each
        self._later(seconds, self._undelayed)
        return len(self._links)

    def black_hole(self, seconds: float) -> int:
        """Discard all bytes of the current connections, in both directions, and reset them after some seconds.

        If one end closes its connection, the other end does not notice it. New connections are not affected. Return the
        number of connections that were not already in a black hole.
        """
        links = [link for link in list(self._links) if not link.swallowed]
        for link in links:
            link.swallowed = True

        def give_up() -> None:
            for link in links:
                link.reset()

        self._later(seconds, give_up)
        return len(links)

    def calm(self) -> None:
        """End all faults."""
        self._delay = 0.0
        self._call(self._flows.set)
        self._each(lambda link: link.reset() if link.swallowed else None)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)  # asyncio closes a transport only in a later iteration of the event loop

    def _undelayed(self) -> None:
        self._delay = 0.0

    def _call(self, act: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(act)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, act)

    def _each(self, act: Callable[[_Link], None]) -> int:
        links = list(self._links)
        for link in links:
            self._call(lambda link=link: act(link))  # type: ignore[misc]
        return len(links)

    async def _listen(self) -> int:
        self._flows.set()
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:  # Postgres is down: for the client this looks like a refused connection
            _Link(writer).reset()
            return
        link = _Link(writer, far_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, far_writer), self._pump(link, far_reader, writer), return_exceptions=True
            )
        finally:
            link.close()
            self._links.discard(link)

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_BLOCK):
                await self._flows.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if not link.swallowed:
                    writer.write(data)
                    await writer.drain()
            if link.swallowed:
                await link.gone.wait()  # in a black hole, the other end must not notice that this end has closed
        finally:
            link.close()
