"""Ctrl-C at a moment when it would lose something."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def put_off() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block. A second one ends the block at once.

    Only for the main thread, which Ctrl-C interrupts. Raises KeyboardInterrupt.
    """
    came = False

    def remember(_: int, __: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt
