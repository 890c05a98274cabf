"""python -m infra.venv: the virtual environment of this checkout (`make venv`), and the maker of others.

Standard library only: it runs on the system's Python, before anything is installed.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from infra.errors import CloudError
from infra.locks import locked

ROOT = Path(__file__).resolve().parents[1]
_PIP = "pip<26.3"  # chalice 1.34 calls what later ones have dropped
_OLDEST = (3, 11)


def ensure(home: Path, requirements: Sequence[Path], report: Callable[[str], None], what: str) -> Path:
    """Make or update the environment in `home` unless it is current; return its Python."""
    python, stamp, lock = home / "bin" / "python", home / "installed", home / "lock"
    with locked(lock, 900, f"another process is still installing {what}") as fd:
        if not (python.exists() and stamp.exists() and stamp.read_text() == key(requirements)):
            report(f"installing {what}")
            if not _is_of_this_python(home):
                _empty(home, lock)
            _run([sys.executable, "-m", "venv", str(home)], fd)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--upgrade", _PIP], fd)
            _run([*pip, *(word for path in requirements for word in ("--requirement", str(path)))], fd)
        stamp.write_text(key(requirements))
    return python


def key(requirements: Sequence[Path]) -> str:
    """Changes when the environment has to be made anew."""
    digest = sha256(f"{sys.base_prefix} {platform.python_version()}".encode())
    for path in requirements:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _is_of_this_python(home: Path) -> bool:
    config = home / "pyvenv.cfg"
    return (home / "bin" / "python").exists() and f"version = {platform.python_version()}\n" in config.read_text()


def _empty(home: Path, keep: Path) -> None:
    for old in home.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif old != keep:
            old.unlink()


def _run(command: list[str], lock: int) -> None:
    done = subprocess.run(command, pass_fds=[lock], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CloudError(f"{' '.join(command[:4])} failed: {' | '.join(done.stderr.strip().splitlines()[-3:])}")


def main() -> None:
    if sys.version_info < _OLDEST:
        sys.exit(f"error: this is Python {platform.python_version()}, 3.11 or newer is needed: make PYTHON=python3.12")
    try:
        wanted = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]
        ensure(ROOT / ".venv", wanted, lambda text: print(f"  {text}", flush=True), "the Python environment (once)")
    except CloudError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
