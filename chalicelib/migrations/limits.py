"""Declares the limits of the connections of the functions' database role. This module imports no database driver, so
the tools that prepare a database can import it quickly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of the role's connections. If `connections` is -1, their number has no limit. The timeouts have
    Postgres's format.

    `idle` is the time that a connection may be idle. Between two events, Lambda freezes a function, but the connection
    of the function stays open. Postgres closes it after this time, so that other functions can connect.
    `idle_in_transaction` is the time that a transaction may be idle. When a function has vanished, Postgres may not
    notice, because a proxy between the two stays connected. After this time, Postgres releases the function's locks. A
    function that still works waits inside a transaction for at most 4.5 minutes: this is the time of one request to S3
    with all its retries. The module `completion` extends the time for the second reading of a load.
    """

    connections: int = -1
    idle: str = "2min"
    idle_in_transaction: str = "5min"

    @property
    def timeouts(self) -> dict[str, str]:
        """Return the timeouts by the names of Postgres's parameters."""
        return {
            "idle_session_timeout": self.idle,
            "idle_in_transaction_session_timeout": self.idle_in_transaction,
        }
