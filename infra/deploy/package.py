"""Builds the deployment package of the functions, checks it, and packs it so that equal code gives equal bytes.

Chalice names the file of a package by a hash of its input, and builds nothing if this file exists. So Chalice builds
the package first. Then this module checks and packs the package into the same file, and `chalice deploy` uploads it.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email.parser import Parser
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from infra.deploy import driver, packages, project
from infra.deploy.plan import wanted_settings
from infra.deploy.target import Target
from infra.errors import CloudError

LIMIT = 15_000_000  # bytes; every function has the package, and each cold start unpacks it
_MIGRATION = ("sqlalchemy", "alembic", "mako")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip file
_MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}  # e_machine of ELF
_WHEELS = {"x86_64": "x86_64", "arm64": "aarch64"}  # Lambda's name of a processor: its name in wheel tags
_OLD_GLIBC, _GLIBC = (2, 26), (2, 34)  # glibc of Amazon Linux 2 (for Python before 3.12) and of Amazon Linux 2023
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def build(target: Target) -> Path:
    """Build, check and pack the package of an assembled project, and return its path.

    Raises CloudError, which lists everything that is wrong with the package.
    """
    output = target.work / "package"
    shutil.rmtree(output, ignore_errors=True)
    driver.chalice(target, "package", "--pkg-format", "terraform", "--stage", target.stage, str(output))
    built = (output / "deployment.zip").read_bytes()
    path = next(p for p in (target.project / ".chalice" / "deployments").glob("*.zip") if p.read_bytes() == built)
    architecture = wanted_settings(project.configuration(target), target.stage)["api_handler"]["architecture"]
    pins = (target.project / "requirements.txt").read_text()
    finished = target.work / "packed"  # identifies the result of the last build
    if finished.exists() and finished.read_text() == _named(built, pins, architecture):
        shutil.rmtree(output)
        return path
    packed = pack(precompiled(built, output / "unpacked"))
    wrong = list(faults(packed, pins, architecture, sys.version_info[:2]))
    if wrong:
        path.unlink()
        raise CloudError(f"the package is not deployed: {'; '.join(wrong)}")
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(packed)
    unfinished.replace(path)
    finished.write_text(_named(packed, pins, architecture))
    shutil.rmtree(output)
    return path


def _named(package: bytes, pins: str, architecture: str) -> str:
    """Return a hash of a package and of the requirements that it was checked against."""
    return sha256(b"\0".join([sha256(package).digest(), pins.encode(), architecture.encode()])).hexdigest()


def precompiled(package: bytes, folder: Path) -> bytes:
    """Return the package with bytecode for this Python. `folder` is a work folder, which must not exist yet.

    Lambda does not keep bytecode, so without bytecode in the package each cold start would compile all imported
    modules. Packages that only the migration imports stay without bytecode and without machine code, to save space:
    SQLAlchemy has the same code in Python. Python must not compare the bytecode with the source ("unchecked"), because
    the package holds no file times. Raises CloudError.
    """
    with ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if _is_kept(name)])
    places = [path for path in sorted(folder.iterdir()) if path.name not in _MIGRATION and path.suffix != ".dist-info"]
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    where = ["-s", str(folder), "-p", "/var/task"]  # tracebacks show these paths
    seedless = {"PYTHONHASHSEED": "0"}  # otherwise the bytes would change with each build
    done = subprocess.run(
        [*command, *where, *map(str, places)], env=seedless, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CloudError(f"the package cannot be compiled: {' | '.join(done.stdout.strip().splitlines()[-3:])}")
    result = io.BytesIO()
    with ZipFile(result, "w") as archive:
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return result.getvalue()


def _is_kept(name: str) -> bool:
    is_machine_code = name.endswith(".so") and name.split("/")[0] in _MIGRATION
    return "__pycache__" not in name and not is_machine_code


def pack(package: bytes) -> bytes:
    """Return a package with the same files, sorted by name, without times and owners."""
    packed = io.BytesIO()
    with ZipFile(io.BytesIO(package)) as source, ZipFile(packed, "w", ZIP_DEFLATED, compresslevel=9) as result:
        for name in sorted(source.namelist()):
            info = ZipInfo(name, _EPOCH)
            info.external_attr = 0o100644 << 16
            info.compress_type = ZIP_DEFLATED
            info.create_system = 3  # Unix, whatever system builds the package
            result.writestr(info, source.read(name))
    return packed.getvalue()


def faults(
    package: bytes, requirements: str, architecture: str, python: tuple[int, int], limit: int = LIMIT
) -> Iterator[str]:
    """Yield everything that is wrong with a package for Lambda's `architecture` and Python.

    Three things can be wrong: the package is too large, a pinned requirement is missing or has another version, or
    machine code is for another platform. Chalice itself only warns about a missing requirement.
    """
    if len(package) >= limit:
        yield f"its {len(package) / 1e6:.1f} MB are more than the limit of {limit / 1e6:.0f} MB"
    with ZipFile(io.BytesIO(package)) as archive:
        names = archive.namelist()
        if "app.py" not in names:
            yield "app.py is missing"
        installed: dict[str, str] = {}
        for name in names:
            if name.endswith(".dist-info/METADATA"):
                metadata = Parser().parsestr(archive.read(name).decode(), headersonly=True)
                installed[_normal(metadata["Name"])] = metadata["Version"]
            elif name.endswith(".dist-info/WHEEL"):
                tags = Parser().parsestr(archive.read(name).decode(), headersonly=True).get_all("Tag") or []
                if not any(_runs(tag, architecture, python) for tag in tags):
                    yield f"{name.split('-')[0]} is built for {', '.join(tags) or 'no platform'}"
            elif re.search(r"\.so(\.|$)", name):
                yield from _faults_of_binary(name, archive.read(name)[:20], architecture)
    for package_name, version in packages.pins(requirements):
        found = installed.get(_normal(package_name))
        if found != version:
            state = "missing" if found is None else f"required, but {found} is in the package"
            yield f"{package_name} {version} is {state}"


def _faults_of_binary(name: str, head: bytes, architecture: str) -> Iterator[str]:
    if head[:4] != b"\x7fELF" or int.from_bytes(head[18:20], "little") != _MACHINES[architecture]:
        yield f"{name} is not built for {architecture}"


def _runs(tag: str, architecture: str, python: tuple[int, int]) -> bool:
    """Return whether a wheel with this tag runs on Lambda: a pure wheel, or manylinux with a glibc that Lambda has."""
    interpreter, abi, platform = tag.split("-")
    newest = f"cp{python[0]}{python[1]}"
    if platform == "any":
        return abi == "none"
    stable = abi == "abi3" and re.fullmatch(r"cp3\d+", interpreter) and int(interpreter[3:]) <= python[1]
    if not (stable or (interpreter == newest and abi == newest) or (interpreter == "py3" and abi == "none")):
        return False
    found = re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", platform) or re.fullmatch(r"(manylinux\d+)_(\w+)", platform)
    if not found or found.groups()[-1] != _WHEELS[architecture]:
        return False
    glibc = _LEGACY[found[1]] if found[1] in _LEGACY else (int(found[1]), int(found[2]))
    return glibc <= (_GLIBC if python >= (3, 12) else _OLD_GLIBC)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
