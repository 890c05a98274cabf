"""Provides locks between processes, and functions that wait with a deadline.

A lock ends with the last process that holds it, so a crash leaves no lock behind.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import CloudError


def wait_until(check: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll `check` until it returns True. Raises CloudError with the message `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise CloudError(f"{what} (waited {timeout:.0f} s)")
        time.sleep(0.02)


def attempts(
    patience: float, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[], None]]:
    """Yield a function for each attempt. Call it in the `except` clause of the failed attempt.

    The function sleeps before the next attempt, longer each time. When `patience` seconds are over, the function
    raises the failure again.
    """
    deadline, pause = clock() + patience, 0.5

    def again() -> None:
        if clock() + pause > deadline:
            raise  # the exception that the caller is handling
        sleep(pause)

    while True:
        yield again
        pause = min(pause * 2, 10)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file. Return False if it is already locked. Closing the last copy of the descriptor unlocks it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, timeout: float, what: str) -> Iterator[int]:
    """Hold an exclusive lock on a file. Yield the file's descriptor. Raises CloudError after `timeout` seconds.

    Pass the descriptor to helper processes (`pass_fds`). If this process is killed, a helper that still runs keeps the
    lock until the helper ends.
    """
    deadline = time.monotonic() + timeout
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fd = file.fileno()
            wait_until(lambda fd=fd: try_lock(fd), deadline - time.monotonic(), what)  # type: ignore[misc]
            if path.exists() and path.stat().st_ino == os.fstat(fd).st_ino:
                yield fd
                return
        # The last holder of the lock deleted the file, and this lock is on the deleted file. Other processes would
        # lock a new file, so try again.
