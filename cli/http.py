"""The HTTP client of this repository, over urllib3.

It follows no redirect, so that a token goes to no other host than the one it was meant for. It repeats a request only
if that is safe: a GET whose connection broke. What an answer's status means is for callers to say.
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

# Seconds to connect, which is also what one piece of a body may take to be sent; and seconds without a byte of the
# answer. API Gateway gives up after 29.
_PATIENCE = urllib3.Timeout(connect=15, read=60)
_SAFE = ("GET", "HEAD")
_TRIES = 3
_PIECE = 1 << 16  # bytes that are sent or received at a time
_TOO_LARGE = 1 << 16  # bytes of an error's body that are looked at


class Body(Protocol):
    """A body that is sent as it is read. Its `length` in bytes is known."""

    @property
    def length(self) -> int: ...

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Response:
    """`headers` are found by names in any case."""

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
        """Raises CommandError."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise CommandError(f"the answer is no JSON: is API_URL right? ({self.url})") from None


class Client:
    """Connections that are kept open between requests. `patience` are seconds, where others than ours are wanted."""

    def __init__(self, headers: Mapping[str, str] | None = None, patience: float | None = None) -> None:
        self._headers = {"User-Agent": f"{NAME}/{version()}", **(headers or {})}
        self._timeout = urllib3.Timeout(connect=patience, read=patience) if patience else _PATIENCE
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
        """Raises NoAnswer, and Misuse for settings with which nothing can be sent."""
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
        """A GET whose body comes in pieces. The answer's own `body` is empty if it is a success."""
        with self._response("GET", url, None, None) as response:
            failed = response.status != HTTPStatus.OK
            found = Response(url, response.status, response.headers, response.read(_TOO_LARGE) if failed else b"")
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
                body=cast(Any, body),  # urllib3 takes whatever has `read`
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
            response.close()  # the rest of it is not wanted
            if isinstance(error, exceptions.HTTPError):  # an OSError is the reader's, who could not write
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
    """The connection ended before the answer did."""


def _with_query(url: str, query: Mapping[str, str] | None) -> str:
    if not query:
        return url
    from urllib.parse import urlencode

    return f"{url}?{urlencode(query)}"


def _explained(url: str, error: Exception) -> CommandError:
    """A failure of the network in one line, with what to do."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if isinstance(error, exceptions.ProxyError):
        return NoAnswer(f"{place} cannot be reached through the proxy: {_cause(error)}: check HTTPS_PROXY and NO_PROXY")
    if isinstance(error, exceptions.SSLError):
        return NoAnswer(
            f"{place} cannot be trusted: {_cause(error)}: if your network has a certificate authority of its own,"
            " name its file in SSL_CERT_FILE"
        )
    if isinstance(error, exceptions.NameResolutionError):
        return NoAnswer(f"{place} cannot be reached: nobody knows the name {parts.hostname}: is API_URL right?")
    if isinstance(error, exceptions.ConnectTimeoutError) and not isinstance(error, exceptions.NewConnectionError):
        return NoAnswer(f"{place} cannot be reached: no connection within {_PATIENCE.connect_timeout} seconds")
    if isinstance(error, exceptions.NewConnectionError):
        refused = isinstance(error.__cause__, ConnectionRefusedError)
        return NoAnswer(f"{place} cannot be reached: {_cause(error)}", refused)
    if isinstance(error, exceptions.TimeoutError):
        return NoAnswer(f"{place} does not answer: try again")
    if isinstance(error, exceptions.LocationValueError):
        return CommandError(f"{place} is no address: {error}")
    if isinstance(error, exceptions.ProtocolError | OSError):
        return _Broken(f"{place} broke off: {_cause(error)}: try again")
    return NoAnswer(f"{place} cannot be reached: {error}")


def _cause(error: BaseException) -> str:
    """What the system said, without the names of the libraries between it and us."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return getattr(error, "verify_message", "") or error.strerror
    return str(error) or type(error).__name__
