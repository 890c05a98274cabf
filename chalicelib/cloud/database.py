"""Keeps the single Postgres connection of a function, and runs statements on it.

This module uses pg8000 directly. A Lambda function processes one event at a time, so it needs one connection and no
connection pool. Importing SQLAlchemy would triple the cold start of the API, so only the schema and the migrations use
SQLAlchemy.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Protocol

from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.cloud.connecting import Address, Connector, waiting_for_room
from chalicelib.cloud.database_errors import is_of_a_statement, translated
from chalicelib.cloud.purposes import ANY, Purpose
from chalicelib.cloud.statements import Connection, Result, Statement
from chalicelib.cloud.wire import Wire
from chalicelib.core import deadline
from chalicelib.core.errors import DatabaseUnavailable, HireflowError, OutOfTime, TooManyConnections, Unavailable

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
# A statement timeout is not set again if it would change by at most this many milliseconds. Less than _CANCEL_AHEAD.
_SIMILAR = 300
# When a function is killed, the Postgres process of the connection still holds the locks. By default, this process
# notices the death of the client only when it sends data. A merge sends nothing for minutes. If the network does not
# report that the client is gone, hours may pass. With these parameters, Postgres notices within half a minute.
_NOTICE_A_DEAD_CLIENT = (
    "SET client_connection_check_interval = '2s';"
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"
)
# A connection whose purpose has a share takes one of the advisory locks from 1 to the size of the share. Postgres
# releases the lock at the end of the connection.
_PLACES = 0x68697266
_TAKE_PLACE = "SELECT n FROM generate_series(1, :share) AS n WHERE pg_try_advisory_lock(:places, n) LIMIT 1"
_COMMIT = Statement("COMMIT")


class SupportsWrite(Protocol):
    """The target of `COPY … TO STDOUT`. `write` is called once per row."""

    def write(self, data: bytes, /) -> Any: ...


class Session:
    """One open connection. SQL statements have `:name` parameters."""

    def __init__(self, connection: Connection, wire: Wire) -> None:
        self._connection, self._wire = connection, wire
        self.broken = False
        self._idle_since: float | None = None  # None while a statement runs
        self._limit = 0  # the statement timeout of the connection in milliseconds; 0 means no limit
        self._transaction_limit = 0  # the same of the transaction
        self._committed = False  # whether the transaction has been committed with its last statement
        self._kept: dict[str, str] = {}  # the statements that made what the connection keeps, by its name

    def alive(self, *settings: str) -> bool:
        """Return whether the server responds to a ping in time. The ping sets the statement timeout and runs
        `settings`, which are SQL statements."""
        limit, patience = _statement_timeout(), min(PING_TIMEOUT, deadline.left() or PING_TIMEOUT)
        with suppress(HireflowError, DatabaseError), deadline.within(patience):
            self.run("; ".join((f"SET statement_timeout = {limit}", *settings)))
            self._limit = limit
            return not self.broken
        self.broken = True
        return False

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is open."""
        return self._connection.is_idle

    def needs_no_ping(self, trust: float) -> bool:
        """Return whether the server responded less than `trust` seconds ago, has not ended the connection since, and
        still has a suitable statement timeout."""
        if self._idle_since is None or time.monotonic() - self._idle_since >= trust:
            return False
        return bool(self._limit) and abs(self._limit - _statement_timeout()) <= _SIMILAR and self._wire.is_quiet()

    def run(self, sql: str, **params: Any) -> list[list[Any]]:
        """Run SQL and return its rows. Without parameters, `;` may separate several statements.

        Raises DatabaseUnavailable, LockTimeout, Conflict or OutOfTime. Any other server error is raised as the driver's
        exception.
        """
        return self._guarded(lambda: self._connection.run(sql, **params)) or []

    def run_together(self, *statements: Statement, commit: bool = False) -> list[Result]:
        """Run statements in one round trip, and return their results. If one of them fails, the statements after it do
        not run, and its error is raised as by `run`. Outside a transaction, all of them together are one transaction.
        With `commit`, they are the last statements of a transaction, which is committed in the same round trip."""
        sent = (*statements, _COMMIT) if commit else statements
        with _telling_that_the_result_is_not_known(self) if commit else nullcontext():
            results: list[Result] = self._guarded(lambda: self._connection.run_together(sent))
        self._committed = self._committed or commit
        return results[: len(statements)]

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

    def keep(self, name: str, sql: str) -> None:
        """Run statements that make something that lasts as long as the connection, such as a temporary table. Do
        nothing if they were the last such statements for `name`. Must not be called in a transaction, because a
        rollback would undo the statements."""
        if self._kept.get(name) != sql:
            self._kept.pop(name, None)
            self.run(sql)
            self._kept[name] = sql

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
            ours = translated(error)
            self.broken = self.broken or isinstance(ours, DatabaseUnavailable)
            raise ours from error
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

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[None]:
        """Commit at the end of the `with` block, or roll back on any exception. `begin` may contain further
        statements, which run at the beginning of the transaction. If the block has called `run_together` with
        `commit`, the transaction has been committed already."""
        self._transaction_limit = limit = _statement_timeout()
        self._committed = False
        try:
            self.run(f"{begin}; SET LOCAL statement_timeout = {limit}" if limit else begin)
            yield
            if not self._committed:
                with _telling_that_the_result_is_not_known(self):
                    self.run("COMMIT")
        except BaseException:
            self.rollback()  # also after COMMIT: it is not sent if the deadline has passed
            raise

    def renew_time(self) -> None:
        """Set the statement timeout to the time that is left now. The transaction has set this timeout only once, at
        its beginning, which may be long ago."""
        limit = _statement_timeout()
        if abs(limit - self._transaction_limit) > _SIMILAR:
            self.run(f"SET LOCAL statement_timeout = {limit}")
            self._transaction_limit = limit

    def rollback(self) -> None:
        """Roll back the transaction. If the rollback fails, the connection counts as broken."""
        if not self.broken:
            with suppress(HireflowError, DatabaseError), deadline.within(ROLLBACK_TIMEOUT):
                self.run("ROLLBACK")

    def close(self) -> None:
        with suppress(InterfaceError, OSError, DatabaseError):
            self._connection.close()
        self._wire.socket.close()  # the driver leaves the socket open if it cannot send its last message


