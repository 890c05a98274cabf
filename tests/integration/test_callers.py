"""Tests the callers of the measurements under load with a small server that sends prepared responses."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count

import pytest

from bench import callers
from bench.callers import Connection, Request, Traffic

READ = Request("read", "GET", "/x")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
Served = Callable[[str], Coroutine[None, None, Traffic]]


def served(responses: list[bytes], work: Served) -> Traffic:
    """Run `work` with the URL of a server that sends these responses in turn, and then closes each connection."""
    waiting = list(responses)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while waiting and await reader.readuntil(b"\r\n\r\n"):
            writer.write(waiting.pop(0))
        writer.close()

    async def run() -> Traffic:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            return await work(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    return asyncio.run(run())


def calls(number: int) -> Served:
    """Return work that lets one caller send `number` requests."""
    turns = count()
    return lambda url: callers.call(url, lambda: READ, 1, lambda: next(turns) >= number)


def test_a_caller_reads_bodies_with_a_length_and_bodies_in_chunks() -> None:
    measured = served([OK, CHUNKED, OK], calls(3))
    assert [(answer.status, answer.size) for answer in measured.answers] == [(200, 3), (200, 5), (200, 3)]


def test_a_caller_waits_as_long_as_a_refusal_says() -> None:
    measured = served([REFUSED, OK], calls(2))
    assert [answer.status for answer in measured.answers] == [429, 200]
    assert measured.seconds >= 1.0
    assert measured.refused == 50.0


def test_a_connection_that_breaks_counts_as_no_response() -> None:
    measured = served([OK, OK[:-2]], calls(2))
    assert measured.failed == {"no response": 1}


def test_a_response_that_takes_too_long_ends_the_connection() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client closes the connection
        writer.close()
        ended.set()

    ended = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        connection = Connection(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", patience=0.05)
        with pytest.raises(TimeoutError):
            await connection.send(READ)
        async with asyncio.timeout(10):
            await ended.wait()
        server.close()

    asyncio.run(run())
