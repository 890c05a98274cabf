"""Creates the virtual environments of this checkout, installs packages, and repairs interrupted installations.

This module uses only the standard library: the system's Python runs it before anything is installed.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.errors import CloudError
from infra.install import failures, tools
from infra.install.running import Run
from infra.install.sets import Environment
from infra.locks import locked
from infra.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 900  # seconds to wait for another command that installs


def ensure(environments: Sequence[Environment], report: Callable[[str], None]) -> None:
    """Install the missing sets of all environments in parallel. Return at once if no set is missing.

    Raises CloudError. After a failed download, all packages that were installed before are still installed.
    """
    wanting = [environment for environment in environments if environment.missing()]
    if not wanting:
        return
    progress = Progress(report)
    with progress.running(), ExitStack() as held:
        try:
            locks = [held.enter_context(_turn(environment, progress)) for environment in wanting]
            wanting = [environment for environment in wanting if environment.missing()]
            if wanting:
                _install(wanting, locks, progress)
        except OSError as error:
            raise CloudError(failures.of_system(error, wanting[0].home)) from error


def installer(report: Callable[[str], None]) -> Path:
    """Return the path of uv's program. Download uv if it is missing. Raises CloudError."""
    return _uv(ROOT / ".venv", Path(sys.executable), [], Progress(report))


@contextmanager
def _turn(environment: Environment, progress: Progress) -> Iterator[int]:
    """Hold the lock of an environment."""
    with ExitStack() as held:
        with progress.doing(lambda: f"waiting for another command that installs {environment.what}"):
            busy = f"another command is still installing {environment.what}"
            lock = held.enter_context(locked(environment.home / "lock", _PATIENCE, busy))
        yield lock


def _install(wanting: Sequence[Environment], locks: Sequence[int], progress: Progress) -> None:
    progress.say(f"installing {' and '.join(environment.what for environment in wanting)} (this happens once)")
    unsound = [_make(environment, locks) for environment in wanting]
    home = ROOT / ".venv"
    uv = _uv(home, wanting[0].python, locks, progress)
    settings = tools.settings(wanting[0].python, os.environ)
    constraints = wanting[0].requirements / "build.txt"
    no_index = tools.NO_INDEX in settings
    runs, noted = [], []
    for environment, anew in zip(wanting, unsound, strict=True):
        # If everything is installed again, the sets that the missing set contains are incomplete during this time, too.
        noted.append(environment.forget(everything=anew))
        environment.begin()
        command = tools.command(uv, environment.python, environment.locks, constraints, anew=anew, no_index=no_index)
        runs.append(Run(environment, command, settings, locks, progress))
    try:
        for run in runs:
            run.join()
    finally:
        for run in runs:
            run.end()
    for environment, run, anew, notes in zip(wanting, runs, unsound, noted, strict=True):
        if run.changed_nothing:
            environment.restore(notes, unsound=anew)
    for run in runs:
        run.check()
    for environment in wanting:
        environment.note()
        environment.end()


def _make(environment: Environment, locks: Sequence[int]) -> bool:
    """Create the environment, or use the existing one.

    Return True if the packages in it must be installed again, because an installation was interrupted or another tool
    created the environment.
    """
    home = environment.home
    if not _is_of_this_python(home):
        _empty(home)
    sound = not (home / "unfinished").exists() and ((home / "sets").exists() or (home / "installed").exists())
    command = [sys.executable, "-m", "venv", "--without-pip", str(home)]
    done = subprocess.run(command, pass_fds=locks, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = done.stdout + done.stderr  # Debian prints to stdout which package is missing
        raise tools.no_pip() if "No module named" in output else CloudError(failures.explain(output, home))
    return not sound and any(home.glob("lib/python*/site-packages/*.dist-info"))


def _is_of_this_python(home: Path) -> bool:
    try:
        config = (home / "pyvenv.cfg").read_text()
    except OSError:
        return False
    return (home / "bin" / "python").exists() and f"version = {platform.python_version()}\n" in config


def _empty(home: Path) -> None:
    """Delete everything except the lock, which is held, and uv, which works with every Python."""
    for old in home.iterdir():
        if old.name in ("lock", "uv.lock", "uv"):
            continue
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()


def _uv(home: Path, python: Path, locks: Sequence[int], progress: Progress) -> Path:
    """Return the path of uv's program. Download uv unless the version in its lock file is installed."""
    lock = ROOT / "requirements" / "uv.txt"
    busy = "another command is still fetching uv"
    with progress.doing(lambda: "fetching the installer, uv"), locked(home / "uv.lock", _PATIENCE, busy) as held:
        if not tools.has_uv(home, lock):
            progress.say("fetching the installer, uv (18 MB)")
            tools.fetch_uv(home, python, lock, [*locks, held])
    return tools.uv(home)
