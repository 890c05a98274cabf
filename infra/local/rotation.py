"""Rotates logs, so that they do not fill the disk.

A log that is too long is copied and then truncated (logrotate's `copytruncate`). The log cannot be replaced by another
file, because a process and its children have the log open. These processes append, so after the truncation they write
at the beginning of the file. A line that is written between the copy and the truncation is lost.
"""

import asyncio
import os
import shutil
from pathlib import Path

MOST = 10 * 1024 * 1024  # bytes
_EVERY = 1.0  # seconds


def rotate(log: Path, most: int = MOST) -> bool:
    """Move the content of a log to `<name>.1` if the log has more than `most` bytes. Return whether it had."""
    if not log.exists() or log.stat().st_size <= most:
        return False
    unfinished = log.with_name(f"{log.name}.1.part")
    shutil.copyfile(log, unfinished)
    os.truncate(log, 0)
    unfinished.replace(log.with_name(f"{log.name}.1"))
    return True


async def rotating(log: Path, most: int = MOST) -> None:
    """Rotate the log whenever it is too long, until the task is cancelled."""
    while True:
        await asyncio.sleep(_EVERY)
        rotate(log, most)
