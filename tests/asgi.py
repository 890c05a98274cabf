"""Calls the gate in this process, as an ASGI server would call it. An application behind the gate records the requests
that the gate passes on."""

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
    """Takes the place of ministack behind the gate. Like ministack, this application acts on a request only after it
    has received the whole body."""

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
class GateClient:
    """Sends requests to a gate. `admitted` has the sessions that the gate has accepted. `written` has the services
    whose state the gate has reported as changed."""

    behind: Behind = field(default_factory=Behind)
    admitted: list[Session] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    now: datetime | None = None

    def gate(self) -> Gate:
        async def written(service: str) -> None:
            self.written.append(service)

        return Gate(self.behind, KEYS, self.admitted.append, written, lambda: self.now or datetime.now(UTC))

    def request(self, scope: Message, pieces: Iterable[bytes] = (b"",)) -> Response:
        return asyncio.run(_send(self.gate(), scope, list(pieces)))


async def _send(gate: Gate, scope: Message, pieces: list[bytes]) -> Response:
    sent: list[Message] = []
    left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    left += [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await gate(scope, receive, send)
    start = sent[0]
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def scope(
    method: str, target: str, headers: Iterable[tuple[str, str]] = (), *, length: int | None = None
) -> dict[str, Any]:
    """Return an ASGI scope as the server creates it. `target` is the percent-encoded path and query of the request."""
    path, _, query = target.partition("?")
    given = [(name.lower(), value) for name, value in headers]
    if not any(name == "host" for name, _ in given):
        given.append(("host", HOST))
    if length is not None:
        given.append(("content-length", str(length)))
    return {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given],
    }


def scope_of_signed(request: Any, length: int | None = None) -> dict[str, Any]:
    """Return the ASGI scope of an AWSRequest that botocore has signed."""
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    signed = scope(request.method, target, [(name, str(value)) for name, value in request.headers.items()])
    if length:
        signed["headers"].append((b"content-length", str(length).encode()))
    return signed
