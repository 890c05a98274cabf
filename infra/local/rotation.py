"""Logs that do not fill the disk: a file that a process and its children have open is copied and cut (`copytruncate`,
as logrotate calls it), since nobody could tell all of them to open another one. They append, so that what they write
next goes to its beginning. A line that is written between copy and cut is lost."""

import asyncio
import os
import shutil
from pathlib import Path

MOST = 10 * 1024 * 1024  # bytes
_EVERY = 1.0  # seconds


def rotate(log: Path, most: int = MOST) -> bool:
    """Move what is in a log to `<name>.1` where it is too long; whether it was."""
    if not log.exists() or log.stat().st_size <= most:
        return False
    unfinished = log.with_name(f"{log.name}.1.part")
    shutil.copyfile(log, unfinished)
    os.truncate(log, 0)
    unfinished.replace(log.with_name(f"{log.name}.1"))
    return True


async def rotating(log: Path, most: int = MOST) -> None:
    """Look at the log's length again and again, until cancelled."""
    while True:
        await asyncio.sleep(_EVERY)
        rotate(log, most)
