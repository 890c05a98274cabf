"""python -m infra.install.lock (`make lock`): compile requirements.txt and requirements/*.in to lock files, with uv.

The lock files are valid for all platforms and for every Python from 3.11 on. The version of a package changes only if a
change of the input requires another version.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from infra import venv
from infra.commandline import exit_status, report
from infra.errors import CloudError
from infra.install import tools
from infra.install.sets import CUMULATIVE, PIN

REQUIREMENTS = venv.ROOT / "requirements"
# One environment holds both sets of each pair. So a package that both contain must have the same version in both.
_AFTER = {"deploy": "runtime", "local": "deploy", "develop": "local", "postgres": "develop"}
NAMES = (*CUMULATIVE, "postgres", "ministack", "awscli", "build", "uv")
_STATED = re.compile(r"^# Of the inputs (\w+)$", re.MULTILINE)


def source(name: str) -> Path:
    """Return the path of a set's input."""
    return venv.ROOT / "requirements.txt" if name == "runtime" else REQUIREMENTS / f"{name}.in"


def lines(path: Path) -> Iterator[str]:
    """Yield the requirements of an input and of the inputs that it includes, without comments."""
    for line in path.read_text().splitlines():
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped.startswith("-r "):
            yield from lines(path.parent / stripped[3:].strip())
        elif stripped:
            yield " ".join(stripped.split())


def fingerprint(name: str) -> str:
    """Return a hash of a set's inputs. If the hash changes, the lock file must be compiled again."""
    return sha256("\n".join(sorted(lines(source(name)))).encode()).hexdigest()[:12]


def stated(lock: str) -> str | None:
    """Return the fingerprint of the inputs from which a lock file was compiled, or None."""
    found = _STATED.search(lock)
    return found[1] if found else None


def pins(text: str) -> dict[str, str]:
    """Map the normalized names of all packages in a lock file or an input to their versions."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in PIN.findall(text)}


def unpinned(path: Path) -> list[str]:
    """Return the lines of an input that name no single version, so that `make lock` could change the version."""
    return [line for line in lines(path) if not PIN.match(line) or "*" in line]


def check_pinned(paths: Iterable[Path]) -> None:
    """Raise CloudError if a line pins no version. The error names all such lines."""
    wrong: dict[str, str] = {}
    for path in paths:
        for line in unpinned(path):
            wrong.setdefault(line, path.name)  # name the first input with this line; later inputs include that one
    if wrong:
        listed = ", ".join(f"{line} ({name})" for line, name in wrong.items())
        raise CloudError(f"nothing was changed: these lines pin no version: {listed}: write NAME==VERSION")


def compile_all() -> None:
    """Compile all lock files. Raises CloudError."""
    check_pinned(map(source, NAMES))
    settings = tools.settings(Path(sys.executable), os.environ)
    for name in NAMES:
        _compile(name, settings)
        report(f"requirements/{name}.txt: {len(pins((REQUIREMENTS / f'{name}.txt').read_text()))} packages")


def _compile(name: str, settings: dict[str, str]) -> None:
    lock = REQUIREMENTS / f"{name}.txt"
    words = ["pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet"]
    known: list[str | Path] = ["--constraints", REQUIREMENTS / f"{_AFTER[name]}.txt"] if name in _AFTER else []
    path = source(name).relative_to(venv.ROOT)
    command: list[str | Path] = [
        venv.installer(report),
        *words,
        *known,
        path,
        "--output-file",
        lock.relative_to(venv.ROOT),
    ]
    done = subprocess.run(command, cwd=venv.ROOT, env=settings, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CloudError(f"requirements/{name}.txt cannot be compiled: {done.stderr.strip()}")
    head = f"# Compiled by `make lock`; do not edit. For Python 3.11 and newer.\n# Of the inputs {fingerprint(name)}\n"
    lock.write_text(head + lock.read_text())


def main() -> int:
    return exit_status(compile_all)


if __name__ == "__main__":
    sys.exit(main())
