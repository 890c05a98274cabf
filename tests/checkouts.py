"""Copies this checkout, so that a test can change the copy and run commands there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.venv import ROOT


def copied(to: Path) -> Path:
    """Copy the files of this checkout, also new files, but no files that git ignores. The copy uses the Python
    environment of this checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / ".venv").symlink_to(Path(sys.prefix))
    return to


def passes(checkout: Path, *command: str, **env: str) -> str:
    """Run a Python module with arguments in a checkout, and return its output. `env` has further variables of the
    environment. Raises AssertionError with the output if the exit status is not 0."""
    done = subprocess.run(
        [".venv/bin/python", "-m", *command],
        cwd=checkout,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout
