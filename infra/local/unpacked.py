"""The code of functions, unpacked once for all of their workers.

ministack unpacks a package of 40 MB anew for each worker, and Python then compiles all that the worker imports: this is
half of the CPU time of a cold start. Here a worker gets a link to a folder that it shares with the others of the same
code, as on AWS, where a function cannot change its code either. The bytecode that the first one writes serves the next.
"""

import shutil
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import ZipFile, ZipInfo

KEPT = 4  # folders, one for each release: workers of the release before may still import from theirs
_turn = Lock()


class SharedZipFile(ZipFile):
    """A zip file that is unpacked into an empty folder by making this a link to the shared one."""

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
        """Unpack under another name first: half a folder is never taken for a whole one."""
        unfinished = shared.with_name(f"unfinished-{shared.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        super().extractall(unfinished, None, pwd)
        unfinished.rename(shared)
        known = sorted(shared.parent.glob("code-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for old in known[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
