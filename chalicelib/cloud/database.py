"""The one Postgres connection of a function, and what can go wrong on it.

pg8000 is used directly: a Lambda serves one event at a time, so it needs one connection and no pool,
and SQLAlchemy's import would triple the API's cold start (it stays what it is best at here, schema
and migrations). Only this module knows the driver.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.core import deadline
from chalicelib.core.errors import (
    ConfigurationError,
    Conflict,
    DatabaseUnavailable,
    HireflowError,
    LockTimeout,
    OutOfTime,
    Unavailable,
)

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"  # a transaction that sees one instant of all tables
# Seconds for the answer to a ping, and of every read and write until a connection is ready: both together
# are less than the five seconds in which a caller should know that the database is away.
PING_TIMEOUT = 1.5
CONNECT_TIMEOUT = 3.0
ROLLBACK_TIMEOUT = 2.0
_CANCEL_AHEAD = 0.5  # seconds by which the server ends a statement before the socket would
# SQLSTATE classes of a server that cannot serve us now; 25006 is a primary that has become a read-only standby
_AWAY = ("08", "53", "57P", "58", "XX", "25006")
# A killed function leaves its locks to a server process that by itself looks for its client only when it has
# something to say, after minutes of merging, or hours where the network tells nothing.
_NOTICE_A_DEAD_CLIENT = (
    "SET client_connection_check_interval = '2s';"
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"
)
_KEEP_ALIVE = (  # finds a peer that has vanished within half a minute, where the system knows the options
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)


class SupportsWrite(Protocol):
    """What `COPY … TO STDOUT` is written to: one call per row."""

    def write(self, data: bytes, /) -> Any: ...


class _Wire:
    """The socket under a connection.

    It stands in for the SSL context towards the driver, in order to keep hold of the socket that TLS
    makes of the first one: the time-out of connecting must not end statements, which may wait for locks
    or merge for minutes, and have what is left of their own deadline instead.
    """

    def __init__(self, host: str, port: int, patience: float, ca: str) -> None:
        self._ca = ca
        self.socket = socket.create_connection((host, port), patience)
        for level, name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                self.socket.setsockopt(level, getattr(socket, name), value)

    def wrap_socket(self, sock: socket.socket, server_hostname: str) -> ssl.SSLSocket:
        wrapped = _verifying_tls(self._ca).wrap_socket(sock, server_hostname=server_hostname)
        self.socket = wrapped
        return wrapped


@cache
def _verifying_tls(ca: str) -> ssl.SSLContext:
    """Trusts the authorities of the file `ca` and no other, or the system's. Reading all those takes 40 ms:
    once is enough."""
    return ssl.create_default_context(cafile=ca or None)


class Session:
    """One open connection. Statements take `:name` parameters."""

    def __init__(self, connection: pg8000.native.Connection, wire: _Wire) -> None:
        self._connection, self._wire = connection, wire
        self.broken = False

    def alive(self, *settings: str) -> bool:
        """Whether the server answers, at once; it is told of the deadline and other settings by the way."""
        limit, patience = _statement_timeout(), min(PING_TIMEOUT, deadline.left() or PING_TIMEOUT)
        with suppress(HireflowError, DatabaseError), deadline.within(patience):
            self.run("; ".join((f"SET statement_timeout = {limit}", *settings)))
            return not self.broken
        self.broken = True
        return False

    def run(self, sql: str, **params: Any) -> list[list[Any]]:
        """Run SQL and return its rows. Without parameters several statements may be joined by `;`.

        Raises DatabaseUnavailable, LockTimeout or Conflict; any other server error as the driver's.
        """
        return self._guarded(lambda: self._connection.run(sql, **params)) or []

    def scalar(self, sql: str, **params: Any) -> Any:
        """First column of the first row, or None."""
        rows = self.run(sql, **params)
        return rows[0][0] if rows else None

    def records(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Rows as dictionaries by column name."""
        rows = self.run(sql, **params)
        names = [column["name"] for column in self._connection.columns or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def affected(self, sql: str, **params: Any) -> int:
        """Run one INSERT, UPDATE or DELETE and return the number of rows it touched."""
        self.run(sql, **params)
        return int(self._connection.row_count)

    def copy_in(self, sql: str, blocks: Iterable[bytes]) -> int:
        """`COPY … FROM STDIN`, one message per block (64 KiB to 1 MiB is fastest). Returns the rows.

        An exception from `blocks` breaks the connection (the protocol is left in mid-copy), and is
        raised as it is.
        """
        self._guarded(lambda: self._connection.run(sql, stream=iter(blocks)))
        return int(self._connection.row_count)

    def copy_out(self, sql: str, target: SupportsWrite) -> None:
        """`COPY … TO STDOUT`, unbuffered."""
        self._guarded(lambda: self._connection.run(sql, stream=target))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        self._wire.socket.settimeout(deadline.left())
        try:
            return call()
        except DatabaseError as error:
            raise self._translate(error) from error
        except (InterfaceError, OSError) as error:  # the driver lets OSError of a first read through
            self.broken = True
            if deadline.passed():
                raise OutOfTime("the database did not answer in time") from error
            raise DatabaseUnavailable("the database connection was lost") from error
        except BaseException:  # raised by a stream of ours: the protocol is in mid-statement
            self.broken = True
            raise

    def _translate(self, error: Exception) -> Exception:
        state = sqlstate(error)
        if state == "57014" and deadline.limited():
            return OutOfTime("the database did not come to an end in time")
        if state in ("55P03", "57014"):
            return LockTimeout("the table is busy with another load")
        if state in ("40001", "40P01"):
            return Conflict("the change met a concurrent one")
        if state.startswith(_AWAY):
            self.broken = True
            return DatabaseUnavailable("the database cannot serve requests now")
        return _without_values(error)  # a bug of ours or a broken rule: not for retrying

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[None]:
        """Commit at the end, roll back on any exception; `begin` may do more than begin."""
        limit = _statement_timeout()
        try:
            self.run(f"{begin}; SET LOCAL statement_timeout = {limit}" if limit else begin)
            yield
        except BaseException:
            self.rollback()
            raise
        try:
            self.run("COMMIT")
        except Unavailable as error:
            if self.broken:
                raise type(error)(f"{error.detail}: whether the change was stored is not known") from error
            raise

    def renew_time(self) -> None:
        """Tell the server how much time is left. It was told when the transaction began, which may be long ago."""
        if limit := _statement_timeout():
            self.run(f"SET LOCAL statement_timeout = {limit}")

    def rollback(self) -> None:
        """Leave the transaction; a connection that cannot do even that is given up."""
        if not self.broken:
            with suppress(HireflowError, DatabaseError), deadline.within(ROLLBACK_TIMEOUT):
                self.run("ROLLBACK")

    def close(self) -> None:
        with suppress(InterfaceError, OSError, DatabaseError):
            self._connection.close()
        self._wire.socket.close()  # which the driver forgets where the farewell cannot be sent


@dataclass(frozen=True)
class _Address:
    """A SQLAlchemy URL taken apart."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def of(cls, url: str) -> "_Address":
        parts = urlsplit(url)
        if not parts.hostname or not parts.username:
            raise ConfigurationError("DATABASE_URL names no host or user")
        user = unquote(parts.username)
        database = parts.path.lstrip("/") or user
        return cls(parts.hostname, parts.port or 5432, user, unquote(parts.password or ""), database)


class Database:
    """Where the database is; opens the connection when first needed and keeps it while it works.

    `url` is a SQLAlchemy URL, or tells it anew for every connection; `tls` and `ca` are as in the settings.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        tls: str = "verify-full",
        ca: str = "",
        application: str = "hireflow",
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        if isinstance(url, str):
            _Address.of(url)  # a wrong one is known at once
        self._url = url
        self._tls, self._ca, self._application, self._connect_timeout = tls, ca, application, connect_timeout
        self._session: Session | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """The process's connection, for one caller at a time.

        A broken connection is not used again, and one that died while idle is replaced before it is
        handed out.
        """
        session = self._alive()
        try:
            yield session
        finally:
            if session.broken:
                self.close()

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[Session]:
        with self.session() as session, session.transaction(begin):
            yield session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _alive(self) -> Session:
        if self._session is not None and (self._session.broken or not self._session.alive()):
            self.close()
        if self._session is None:
            deadline.left()  # before there is a connection to close again
            self._session = self._connect()
            if not self._session.alive(_NOTICE_A_DEAD_CLIENT):
                self.close()
                raise DatabaseUnavailable("the database does not answer")
        return self._session

    def _connect(self) -> Session:
        address = _Address.of(self._url if isinstance(self._url, str) else self._url())
        try:
            wire = _Wire(address.host, address.port, self._connect_timeout, self._ca)
        except OSError as error:
            raise DatabaseUnavailable("the database cannot be reached") from error
        try:
            connection = pg8000.native.Connection(
                address.user,
                host=address.host,
                port=address.port,
                database=address.database,
                password=address.password,
                sock=wire.socket,
                ssl_context=wire if self._tls == "verify-full" else False,
                application_name=self._application,
                startup_params={"TimeZone": "UTC", "client_encoding": "UTF8", "DateStyle": "ISO"},
            )
        except (DatabaseError, InterfaceError, OSError) as error:
            wire.socket.close()
            raise DatabaseUnavailable("the database refused the connection") from error
        return Session(connection, wire)


def lock_timeout(seconds: float) -> str:
    """The statement that bounds the wait for every further lock of the transaction."""
    return f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}"


def _without_values(error: Exception) -> Exception:
    """What Postgres says of an error without the rows it quotes: whoever ends a function logs it."""
    fields = error.args[0] if error.args else None
    if isinstance(fields, dict):
        quoting = {"D", "W", "H", "q"} | ({"M"} if sqlstate(error).startswith("22") else set())
        error.args = ({name: text for name, text in fields.items() if name not in quoting},)
    return error


def _statement_timeout() -> int:
    """Milliseconds that a statement may take on the server, 0 for any. Raises OutOfTime."""
    left = deadline.left()
    return 0 if left is None else max(100, round((left - _CANCEL_AHEAD) * 1000))


def sqlstate(error: Exception) -> str:
    """The five-character SQLSTATE of a driver error, or an empty string."""
    info = error.args[0] if error.args else None
    return str(info.get("C", "")) if isinstance(info, dict) else ""
