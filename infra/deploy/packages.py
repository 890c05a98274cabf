"""Chooses the platform for which the functions' third-party packages are built, and copies them for this machine.

On AWS, functions run on Linux, and Chalice downloads wheels for Linux. The embedded AWS runs functions on this machine
with our own Python. So these functions get copies of the packages that are installed here. The hashes of these packages
were checked, their machine code runs here, and nothing is downloaded.
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
    """The platform on which functions run: this machine (`host`), or Linux.

    `architecture` is Lambda's name of the processor, or None if `.chalice/config.json` decides.
    """

    host: bool
    architecture: str | None


def platform_of(stage: str, machine: str, system: str) -> Platform:
    """Return the platform of a stage. `machine` and `system` come from `platform.machine()` and `platform.system()`."""
    native = "arm64" if machine.lower() in _ARM else "x86_64"
    if stage == "local":
        return Platform(system in ("Linux", "Darwin"), native)
    if stage == "localstack":  # its functions run in Docker, which is fastest with this machine's processor
        return Platform(False, native)
    return Platform(False, None)


def pins(requirements: str) -> list[tuple[str, str]]:
    """Return the packages in a requirements file, with their versions."""
    return PIN.findall(requirements)


def _unpinned(requirements: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in requirements.splitlines()]
    return [line for line in lines if line and not PIN.match(line)]


def copy_installed(requirements: str, folder: Path) -> None:
    """Copy the packages in a requirements file from the environment of this process.

    Raises CloudError if a package is missing or has another version.
    """
    if unpinned := _unpinned(requirements):
        raise CloudError(
            f"requirements.txt pins no version of {unpinned[0]}: add it, as in six==1.17.0, then run make lock"
        )
    for name, version in pins(requirements):
        found = _installed(name)
        if found is None or found.version != version:
            there = f"{found.version} is" if found else "it is not"
            raise CloudError(
                f"requirements.txt requires {name} {version}, but {there} installed: run make lock, then try again"
            )
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:  # skip scripts in bin/, and bytecode
                continue
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), copy)


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
