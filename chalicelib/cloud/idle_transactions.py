"""Lets a transaction be idle for long.

Postgres ends a connection of the functions' role after some minutes in an idle transaction, so that a vanished function
does not keep its locks. For Postgres, a transaction is also idle while its client still works on the rows of the last
statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.cloud.database import Session
from chalicelib.core import deadline

_PARAMETER = "idle_in_transaction_session_timeout"


@contextmanager
def patient(session: Session) -> Iterator[None]:
    """Let the open transaction be idle for all the time that is left, inside the `with` block."""
    left = deadline.left()
    session.run(f"SET LOCAL {_PARAMETER} = {0 if left is None else round(left * 1000) + 1}")
    yield
    session.run(f"SET LOCAL {_PARAMETER} TO DEFAULT")