class Database:
    """The database of a function. The connection is opened when it is first needed, and kept until it breaks.

    `url` is a SQLAlchemy URL, or a function that returns the URL for each new connection. `tls` and `ca` have the
    values of the settings DATABASE_TLS and DATABASE_CA. `purpose` says how long to wait for a connection, and how many
    connections there may be.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        tls: str = "verify-full",
        ca: str = "",
        purpose: Purpose = ANY,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        if isinstance(url, str):
            Address.of(url)  # raises an error now if the URL is malformed
        self._url, self._purpose = url, purpose
        self._connector = Connector(tls, ca, purpose.name, connect_timeout, purpose.prepares)
        self._session: Session | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend the connection of this process to one caller at a time.

        A connection that has broken, or that is still in a transaction, is not used again. Before the connection is
        lent, a ping finds out whether the connection broke while it was idle. The API sends no ping if it has just used
        the connection. A broken connection is replaced.
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
        if self._session is not None and not self._is_usable(self._session):
            self.close()
        if self._session is None:
            deadline.left()  # raises OutOfTime before a connection is opened
            self._session = waiting_for_room(self._connect, self._purpose.patience)
        return self._session

    def _is_usable(self, session: Session) -> bool:
        if session.broken or not session.is_idle:
            return False
        return session.needs_no_ping(self._purpose.trust) or session.alive()

    def _connect(self) -> Session:
        """Return a new session. Raises DatabaseUnavailable, and TooManyConnections if there is no room for another
        connection."""
        session = Session(*self._connector.connect(self._url if isinstance(self._url, str) else self._url()))
        try:
            if not session.alive(_NOTICE_A_DEAD_CLIENT):
                raise DatabaseUnavailable("the database does not respond")
            if self._purpose.skips_row_triggers:
                session.run(skipping_row_triggers(for_transaction=False))
            share = self._purpose.share
            if share is not None and not session.scalar(_TAKE_PLACE, share=share, places=_PLACES):
                raise TooManyConnections("the API uses all connections that it may have")
        except BaseException:
            session.close()
            raise
        return session


@contextmanager
def _telling_that_the_result_is_not_known(session: Session) -> Iterator[None]:
    """If the connection breaks in the `with` block, which commits, say so in the error. If the server has reported an
    error of a statement, it has not committed."""
    try:
        yield
    except Unavailable as error:
        if session.broken and not is_of_a_statement(error.__cause__):
            raise type(error)(f"{error.detail}: whether the change was stored is not known") from error
        raise


def skipping_row_triggers(*, for_transaction: bool) -> str:
    """Return the statement that switches row triggers off if the database role may do that, for the transaction or for
    the connection. Triggers that are ENABLE ALWAYS still fire."""
    return (
        f"SELECT set_config('session_replication_role', 'replica', {for_transaction})"
        " WHERE has_parameter_privilege('session_replication_role', 'SET')"
    )


def lock_timeout(seconds: float) -> str:
    """Return the statement that limits how long the transaction waits for each further lock."""
    return f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}"


def _statement_timeout() -> int:
    """Return how many milliseconds a statement may take on the server; 0 means no limit. Raises OutOfTime."""
    left = deadline.left()
    return 0 if left is None else max(100, round((left - _CANCEL_AHEAD) * 1000))
