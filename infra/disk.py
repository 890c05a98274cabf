"""The disk of a stage: whether there is room on it, and what to do where there is none.

Little is imported here: a command that is still being imported uses this too.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.disk import is_full, says_what_to_do
from cli.errors import CommandError
from infra.errors import CloudError

TO_START = 200  # MB: 45 for a new database, 15 for a package, 110 for unpacked functions, and something to work with
TO_DEPLOY = 100
_ELSEWHERE = "free some space, or choose another folder with HIREFLOW_STATE_DIR"
_FULL = 8  # MB that are left on a disk that is as good as full
Free = Callable[[Path], float]


def free(folder: Path) -> float:
    """MB that are left there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / 2**20


def check(folder: Path, needed: int, free: Free = free) -> None:
    """Raises CloudError where too little is left."""
    left = free(folder)
    if left < needed:
        raise CloudError(f"{needed} MB are needed at {folder}, and {left:.0f} are free: {_ELSEWHERE}")


@contextmanager
def explained(folder: Path, free: Free = free) -> Iterator[None]:
    """Add to an error that the disk is full, which servers and programs do not always say. Raises CommandError."""
    try:
        yield
    except CommandError as error:
        if not says_what_to_do(str(error)) and (is_full(str(error)) or free(folder) < _FULL):
            raise CloudError(f"{error}; the disk is full at {folder}: {_ELSEWHERE}") from error
        raise
