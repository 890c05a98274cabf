"""Checks the free space on a stage's disk, and says what to do if the disk is full.

This module imports little, because commands use it during their own imports.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.disk import is_full, says_what_to_do
from cli.errors import CommandError
from infra.errors import CloudError

TO_START = 200  # MB: 45 for a new database, 15 for a package, 110 for unpacked functions, 30 for the rest
TO_DEPLOY = 100
_ELSEWHERE = "free some space, or choose another folder with HIREFLOW_STATE_DIR"
_FULL = 8  # MB; a disk with less free space counts as full
Free = Callable[[Path], float]


def free(folder: Path) -> float:
    """Return the free space on the disk of a folder, in MB."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize / 2**20


def check(folder: Path, needed: int, free: Free = free) -> None:
    """Raise CloudError if less than `needed` MB are free."""
    left = free(folder)
    if left < needed:
        raise CloudError(f"{needed} MB are needed at {folder}, and {left:.0f} are free: {_ELSEWHERE}")


@contextmanager
def explained(folder: Path, free: Free = free) -> Iterator[None]:
    """Raise a CommandError of the `with` block again. If the disk is full, the message of the new error says so.

    This function checks the disk itself, because not every server and program reports a full disk.
    """
    try:
        yield
    except CommandError as error:
        if not says_what_to_do(str(error)) and (is_full(str(error)) or free(folder) < _FULL):
            raise CloudError(f"{error}; the disk is full at {folder}: {_ELSEWHERE}") from error
        raise
