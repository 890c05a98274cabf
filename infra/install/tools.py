"""Prepares the installers: the pip that comes with Python installs uv, and uv installs all other packages."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from infra.errors import CloudError
from infra.install.failures import explain

NO_INDEX = "UV_NO_INDEX"  # our own name: uv has no variable for its option --no-index
_INDEX_SETTINGS = {"UV_DEFAULT_INDEX", "UV_INDEX_URL", NO_INDEX}
_CONFIGURED = re.compile(r"^(:env:|global|install)\.([a-z-]+)='(.*)'$", re.MULTILINE)


def no_pip(version: tuple[int, int] = sys.version_info[:2]) -> CloudError:
    name = f"python{version[0]}.{version[1]}-venv"
    return CloudError(
        f"this Python has no pip and no ensurepip: run apt install {name} (Debian, Ubuntu), then the same command again"
    )


def pip(python: Path) -> list[str | Path]:
    """Return the command that runs pip with `python`: the pip that ships with Python, else the pip of the system."""
    for wheel in bundled():
        return [python, wheel / "pip"]
    if spec := find_spec("pip"):
        return [python, Path(str(spec.origin)).parent]
    raise no_pip()


def bundled() -> list[Path]:
    """Return the pip wheels of ensurepip, newest first. Debian keeps them in a folder of its own."""
    spec = find_spec("ensurepip")
    if spec is None or not spec.origin:
        return []
    folders = [Path(spec.origin).parent / "_bundled"]
    if elsewhere := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.insert(0, Path(elsewhere))
    return sorted((wheel for folder in folders for wheel in folder.glob("pip-*.whl")), reverse=True)


def uv(home: Path) -> Path:
    """Return the path of uv's program, whether or not it is installed."""
    return home / "uv" / "bin" / "uv"


def fetch_uv(home: Path, python: Path, lock: Path, descriptors: Sequence[int]) -> None:
    """Install the version of uv that `lock` pins into `home`/uv, completely or not at all. Raises CloudError."""
    unfinished = home / f"uv.{os.getpid()}"
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile", "--no-user"]
    quiet = ["--progress-bar", "off", "--disable-pip-version-check", "--no-input"]
    command = [*pip(python), "install", *options, *quiet, "--target", unfinished, "--requirement", lock]
    try:
        # pip gets the descriptors of the held locks, so they stay locked if this process is killed.
        done = subprocess.run(command, pass_fds=descriptors, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CloudError(explain(done.stdout + done.stderr, home))
        shutil.rmtree(home / "uv", ignore_errors=True)
        (unfinished / "lock").write_text(lock.read_text())
        unfinished.rename(home / "uv")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def has_uv(home: Path, lock: Path) -> bool:
    try:
        return uv(home).exists() and (home / "uv" / "lock").read_text() == lock.read_text()
    except OSError:
        return False


def command(
    uv: Path, python: Path, locks: Sequence[Path], constraints: Path, *, anew: bool, no_index: bool
) -> list[str | Path]:
    """Return the uv command that installs the packages in all lock files `locks` and checks the hashes of files.

    With `anew`, uv also reinstalls packages that seem to be installed.
    """
    words = ["pip", "install", "--require-hashes", "--no-deps", "--no-progress", "--color", "never"]
    files = [word for lock in locks for word in ("--requirement", lock)]
    return [
        uv,
        *words,
        *(["--reinstall"] if anew else []),
        *(["--no-index"] if no_index else []),
        "--build-constraints",
        constraints,
        "--python",
        python,
        *files,
    ]


def settings(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for uv. They name pip's package indexes, unless UV_* variables name others."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    kept = {name: value for name, value in kept.items() if value or not name.startswith("UV_")}
    # uv downloads many files at once. On a slow connection, each of them may wait long, so the timeout is long.
    ours = {"UV_PYTHON_DOWNLOADS": "never", "UV_HTTP_TIMEOUT": "120", "UV_HTTP_RETRIES": "5"}
    if not kept.keys() & _INDEX_SETTINGS:
        listed = subprocess.run([*pip(python), "config", "list"], capture_output=True, text=True, check=False)
        ours |= translated(listed.stdout)
    if not _keeps_cache(environ):
        ours["UV_NO_CACHE"] = "1"
    return ours | kept


def translated(configuration: str) -> dict[str, str]:
    """Translate the output of `pip config list` to uv's variables. PIP_* variables override pip's files."""
    found = {(section, name): value for section, name, value in _CONFIGURED.findall(configuration)}
    merged = {
        name: found[section, name] for section in ("global", "install", ":env:") for s, name in found if s == section
    }
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    names |= {"trusted-host": "UV_INSECURE_HOST"}
    ours = {
        ours: " ".join(merged[theirs].replace("\\n", " ").split()) for theirs, ours in names.items() if theirs in merged
    }
    if "find-links" in merged:
        ours["UV_FIND_LINKS"] = ",".join(merged["find-links"].replace("\\n", " ").split())
    if merged.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        ours[NO_INDEX] = "1"
    if "UV_INDEX" in ours:
        # As in pip, each index may supply the best version. The hashes in the lock files make this safe.
        ours["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return ours


def _keeps_cache(environ: Mapping[str, str]) -> bool:
    """Return whether uv can write its cache. It cannot without a home folder, or without the right to write there."""
    if environ.get("UV_CACHE_DIR"):
        return True
    home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    folder = Path(home or os.devnull, "uv")
    return os.access(next(path for path in (folder, *folder.parents) if path.exists()), os.W_OK)
