"""Opens connections to Postgres."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from pg8000.converters import timestamptz_in
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.cloud.database_errors import refused
from chalicelib.cloud.prepared_names import PreparedNames
from chalicelib.cloud.statements import Connection
from chalicelib.cloud.wire import Wire
from chalicelib.core import deadline
from chalicelib.core.errors import ConfigurationError, DatabaseUnavailable, TooManyConnections

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two attempts to connect
_TIMESTAMPTZ = 1184  # the oid of the type
T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """The parts of a SQLAlchemy URL."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def of(cls, url: str) -> "Address":
        parts = urlsplit(url)
        if not parts.hostname or not parts.username:
            raise ConfigurationError("DATABASE_URL has no host or no user")
        user = unquote(parts.username)
        database = parts.path.lstrip("/") or user
        return cls(parts.hostname, parts.port or 5432, user, unquote(parts.password or ""), database)


@dataclass(frozen=True)
class Connector:
    """Opens connections. `tls` and `ca` have the values of the settings DATABASE_TLS and DATABASE_CA. `name` is the
    `application_name` of the connections. `timeout` is in seconds and limits each read and write while a connection is
    opened. If `prepares` is true, Postgres keeps the statements that a connection sends often."""

    tls: str
    ca: str
    name: str
    timeout: float
    prepares: bool = False

    def connect(self, url: str) -> tuple[Connection, Wire]:
        """Return a new connection and its socket. Raises DatabaseUnavailable, and TooManyConnections if the server has
        no room for another connection."""
        address = Address.of(url)
        try:
            wire = Wire(address.host, address.port, min(self.timeout, deadline.left() or self.timeout), self.ca)
        except OSError as error:
            raise DatabaseUnavailable("the database cannot be reached") from error
        try:
            connection = Connection(
                address.user,
                host=address.host,
                port=address.port,
                database=address.database,
                password=address.password,
                sock=wire.socket,
                ssl_context=wire if self.tls == "verify-full" else False,
                application_name=self.name,
                startup_params={"TimeZone": "UTC", "client_encoding": "UTF8", "DateStyle": "ISO"},
            )
        except (DatabaseError, InterfaceError, OSError) as error:
            wire.socket.close()
            raise refused(error) from error
        connection.register_in_adapter(_TIMESTAMPTZ, _instant)
        if self.prepares:
            connection.prepare(PreparedNames())
        return connection, wire


def waiting_for_room(connect: Callable[[], T], patience: float) -> T:
    """Return the result of `connect`. If it raises TooManyConnections, call it again for `patience` seconds, but not
    beyond the deadline of the current work."""
    end, pause = time.monotonic() + patience, _FIRST_PAUSE
    while True:
        try:
            return connect()
        except TooManyConnections:
            if time.monotonic() + pause > end or pause > (deadline.left() or pause):
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _instant(text: str) -> Any:
    """Parse a timestamp in the form of Postgres. `fromisoformat` is ten times as fast as the parser of pg8000. But only
    the parser of pg8000 accepts values that a `datetime` cannot hold, such as `infinity`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return timestamptz_in(text)
