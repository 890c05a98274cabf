"""The HTTP client of this repository. It uses urllib3.

The client follows no redirects, because a token must not go to another host. It retries only a GET or HEAD whose
connection broke, because only these are safe to retry. Callers decide what the status of a response means.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions

from cli import routes
from cli.errors import CommandError, NoAnswer
from cli.version import NAME, version

# `connect`: seconds to connect, and also to send one piece of a body. `read`: seconds without a byte of the response.
# API Gateway itself times out after 29 seconds.
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_SAFE = ("GET", "HEAD")
_TRIES = 3
_PIECE = 1 << 16  # bytes that are sent or received at a time
_MAX_ERROR = 1 << 16  # bytes of an error response that are read


class Body(Protocol):
    """A body that is read while it is sent. Its `length` in bytes is known before the first byte is sent."""

    @property
    def length(self) -> int: ...

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Response:
    """A whole response. The names of `headers` are case-insensitive."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def reason(self) -> str:
        return responses.get(self.status, "")

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the parsed body. Raises CommandError if the body is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise CommandError(f"the response is not JSON: is API_URL right? ({self.url})") from None


class Client:
    """An HTTP client that keeps connections open between requests.

    `patience`, in seconds, replaces the default timeouts.
    """

    def __init__(self, headers: Mapping[str, str] | None = None, patience: float | None = None) -> None:
        self._headers = {"User-Agent": f"{NAME}/{version()}", **(headers or {})}
        self._timeout = urllib3.Timeout(connect=patience, read=patience) if patience else _TIMEOUT
        self._pools: dict[tuple[str | None, bool], urllib3.PoolManager] = {}

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request and return its response.

        Raises NoAnswer if no response arrives, and Misuse for settings that cannot be used.
        """
        for left in range(_TRIES if method in _SAFE else 1, 0, -1):
            try:
                with self._response(method, _with_query(url, query), body, headers) as response:
                    return Response(url, response.status, response.headers, response.read(decode_content=True))
            except _Broken:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def download(self, url: str) -> Iterator[tuple[Response, Iterator[bytes]]]:
        """Send a GET. Yield its response and an iterator over the pieces of the body.

        The member `body` of a successful response is empty. That of an error response holds the beginning of the body.
        """
        with self._response("GET", url, None, None) as response:
            failed = response.status != HTTPStatus.OK
            found = Response(url, response.status, response.headers, response.read(_MAX_ERROR) if failed else b"")
            yield found, response.stream(_PIECE, decode_content=True)

    @contextmanager
    def _response(
        self, method: str, url: str, body: bytes | Body | None, headers: Mapping[str, str] | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        sent = {**self._headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            sent["Content-Length"] = str(body.length)
        try:
            response = self._pool(url).request(
                method,
                url,
                body=cast(Any, body),  # urllib3 accepts any object with `read`
                headers=sent,
                timeout=self._timeout,
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except (exceptions.HTTPError, OSError) as error:
            raise _explained(url, error) from error
        try:
            yield response
        except BaseException as error:
            response.close()  # the rest of the response is not needed
            if isinstance(error, exceptions.HTTPError):  # other errors, such as a full disk, come from the caller
                raise _explained(url, error) from error
            raise
        else:
            response.release_conn()

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy, secure = routes.proxy_of(url), url.lower().startswith("https:")
        secured = secure or (proxy or "").startswith("https:")
        if (proxy, secured) not in self._pools:
            settings: dict[str, Any] = {"ssl_context": routes.trust()} if secured else {}
            if proxy:
                name = routes.credentials_of(proxy)
                given = urllib3.make_headers(proxy_basic_auth=name) if name else None
                pool: urllib3.PoolManager = urllib3.ProxyManager(proxy, proxy_headers=given, **settings)
            else:
                pool = urllib3.PoolManager(**settings)
            self._pools[proxy, secured] = pool
        return self._pools[proxy, secured]


class _Broken(NoAnswer):
    """The connection ended before the response was complete."""


def _with_query(url: str, query: Mapping[str, str] | None) -> str:
    if not query:
        return url
    from urllib.parse import urlencode

    return f"{url}?{urlencode(query)}"


def _explained(url: str, error: Exception) -> CommandError:
    """Return an error for a network failure. The message is one line and says what to do."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if isinstance(error, exceptions.ProxyError):
        return NoAnswer(f"{place} cannot be reached through the proxy: {_cause(error)}: check HTTPS_PROXY and NO_PROXY")
    if isinstance(error, exceptions.SSLError):
        return NoAnswer(
            f"{place} cannot be trusted: {_cause(error)}: if your network has its own certificate authority,"
            " set SSL_CERT_FILE to the file with its certificates"
        )
    if isinstance(error, exceptions.NameResolutionError):
        return NoAnswer(f"{place} cannot be reached: the name {parts.hostname} cannot be resolved: is API_URL right?")
    if isinstance(error, exceptions.ConnectTimeoutError) and not isinstance(error, exceptions.NewConnectionError):
        return NoAnswer(f"{place} cannot be reached: no connection within {_TIMEOUT.connect_timeout} seconds")
    if isinstance(error, exceptions.NewConnectionError):
        refused = isinstance(error.__cause__, ConnectionRefusedError)
        return NoAnswer(f"{place} cannot be reached: {_cause(error)}", refused)
    if isinstance(error, exceptions.TimeoutError):
        return NoAnswer(f"{place} does not respond: try again")
    if isinstance(error, exceptions.LocationValueError):
        return CommandError(f"{place} is not an address: {error}")
    if isinstance(error, exceptions.ProtocolError | OSError):
        return _Broken(f"the connection to {place} broke: {_cause(error)}: try again")
    return NoAnswer(f"{place} cannot be reached: {error}")


def _cause(error: BaseException) -> str:
    """Return the system's own message, without the names of libraries that passed the error on."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return getattr(error, "verify_message", "") or error.strerror
    return str(error) or type(error).__name__
