"""Keeps the single Postgres connection of a function, and converts the errors of Postgres and of the driver.

This module uses pg8000 directly. A Lambda function processes one event at a time, so it needs one connection and no
connection pool. Importing SQLAlchemy would triple the cold start of the API, so only the schema and the migrations use
SQLAlchemy. No other module imports pg8000.
"""

import socket
import ssl
import time
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

# All statements of a transaction that begins in this way see the tables as they were at one instant.
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Timeouts in seconds. PING_TIMEOUT limits the wait for the response to a ping. CONNECT_TIMEOUT limits each read and
# write while a connection is opened. Their sum is below five seconds, because a client should learn within five seconds
# that the database cannot be reached.
PING_TIMEOUT = 1.5
CONNECT_TIMEOUT = 3.0
ROLLBACK_TIMEOUT = 2.0
AWAKE = 30.0  # an idle connection is kept awake so often; `migrations.limits` says when Postgres ends it
_CANCEL_AHEAD = 0.5  # seconds; the server cancels a statement this long before the socket would time out
# The first characters of the SQLSTATEs that a server sends if it cannot process statements now. The SQLSTATE 25006
# comes from a primary that became a read-only standby.
_AWAY = ("08", "53", "57P", "58", "XX", "25006")
# When a function is killed, the Postgres process of the connection still holds the locks. By default, this process
# notices the death of the client only when it sends data. A merge sends nothing for minutes. If the network does not
# report that the client is gone, hours may pass. With these parameters, Postgres notices within half a minute.
_NOTICE_A_DEAD_CLIENT = (
    "SET client_connection_check_interval = '2s';"
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"
)
# With these options, a function notices within half a minute that a server has vanished. Some operating systems lack
# some of the options.
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)


class SupportsWrite(Protocol):
    """The target of `COPY … TO STDOUT`. `write` is called once per row."""

    def write(self, data: bytes, /) -> Any: ...


