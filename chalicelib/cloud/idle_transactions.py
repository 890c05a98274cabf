"""Allows a transaction to be idle for a long time.

If a transaction of the functions' role is idle for some minutes, Postgres closes the connection. So a function that has
vanished does not keep its locks. For Postgres, a transaction is also idle while the client still processes the rows of
the last statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.cloud.database import Session
from chalicelib.core import deadline

_PARAMETER = "idle_in_transaction_session_timeout"


@contextmanager
def long_idle(session: Session) -> Iterator[None]:
    """Inside the `with` block, allow the open transaction to be idle until the deadline. Without a deadline, it may be
    idle without a limit."""
    left = deadline.left()
    session.run(f"SET LOCAL {_PARAMETER} = {0 if left is None else round(left * 1000) + 1}")
    yield
    session.run(f"SET LOCAL {_PARAMETER} TO DEFAULT")
