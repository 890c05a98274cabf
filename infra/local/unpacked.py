"""Unpacks the code of a function once for all of its processes.

Unpacking a package of 40 MB, and compiling the modules that a process imports, would take half of the CPU time of a
cold start. All processes with the same code share one folder, and the first one writes bytecode that the others use.
None of them changes the code in the folder, because functions must not do this on AWS, either.
"""

import shutil
import tempfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Lock
from zipfile import ZipFile

KEPT = 4  # folders, one for each release; workers of previous releases may still import from their folders
_turn = Lock()


def folder_of(archive: bytes) -> Path:
    """Return the folder with the unpacked archive. Unpack the archive if this folder does not exist yet."""
    shared = Path(tempfile.gettempdir()) / f"code-{sha256(archive).hexdigest()[:16]}"
    with _turn:
        if not shared.exists():
            _unpack(archive, shared)
    return shared


def _unpack(archive: bytes, shared: Path) -> None:
    """Create the shared folder. It gets its name only when it is complete, so no process uses an incomplete one."""
    unfinished = shared.with_name(f"unfinished-{shared.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    with ZipFile(BytesIO(archive)) as opened:
        opened.extractall(unfinished)
    unfinished.rename(shared)
    newest_first = sorted(shared.parent.glob("code-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in newest_first[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