class _Wire:
    """The socket under a connection.

    The driver uses this object as the SSL context, so this object also gets the socket that TLS creates. Before each
    statement, `Session` sets the timeout of that socket to the time that is left. Otherwise, the short timeout for
    connecting would end a statement that takes minutes, for example a merge or a wait for a lock.
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
    """Return a context that trusts only the authorities in the file `ca`, or those of the system if `ca` is empty.

    The result is cached, because reading all authorities of the system takes 40 ms.
    """
    return ssl.create_default_context(cafile=ca or None)


class Session:
    """One open connection. SQL statements have `:name` parameters."""

    def __init__(self, connection: pg8000.native.Connection, wire: _Wire) -> None:
        self._connection, self._wire = connection, wire
        self.broken = False
        self._idle_since: float | None = None  # None while a statement runs

    def alive(self, *settings: str) -> bool:
        """Return whether the server responds to a ping in time. The ping sets the statement timeout and runs
        `settings`, which are SQL statements."""
        limit, patience = _statement_timeout(), min(PING_TIMEOUT, deadline.left() or PING_TIMEOUT)
        with suppress(HireflowError, DatabaseError), deadline.within(patience):
            self.run("; ".join((f"SET statement_timeout = {limit}", *settings)))
            return not self.broken
        self.broken = True
        return False

    def run(self, sql: str, **params: Any) -> list[list[Any]]:
        """Run SQL and return its rows. Without parameters, `;` may separate several statements.

        Raises DatabaseUnavailable, LockTimeout, Conflict or OutOfTime. Any other server error is raised as the driver's
        exception.
        """
        return self._guarded(lambda: self._connection.run(sql, **params)) or []

    def scalar(self, sql: str, **params: Any) -> Any:
        """Run SQL and return the first column of the first row, or None without rows."""
        rows = self.run(sql, **params)
        return rows[0][0] if rows else None

    def records(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Run SQL and return its rows as dictionaries by column name."""
        rows = self.run(sql, **params)
        names = [column["name"] for column in self._connection.columns or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def affected(self, sql: str, **params: Any) -> int:
        """Run one INSERT, UPDATE or DELETE and return the number of affected rows."""
        self.run(sql, **params)
        return int(self._connection.row_count)

    def copy_in(self, sql: str, blocks: Iterable[bytes]) -> int:
        """Run `COPY … FROM STDIN` and return the number of rows. Each block is sent as one message. Blocks of 64 KiB to
        1 MiB are the fastest.

        An exception from `blocks` is raised unchanged. The connection is then broken, because the COPY is unfinished.
        """
        self._guarded(lambda: self._connection.run(sql, stream=iter(blocks)))
        return int(self._connection.row_count)

    def copy_out(self, sql: str, target: SupportsWrite) -> None:
        """Run `COPY … TO STDOUT` and write each row to `target` as soon as the row arrives."""
        self._guarded(lambda: self._connection.run(sql, stream=target))

    def keep_awake(self, after: float = AWAKE) -> None:
        """Run a statement if there was none for `after` seconds. Do nothing while a statement, such as COPY, runs."""
        if self._idle_since is not None and time.monotonic() - self._idle_since >= after:
            self.run("SELECT")

    def _guarded(self, call: Callable[[], Any]) -> Any:
        self._wire.socket.settimeout(deadline.left())
        self._idle_since = None
        try:
            return call()
        except DatabaseError as error:
            raise self._translate(error) from error
        except (InterfaceError, OSError) as error:  # pg8000 does not always convert an OSError
            self.broken = True
            if deadline.passed():
                raise OutOfTime("the database did not respond in time") from error
            raise DatabaseUnavailable("the database connection was lost") from error
        except BaseException:  # the caller's stream has raised an exception, so the statement is unfinished
            self.broken = True
            raise
        finally:
            self._idle_since = time.monotonic()

    def _translate(self, error: Exception) -> Exception:
        state = sqlstate(error)
        if state == "57014" and deadline.limited():
            return OutOfTime("the database did not finish in time")
        if state in ("55P03", "57014"):
            return LockTimeout("the table is busy with another load")
        if state in ("40001", "40P01"):
            return Conflict("the change conflicted with a concurrent change")
        if state.startswith(_AWAY):
            self.broken = True
            return DatabaseUnavailable("the database cannot serve requests now")
        return _without_values(error)  # a bug or a violated constraint: retrying does not help

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[None]:
        """Commit at the end of the `with` block, or roll back on any exception. `begin` may contain further
        statements, which run at the beginning of the transaction."""
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
        """Set the statement timeout to the time that is left now. The transaction has set this timeout only once, at
        its beginning, which may be long ago."""
        if limit := _statement_timeout():
            self.run(f"SET LOCAL statement_timeout = {limit}")

    def rollback(self) -> None:
        """Roll back the transaction. If the rollback fails, the connection counts as broken."""
        if not self.broken:
            with suppress(HireflowError, DatabaseError), deadline.within(ROLLBACK_TIMEOUT):
                self.run("ROLLBACK")

    def close(self) -> None:
        with suppress(InterfaceError, OSError, DatabaseError):
            self._connection.close()
        self._wire.socket.close()  # the driver leaves the socket open if it cannot send its last message


@dataclass(frozen=True)
class _Address:
    """The parts of a SQLAlchemy URL."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def of(cls, url: str) -> "_Address":
        parts = urlsplit(url)
        if not parts.hostname or not parts.username:
            raise ConfigurationError("DATABASE_URL has no host or no user")
        user = unquote(parts.username)
        database = parts.path.lstrip("/") or user
        return cls(parts.hostname, parts.port or 5432, user, unquote(parts.password or ""), database)


class Database:
    """The database of a function. The connection is opened when it is first needed, and kept until it breaks.

    `url` is a SQLAlchemy URL, or a function that returns the URL for each new connection. `tls` and `ca` have the
    values of the settings DATABASE_TLS and DATABASE_CA.
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
            _Address.of(url)  # raises an error now if the URL is malformed
        self._url = url
        self._tls, self._ca, self._application, self._connect_timeout = tls, ca, application, connect_timeout
        self._session: Session | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend the connection of this process to one caller at a time.

        A connection that has broken is not used again. Before the connection is lent, a ping finds out whether the
        connection broke while it was idle. A broken connection is replaced.
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
            deadline.left()  # raises OutOfTime before a connection is opened
            self._session = self._connect()
            if not self._session.alive(_NOTICE_A_DEAD_CLIENT):
                self.close()
                raise DatabaseUnavailable("the database does not respond")
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
    """Return the statement that limits how long the transaction waits for each further lock."""
    return f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}"


def _without_values(error: Exception) -> Exception:
    """Remove the quoted values from a Postgres error, because the error may reach the logs."""
    fields = error.args[0] if error.args else None
    if isinstance(fields, dict):
        quoting = {"D", "W", "H", "q"} | ({"M"} if sqlstate(error).startswith("22") else set())
        error.args = ({name: text for name, text in fields.items() if name not in quoting},)
    return error


def _statement_timeout() -> int:
    """Return how many milliseconds a statement may take on the server; 0 means no limit. Raises OutOfTime."""
    left = deadline.left()
    return 0 if left is None else max(100, round((left - _CANCEL_AHEAD) * 1000))


def sqlstate(error: Exception) -> str:
    """Return the five-character SQLSTATE of a driver error, or an empty string."""
    info = error.args[0] if error.args else None
    return str(info.get("C", "")) if isinstance(info, dict) else ""
