"""The sets of packages, the environments they belong to, and which of them are there already.

`requirements/NAME.in` says what a set is for, `requirements/NAME.txt` is what is installed: every package of it with
its version and hashes, for all platforms.
"""

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from infra.errors import CloudError

CUMULATIVE = ("runtime", "local", "aws", "develop")  # each holds all before it
APART = ("ministack", "awscli")  # each has an environment of its own
POSTGRES = "postgres"  # goes with any of CUMULATIVE
NAMES = (*CUMULATIVE, POSTGRES, *APART)
PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", re.MULTILINE)  # (name, version) in a lock or an input
_GLIBC = (2, 28)  # what the wheels of Postgres are built for
_MACHINES = ("x86_64", "amd64", "aarch64", "arm64", "armv7l")


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `home`, and the sets that it has to hold; `what` is what people call it."""

    home: Path
    sets: tuple[str, ...]
    what: str
    requirements: Path

    @property
    def python(self) -> Path:
        return self.home / "bin" / "python"

    @property
    def locks(self) -> list[Path]:
        return [self.requirements / f"{name}.txt" for name in self.sets]

    def missing(self) -> list[str]:
        """The sets that are not there, or not as their locks have them now."""
        return [name for name in self.sets if self._noted(name) != key(self.requirements, [name])]

    def note(self) -> None:
        """Note that all sets are there, and those that they hold."""
        folder = self.home / "sets"
        folder.mkdir(exist_ok=True)
        for name in held(self.sets):
            unfinished = folder / f"{name}.{os.getpid()}"
            unfinished.write_text(key(self.requirements, [name]))
            unfinished.replace(folder / name)

    def begin(self) -> None:
        """Note that the sets may be half made."""
        self._note_unfinished({*self._unfinished(), *self.sets})

    def end(self) -> None:
        """Note that the sets are whole; others that an earlier command left half made still are."""
        self._note_unfinished(self._unfinished() - set(held(self.sets)))

    def _unfinished(self) -> set[str]:
        path = self.home / "unfinished"
        return set(path.read_text().split()) if path.exists() else set()

    def _note_unfinished(self, names: set[str]) -> None:
        if names:
            (self.home / "unfinished").write_text("\n".join(sorted(names)))
        else:
            (self.home / "unfinished").unlink(missing_ok=True)

    def forget(self, *, everything: bool) -> dict[Path, str]:
        """Forget the sets that are missing, or all of them; returns what was noted."""
        forgotten = {}
        for name in NAMES if everything else self.missing():
            with suppress(FileNotFoundError):
                forgotten[self.home / "sets" / name] = (self.home / "sets" / name).read_text()
            for folder in ("sets", "asked"):
                (self.home / folder / name).unlink(missing_ok=True)
        return forgotten

    def restore(self, notes: Mapping[Path, str], *, unsound: bool) -> None:
        """Note again what `forget` returned; `unsound`: the packages could not be relied on before either."""
        for path, text in notes.items():
            path.write_text(text)
        if not unsound:
            self._note_unfinished(set())

    def _noted(self, name: str) -> str:
        try:
            return (self.home / "sets" / name).read_text() if self.python.exists() else ""
        except OSError:
            return ""


def key(requirements: Path, names: Iterable[str]) -> str:
    """Changes when sets have to be installed anew: with their locks, and with the Python."""
    digest = sha256(f"{sys.base_prefix} {platform.python_version()}".encode())
    for name in names:
        digest.update((requirements / f"{name}.txt").read_bytes())
    return digest.hexdigest()[:12]


def held(names: Iterable[str]) -> list[str]:
    """The sets that are there once `names` are."""
    every = list(names)
    last = max((CUMULATIVE.index(name) for name in every if name in CUMULATIVE), default=-1)
    return [*CUMULATIVE[: last + 1], *(name for name in every if name not in CUMULATIVE)]


def environments(root: Path, names: Iterable[str]) -> list[Environment]:
    """The environments of a checkout that hold the sets `names`. Raises CloudError for a name that is unknown."""
    asked = list(names)
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise CloudError(f"unknown set {unknown[0]}: one of {', '.join(NAMES)}")
    requirements = root / "requirements"
    largest = [name for name in held(asked) if name in CUMULATIVE][-1:]
    ours = (*largest, *(name for name in (POSTGRES,) if name in asked))
    found = [Environment(root / ".venv", ours, "the Python environment", requirements)] if ours else []
    return found + [apart(root, name) for name in APART if name in asked]


def apart(root: Path, name: str) -> Environment:
    """The environment of a set that has one of its own.

    The embedded AWS's is of the same Python as ours, since it runs the packages that we make. Another version of its
    lock gets another folder: a running instance needs its own files.
    """
    requirements = root / "requirements"
    if name == "awscli":
        return Environment(root / ".venv-awscli", (name,), "the AWS CLI", requirements)
    home = root / ".venv-aws" / f"py{platform.python_version()}-{key(requirements, [name])}"
    return Environment(home, (name,), "the embedded AWS", requirements)


def has_postgres_wheel(system: str, machine: str, glibc: tuple[int, ...] | None) -> bool:
    """Whether a wheel with Postgres's programs runs here; `glibc` is the version of the C library, None for another
    one, as musl. Which wheel it is stands in requirements/postgres.in."""
    if machine.lower() not in _MACHINES:
        return False
    return system == "Darwin" or (system == "Linux" and glibc is not None and glibc >= _GLIBC)


def wants_postgres(environ: Mapping[str, str]) -> bool:
    """Whether to install such a wheel: not where other programs are named."""
    return not environ.get("HIREFLOW_PG_BIN") and has_postgres_wheel(platform.system(), platform.machine(), _glibc())


def _glibc() -> tuple[int, ...] | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return tuple(int(number) for number in version.split(".")) if name == "glibc" else None
    except (ValueError, OSError):
        return None
