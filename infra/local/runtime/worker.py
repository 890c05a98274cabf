"""Sends events to one worker, a process that handles one event at a time."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from infra.local.runtime import bootstrap


@dataclass(frozen=True)
class Outcome:
    """The result of one invocation, as JSON. If `failed` is true, the result describes an error. If `body` is given, it
    is the long body of a response to API Gateway, and the JSON lacks this body."""

    encoded: bytes
    failed: bool = False
    body: bytes | None = None

    @classmethod
    def error(cls, kind: str, text: str) -> "Outcome":
        return cls(json.dumps({"errorType": kind, "errorMessage": text}).encode(), failed=True)

    @property
    def content(self) -> bytes:
        """The whole result as JSON."""
        return self.encoded if self.body is None else json.dumps(self.parsed()).encode()

    @property
    def is_unavailable(self) -> bool:
        """Whether this is a response to API Gateway with the status 503. In a body, the quotes would be escaped."""
        return b'"statusCode": 503' in self.encoded

    def parsed(self) -> Any:
        result = json.loads(self.encoded)
        return result if self.body is None else {**result, "body": self.body.decode()}


class Worker:
    """A running worker. `log_stream` is the name of the stream that gets its log lines."""

    def __init__(self, pid: int, log_stream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid, self.log_stream = pid, log_stream
        self._reader, self._writer = reader, writer
        self.modules: list[str] = []  # all imported modules, if handling events has imported any

    @classmethod
    async def connected(cls, connection: socket.socket, pid: int, log_stream: str) -> "Worker":
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        return cls(pid, log_stream, reader, writer)

    @property
    def alive(self) -> bool:
        """Return whether the worker still runs, as far as the server knows."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def invoke(self, request_id: str, event: bytes, seconds: float, log: Callable[[str], None]) -> Outcome:
        """Let the worker handle an event, which is JSON. If this takes longer than `seconds`, kill the worker."""
        try:
            async with asyncio.timeout(seconds):
                return await self._invoke(request_id, event, log)
        except TimeoutError:
            self.kill()
            text = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
            log(text)
            return Outcome.error("Sandbox.Timedout", text)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()  # the process has ended, so its pid may belong to another process by now
            text = f"RequestId: {request_id} Error: Runtime exited without providing a reason"
            log(text)
            return Outcome.error("Runtime.ExitError", text)

    async def _invoke(self, request_id: str, event: bytes, log: Callable[[str], None]) -> Outcome:
        content = b'{"request_id":"%s","event":%s}' % (request_id.encode(), event)
        self._writer.write(bootstrap.HEAD.pack(bootstrap.EVENT, len(content)) + content)
        await self._writer.drain()
        body: bytes | None = None
        while True:
            kind, length = bootstrap.HEAD.unpack(await self._reader.readexactly(bootstrap.HEAD.size))
            content = await self._reader.readexactly(length)
            if kind == bootstrap.LINES:
                log(content.decode())
            elif kind == bootstrap.MODULES:
                self.modules = json.loads(content)
            elif kind == bootstrap.BODY:
                body = content
            else:
                return Outcome(content, kind == bootstrap.ERROR, body)

    def close(self) -> None:
        """Let an idle worker end."""
        self._writer.close()

    def kill(self) -> None:
        """Kill the worker, even while it handles an event."""
        if self.alive:  # otherwise the pid may belong to another process by now
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._writer.close()
