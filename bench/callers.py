"""Lets many callers send requests at the same time, and measures the responses.

All callers run in one thread, with asyncio. A request costs this process a tenth of a millisecond or so, while the
stage needs several milliseconds. So the callers do not limit the rate. `Traffic.cpu` says how much time they used.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

PATIENCE = 35.0  # seconds that a caller waits for a response; API Gateway itself waits 29 seconds
_PAUSE = 10.0  # seconds that a caller waits at most because of Retry-After
_REFUSED = (429, 503)


class Request(NamedTuple):
    """A request. `path` begins with the path of the stage's URL. A `name` groups requests in the results."""

    name: str
    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


class Answer(NamedTuple):
    """The result of a request. `status` is 0 if no response came. `size` is the length of the body in bytes."""

    name: str
    method: str
    status: int
    seconds: float
    size: int


@dataclass
class Traffic:
    """The results of all requests of a measurement. `seconds` is the length of the measurement. `cpu` is the time in
    seconds for which this process used a processor."""

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Return the successful responses per second."""
        return sum(answer.status < 400 for answer in self.answers if answer.status) / self.seconds

    @property
    def refused(self) -> float:
        """Return which percentage of the responses were 429 or 503."""
        return 100 * sum(answer.status in _REFUSED for answer in self.answers) / max(len(self.answers), 1)

    @property
    def failed(self) -> Counter[str]:
        """Count requests without a response ("no response"), and responses that are neither successful nor 429 or
        503."""
        wrong = (answer for answer in self.answers if answer.status not in _REFUSED)
        return Counter(str(each.status or "no response") for each in wrong if not 200 <= each.status < 400)

    def percentile(self, part: float, *methods: str) -> float:
        """Return the number of seconds within which a part of the responses came, for example 0.99 of them. With
        `methods`, only requests with these methods count. A request without a response counts with the time that its
        caller has waited."""
        seconds = sorted(each.seconds for each in self.answers if not methods or each.method in methods)
        assert seconds, "no request was sent"
        return seconds[min(int(part * len(seconds)), len(seconds) - 1)]


class Connection:
    """A connection to a server at `netloc` that stays open from one request to the next. `patience` is how many seconds
    a response may take."""

    def __init__(self, netloc: str, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._host, _, port = netloc.partition(":")
        self._port = int(port or 80)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: Request) -> tuple[int, bytes, float]:
        """Send a request. Return the status, the body, and the seconds after which the server allows a retry."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._send(request)
        except BaseException:
            self.close()
            raise

    async def _send(self, request: Request) -> tuple[int, bytes, float]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        if request.body or request.method != "GET":
            head += f"Content-Type: {request.content_type}\r\nContent-Length: {len(request.body)}\r\n"
        writer.write(head.encode() + b"\r\n" + request.body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if headers.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(0 if status == 204 else int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return status, body, float(headers.get("retry-after", 0))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


async def call(
    url: str, choose: Callable[[], Request], callers: int, done: Callable[[], bool], *, thinking: float = 0.0
) -> Traffic:
    """Let `callers` callers send requests until `done` returns true. Each caller sends its next request `thinking`
    seconds after the response to its last one. After 429 and 503, it waits as long as Retry-After says, if this is
    longer."""
    traffic = Traffic()

    async def caller() -> None:
        connection = Connection(urlsplit(url).netloc)
        while not done():
            request = choose()
            start, status, size, pause = time.perf_counter(), 0, 0, 0.0
            try:
                status, body, pause = await connection.send(request)
                size = len(body)
            except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
                pass
            seconds = time.perf_counter() - start
            traffic.answers.append(Answer(request.name, request.method, status, seconds, size))
            await asyncio.sleep(max(thinking, min(pause, _PAUSE)))
        connection.close()

    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    traffic.seconds, traffic.cpu = time.perf_counter() - start, time.process_time() - cpu
    return traffic


def call_for(url: str, choose: Callable[[], Request], callers: int, seconds: float) -> Traffic:
    """Let callers send requests for some seconds. See `call`."""
    end = time.monotonic() + seconds
    return asyncio.run(call(url, choose, callers, lambda: time.monotonic() > end))
