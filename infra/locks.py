"""Locks between processes that no crash can leave behind, and waiting with a deadline."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import CloudError


def wait_until(check: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll `check` until it holds. Raises CloudError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise CloudError(f"{what} (waited {timeout:.0f} s)")
        time.sleep(0.02)


def attempts(
    patience: float, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[], None]]:
    """For each attempt at something, what to call in the handler of its failure: it waits, ever longer, and raises
    that failure again once `patience` seconds are over."""
    deadline, pause = clock() + patience, 0.5

    def again() -> None:
        if clock() + pause > deadline:
            raise  # what is being handled
        sleep(pause)

    while True:
        yield again
        pause = min(pause * 2, 10)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file unless another one holds it. The lock goes with the last copy of the descriptor."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, timeout: float, what: str) -> Iterator[int]:
    """Hold an exclusive lock on a file.

    Give the descriptor to helper processes (`pass_fds`): a helper that outlives us, killed, then
    keeps others out until it has ended.
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
        # The holder before us deleted the file: what we have locked is not what the next one will open.
