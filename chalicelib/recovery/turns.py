"""Lets only one process at a time do a task of the sweep. Meanwhile, the process holds an advisory lock of the
database."""

from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.cloud.database import Session

Lock = tuple[int, int]


def begun(session: Session, lock: Lock) -> bool:
    """Take the lock if it is free. Return whether the session has it now."""
    return bool(session.scalar("SELECT pg_try_advisory_lock({}, {})".format(*lock)))


@contextmanager
def ending(session: Session, lock: Lock) -> Iterator[None]:
    """Release the lock at the end of the `with` block. Postgres itself releases the lock of a broken connection."""
    try:
        yield
    finally:
        if not session.broken:
            session.run("SELECT pg_advisory_unlock({}, {})".format(*lock))
