"""Whether there is room on the disk: a full one breaks servers and deployments half-way."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import CloudError

TO_START = 200  # MB: 45 for a new database, 15 for a package, 110 for unpacked functions, and something to work with
TO_DEPLOY = 100
_FULL = 8
_REMEDY = "free some space, or choose another folder with HIREFLOW_STATE_DIR"
Free = Callable[[Path], float]


def free(folder: Path) -> float:
    """MB that are left there."""
    return shutil.disk_usage(folder).free / 2**20


def check(folder: Path, needed: int, free: Free = free) -> None:
    """Raises CloudError where too little is left."""
    left = free(folder)
    if left < needed:
        raise CloudError(f"{needed} MB are needed at {folder}, and {left:.0f} are free: {_REMEDY}")


@contextmanager
def explained(folder: Path, free: Free = free) -> Iterator[None]:
    """Add to an error that the disk is full, which servers and programs do not always say."""
    try:
        yield
    except CloudError as error:
        if free(folder) < _FULL:
            raise CloudError(f"{error}; the disk is full at {folder}: {_REMEDY}") from error
        raise
