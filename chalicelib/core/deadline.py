"""Limits the time of the current work.

API Gateway ends a request after 29 seconds, and Lambda kills a function that exceeds its timeout. So the code that
starts a piece of work sets an earlier deadline. The code for the database and for S3 stops at the deadline. Because the
deadline is earlier, there is still time to send a response, to roll back the transaction and to write the history.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from chalicelib.core.errors import OutOfTime

_end: ContextVar[float | None] = ContextVar("end", default=None)  # a new thread starts without a deadline


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the work inside the `with` block to `seconds`.

    Inside the block, the new deadline replaces an outer deadline. So a cleanup gets time even if the outer deadline has
    passed.
    """
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def left() -> float | None:
    """Return the seconds that remain, or None without a deadline. Raises OutOfTime if no time remains."""
    end = _end.get()
    if end is None:
        return None
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise OutOfTime("the work took too long and was stopped")
    return seconds


def limited() -> bool:
    """Return whether a deadline is set."""
    return _end.get() is not None


def passed() -> bool:
    end = _end.get()
    return end is not None and time.monotonic() >= end
