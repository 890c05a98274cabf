"""How much time the work at hand still has.

API Gateway gives up on a request after 29 seconds, and Lambda kills a function that exceeds its time.
Whoever starts a piece of work says how long it may take; the database and the storage stop in time,
so that there is an answer to give, a transaction to roll back, a history to write.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from chalicelib.core.errors import OutOfTime

_end: ContextVar[float | None] = ContextVar("end", default=None)  # a thread of its own starts without one


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the work inside to so many seconds.

    This replaces an outer deadline: cleaning up after that one has passed needs time of its own.
    """
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def left() -> float | None:
    """Seconds that remain, None where nothing limits them. Raises OutOfTime when there are none."""
    end = _end.get()
    if end is None:
        return None
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise OutOfTime("this took too long and was given up")
    return seconds


def limited() -> bool:
    """Whether anything limits the work."""
    return _end.get() is not None


def passed() -> bool:
    end = _end.get()
    return end is not None and time.monotonic() >= end
