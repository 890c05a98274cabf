"""Runs an HTTP proxy between the functions and S3. The proxy injects faults when a test calls for them.

The proxy does not change signed headers, because S3 would refuse the request. A fault lasts for a period of time.
During this time, it affects each request with a given probability:

- `refuse`: the proxy responds 503 or 500, and S3 does nothing;
- `slow`: the request waits before the proxy passes it on;
- `lose`: S3 handles the request, but the proxy closes the connection instead of sending the response;
- `cut`: the response ends in the middle of its body.
"""

import http.client
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

from infra.local.ports import HOST

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}
_REFUSAL = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>a fault that a test injected</Message></Error>"


@dataclass(frozen=True)
class _Stretch:
    """A period in which a fault affects each request with the probability `chance`. The period ends at `until` (of
    time.monotonic).

    `slowness` is the delay of the fault `slow` in seconds.
    """

    kind: str
    until: float
    chance: float
    slowness: float = 0.0


class S3Proxy:
    """Listens on a free port of this machine. `aim` sets the port to which the proxy forwards requests."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._lock = threading.Lock()
        self._stretches: list[_Stretch] = []
        self.target = 0
        self.struck = 0
        self._server = _Server((HOST, 0), _Handler)
        self._server.proxy = self
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="s3-proxy", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def aim(self, port: int) -> None:
        self.target = port

    def strike(self, kind: str, seconds: float, chance: float, slowness: float = 0.0) -> None:
        """Let a fault affect requests during the next `seconds`."""
        with self._lock:
            self._stretches.append(_Stretch(kind, time.monotonic() + seconds, chance, slowness))

    def calm(self) -> None:
        """End all faults."""
        with self._lock:
            self._stretches.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def drawn(self) -> _Stretch | None:
        """Choose at random whether a fault affects the next request. Return the fault, or None."""
        now = time.monotonic()
        with self._lock:
            self._stretches = [stretch for stretch in self._stretches if stretch.until > now]
            for stretch in self._stretches:
                if self._random.random() < stretch.chance:
                    self.struck += 1
                    return stretch
        return None

    def coin(self) -> bool:
        with self._lock:
            return self._random.random() < 0.5


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: S3Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing, because the tests kill clients on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Log nothing, because there are many requests."""

    def _relay(self) -> None:
        body = self._body()
        fault = self.server.proxy.drawn()
        if fault and fault.kind == "refuse":
            status, code = (503, "SlowDown") if self.server.proxy.coin() else (500, "InternalError")
            return self._response(status, [("Content-Type", "application/xml")], _REFUSAL.format(code=code).encode())
        if fault and fault.kind == "slow":
            time.sleep(fault.slowness)
        status, headers, response = self._passed_on(body)
        if fault and fault.kind == "lose":
            return self._hang_up()
        return self._response(status, headers, response, cut=bool(fault and fault.kind == "cut"))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _relay  # noqa: N815 - names of the base class

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass the request on to S3. Return its response, or 502 if S3 cannot be reached."""
        server = http.client.HTTPConnection(HOST, self.server.proxy.target, timeout=60)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    server.putheader(name, value)
            server.putheader("Content-Length", str(len(body)))
            server.endheaders(body)
            response = server.getresponse()
            return response.status, response.getheaders(), response.read()
        except (OSError, http.client.HTTPException):
            return 502, [], b""
        finally:
            server.close()

    def _response(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP and (name.lower() != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
