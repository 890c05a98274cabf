"""Unpacks the previous release from the git history of this repository. That release makes a stage, and the tests
upgrade the stage to this release.

A full clone has the history. A downloaded archive or a shallow clone lacks it. Without history the tests of the upgrade
are skipped. If HIREFLOW_HISTORY is `required`, as in continuous integration, they fail instead.
"""

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from infra.venv import ROOT

# The tests upgrade a stage of this release. If a later release changes the state of a stage (schema, buckets, state
# folder), set BASE to the commit before that release.
BASE = "968c2b35d00a6d7e9c248f315ed0b825ab44e338"
# The commands of a release need the packages in these lock files in requirements/.
_LOCKS = ("local.txt", "postgres.txt")
_PATIENCE = 300  # a command may take at most these seconds


@dataclass(frozen=True)
class Release:
    """A release that tests can run: its code in `folder`, a Python that has its packages, and the environment variables
    for its commands."""

    folder: Path
    python: Path
    environment: dict[str, str]

    def run(self, *words: str) -> str:
        """Run a command of this release, with `python -m infra.local`. Return the output."""
        command: list[str | Path] = [self.python, "-m", "infra.local", *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


def unpacked(folder: Path, commit: str = BASE) -> Path:
    """Unpack the tree of a commit below `folder`. Skip (or fail) the test if the history is missing.

    The unpacked tree shares the virtual environments of the embedded AWS (`.venv-aws`) with this checkout. The folder
    has an environment for each version of the lock file, so releases do not disturb each other.
    """
    packed = _archive(commit)
    if packed is None:
        say = pytest.fail if os.environ.get("HIREFLOW_HISTORY") == "required" else pytest.skip
        say(
            f"commit {commit[:7]} is not in the history: test in a git clone, and run `git fetch --unshallow` there"
            " if it is shallow"
        )
    tree = folder / commit[:7]
    tree.mkdir()
    with ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(tree)
    environments = ROOT / ".venv-aws"
    environments.mkdir(exist_ok=True)
    (tree / environments.name).symlink_to(environments)
    return tree


def python_of(tree: Path) -> Path:
    """Return a Python that has the packages of a release. This is the running Python if its packages are the same, or
    else the Python of a new environment."""
    if all((tree / "requirements" / name).read_bytes() == _ours(name) for name in _LOCKS):
        return Path(sys.executable)
    (tree / ".venv").mkdir()
    # If the release needs another version of uv, install.sh fetches that version.
    (tree / ".venv" / "uv").symlink_to(ROOT / ".venv" / "uv")
    install = ["sh", "infra/install.sh", "local", "postgres"]
    subprocess.run(install, cwd=tree, check=True, capture_output=True, timeout=_PATIENCE)
    return tree / ".venv" / "bin" / "python"


def _ours(name: str) -> bytes:
    return (ROOT / "requirements" / name).read_bytes()


def _archive(commit: str) -> bytes | None:
    """Return a zip file with all files of a commit, or None if git or the commit is missing."""
    try:
        command = ["git", "archive", "--format=zip", commit]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
