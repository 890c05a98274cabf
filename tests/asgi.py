"""Calls the gate in this process, as an ASGI server would. The application behind the gate only records requests."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.local.gate.app import Gate, Send
from infra.local.gate.bodies import Message, Receive
from infra.local.gate.credentials import Keys, Session

HOST = "127.0.0.1:24000"
KEYS = Keys("AKIAGATEOFTHISSTAGE2", "secret of the stage", "secret of its functions")


@dataclass
class Behind:
    """The application behind the gate. Like ministack, it reads the whole body of a request before it does anything.

    `done` has the completed requests as (method, path, body). `begun` counts all requests that it began to read.
    """

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    done: list[tuple[str, str, bytes]] = field(default_factory=list)
    scopes: list[Message] = field(default_factory=list)
    begun: int = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.begun += 1
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.done.append((scope["method"], scope["path"], body))
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"done"})


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Asked:
    """A gate and its collaborators, which record how the gate uses them.

    `admitted` are the sessions that the gate admitted, and `written` the services in which a request changed something.
    `now` is the gate's time; None means the real time.
    """

    behind: Behind = field(default_factory=Behind)
    admitted: list[Session] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    now: datetime | None = None

    def gate(self) -> Gate:
        async def written(service: str) -> None:
            self.written.append(service)

        return Gate(self.behind, KEYS, self.admitted.append, written, lambda: self.now or datetime.now(UTC))

    def ask(self, scope: Message, pieces: Iterable[bytes] = (b"",)) -> Response:
        return asyncio.run(_ask(self.gate(), scope, list(pieces)))


async def _ask(gate: Gate, scope: Message, pieces: list[bytes]) -> Response:
    sent: list[Message] = []
    incoming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    incoming += [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await gate(scope, receive, send)
    start = sent[0]
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def scope(
    method: str, target: str, headers: Iterable[tuple[str, str]] = (), *, length: int | None = None
) -> dict[str, Any]:
    """Return an ASGI scope like that of a server. `target` is the percent-encoded path and query of the request."""
    path, _, query = target.partition("?")
    sent = [(name.lower(), value) for name, value in headers]
    if not any(name == "host" for name, _ in sent):
        sent.append(("host", HOST))
    if length is not None:
        sent.append(("content-length", str(length)))
    return {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent],
    }


def of_signed(request: Any, length: int | None = None) -> dict[str, Any]:
    """Return the ASGI scope of an AWSRequest that botocore has signed."""
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    signed = scope(request.method, target, [(name, str(value)) for name, value in request.headers.items()])
    if length:
        signed["headers"].append((b"content-length", str(length).encode()))
    return signed
