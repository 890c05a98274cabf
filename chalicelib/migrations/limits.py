"""Declares the limits of the connections of the functions' database role. This module needs no database, so that the
tools that prepare a database can import it quickly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of the role's connections. -1 `connections` means no limit. The timeouts have Postgres's format.

    `idle` is the time that a connection may be idle. Lambda freezes a function between two events, so its idle
    connection must end, so that others can connect. `idle_in_transaction` is the time that a transaction may be idle.
    When a function has vanished, Postgres may not notice: a proxy between them stays connected. Its locks are released
    after this time. The longest wait of a living function in a transaction is one request to S3 with all its retries,
    which takes 4.5 minutes. `completion` extends the time for its second reading.
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
