"""Delays Ctrl-C in blocks where an interruption would lose data, such as the id of a new load."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def put_off() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block. A second Ctrl-C ends the block at once.

    Raises KeyboardInterrupt. Use this only in the main thread, since Ctrl-C interrupts no other thread.
    """
    interrupted = False

    def remember(_: int, __: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted:
            raise KeyboardInterrupt
