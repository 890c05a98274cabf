"""Which machine the packages of the functions are for, and those for this machine.

On AWS functions run on Linux; Chalice fetches wheels for it. The embedded AWS runs functions on this machine, whatever
that is, with our own Python. So they get what is installed here: the same files, checked by their hashes, with machine
code that runs here, and without a download.
"""

import shutil
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from infra.errors import CloudError
from infra.install.sets import PIN

_ARM = ("arm64", "aarch64")


@dataclass(frozen=True)
class Platform:
    """Where functions run: on this machine itself (`host`), or on Linux. `architecture` is Lambda's name of the
    processor, None for the one that `.chalice/config.json` names."""

    host: bool
    architecture: str | None


def platform_of(stage: str, machine: str, system: str) -> Platform:
    """The platform of a stage, seen from a machine as `platform.machine()` and `platform.system()` name it."""
    native = "arm64" if machine.lower() in _ARM else "x86_64"
    if stage == "local":
        return Platform(system in ("Linux", "Darwin"), native)
    if stage == "localstack":  # containers, which are Linux, of the processor that Docker need not emulate
        return Platform(False, native)
    return Platform(False, None)


def pins(requirements: str) -> list[tuple[str, str]]:
    """The packages of a requirements file, with their versions."""
    return PIN.findall(requirements)


def _unpinned(requirements: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in requirements.splitlines()]
    return [line for line in lines if line and not PIN.match(line)]


def copy_installed(requirements: str, folder: Path) -> None:
    """Copy the packages of a requirements file from the environment of this process. Raises CloudError where it has
    another version."""
    if unpinned := _unpinned(requirements):
        raise CloudError(
            f"requirements.txt names no version of {unpinned[0]}: add it, as in six==1.17.0, then make lock"
        )
    for name, version in pins(requirements):
        found = _installed(name)
        if found is None or found.version != version:
            there = f"{found.version} is" if found else "it is not"
            raise CloudError(f"requirements.txt wants {name} {version}, but {there} installed: make lock, then again")
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:  # programs, and bytecode that knows other paths
                continue
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), copy)


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
