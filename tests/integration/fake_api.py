"""Runs an HTTP server that takes the place of the API. It sends prepared responses and records the requests."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A recorded request. `body` has only the first `FakeApi.kept` bytes of the body. `length` is the length of the
    whole body."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    length: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> list[tuple[str, str | None, bytes]]:
        """Return the fields of a multipart form, in order, as (name, file name, value)."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + self.body).get_payload()
        return [
            (
                str(part.get_param("name", header="content-disposition")),  # type: ignore[union-attr]
                part.get_filename(),  # type: ignore[union-attr]
                part.get_payload(decode=True),  # type: ignore[union-attr,misc]
            )
            for part in parts
        ]


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakeApi:
    """Sends the responses that a test has prepared for a path, one after the other, and then repeats the last one.
    `asked` has the requests that have come so far. At most `kept` bytes of each body are recorded."""

    url: str = ""
    kept: int = 1 << 20
    asked: list[Asked] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _held: set[tuple[str, str]] = field(default_factory=set)
    _prepared: dict[tuple[str, str], list[Response]] = field(default_factory=lambda: defaultdict(list))

    def on(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> None:
        """Prepare a response. Bytes are sent unchanged, and every other type as JSON. In the names of headers, write _
        for -."""
        given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        media_type = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._prepared[method, path].append(Response(status, data, media_type | given_headers))

    def problem(self, method: str, path: str, status: int, title: str, detail: str, **members: Any) -> None:
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
        self.on(method, path, body, status, Content_Type="application/problem+json")

    def hold(self, method: str, path: str) -> None:
        """Record requests to this path, but let the clients wait for the response until the server stops."""
        self._held.add((method, path))

    def forget(self, method: str, path: str) -> None:
        """Delete the prepared responses for this path. API Gateway's response for an unknown route is sent instead."""
        del self._prepared[method, path]

    def to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def response(self, asked: Asked) -> Response:
        self.asked.append(asked)
        if (asked.method, asked.path) in self._held:
            self.ended.wait()
        prepared = self._prepared[asked.method, asked.path]
        if not prepared:
            return Response(403, b'{"message": "Missing Authentication Token"}', {"Content-Type": "application/json"})
        return prepared.pop(0) if len(prepared) > 1 else prepared[0]


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_DELETE(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, *args: Any) -> None:
            pass

        def _serve(self) -> None:
            parts, length = urlsplit(self.path), int(self.headers.get("Content-Length", 0))
            kept = self.rfile.read(min(length, fake.kept))
            left = length - len(kept)
            while left:
                left -= len(self.rfile.read(min(left, 1 << 20)))
            response = fake.response(
                Asked(self.command, parts.path, dict(parse_qsl(parts.query)), self.headers, kept, length)  # type: ignore[arg-type]
            )
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
