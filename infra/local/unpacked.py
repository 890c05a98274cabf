"""Unpacks the code of a function once for all of its workers. Here, a worker is a process that runs a function.

ministack unpacks the package of 40 MB for each worker, and Python compiles all modules that the worker imports. This
takes half of the CPU time of a cold start. With this module, all workers with the same code share one folder, and each
worker gets a link to the folder. The first worker writes bytecode that the others use. No worker changes the code in
the folder, because functions must not do this on AWS, either.
"""

import shutil
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import ZipFile, ZipInfo

KEPT = 4  # folders, one for each release; workers of previous releases may still import from their folders
_turn = Lock()


class SharedZipFile(ZipFile):
    """A zip file. Unpacking it into an empty folder only replaces this folder by a link to the shared folder."""

    def extractall(self, path: Any = None, members: Iterable[str | ZipInfo] | None = None, pwd: Any = None) -> None:
        if path is None or members is not None or self.filename is None:
            return super().extractall(path, members, pwd)
        digest = sha256(Path(self.filename).read_bytes()).hexdigest()
        shared = Path(tempfile.gettempdir()) / f"code-{digest[:16]}"
        with _turn:
            if not shared.exists():
                self._unpack(shared, pwd)
        Path(path).rmdir()
        Path(path).symlink_to(shared)
        return None

    def _unpack(self, shared: Path, pwd: Any) -> None:
        """Create the shared folder. It gets its name only when it is complete, so no worker uses an incomplete one."""
        unfinished = shared.with_name(f"unfinished-{shared.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        super().extractall(unfinished, None, pwd)
        unfinished.rename(shared)
        newest_first = sorted(shared.parent.glob("code-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for old in newest_first[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
