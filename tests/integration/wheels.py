"""Makes a small checkout for tests of the installation. Its sets of packages have only wheels that this module builds.

The installer and its messages are real. The packages come from a folder, so the tests need a network only to fetch uv.
"""

import os
import shutil
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

from infra.venv import ROOT

_SETS = {"runtime": (), "deploy": ("alpha",), "local": ("alpha",), "develop": ("alpha", "beta"), "postgres": ("gamma",)}


@dataclass(frozen=True)
class Checkout:
    """A checkout in `folder`. Its commands get the variables in `environment`. With these variables, the installer
    finds only the wheels in this folder."""

    folder: Path
    python: Path = field(default_factory=lambda: Path(sys.executable).resolve())
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *names: str, **more: str) -> subprocess.Popen[str]:
        """Start a process, in a process group of its own, that installs these sets of packages."""
        return subprocess.Popen(
            ["sh", self.folder / "infra" / "install.sh", *names],
            env={**self.environment, "PYTHON": str(self.python), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def install(self, *names: str, **more: str) -> tuple[int, str, str]:
        """Install these sets of packages. Return exit status, stdout and stderr."""
        process = self.start(*names, **more)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, out, err

    def has(self, module: str) -> bool:
        """Return whether the environment of this checkout has a module, and the module is whole."""
        python = self.folder / ".venv" / "bin" / "python"
        done = subprocess.run([python, "-c", f"from {module} import whole"], capture_output=True, check=False)
        return done.returncode == 0


def checkout(folder: Path, uv: Path | None) -> Checkout:
    """Create a checkout in `folder`. `uv` is a folder with the installer. If `uv` is None, the first command of the
    checkout has to fetch the installer."""
    for package in ("cli", "infra"):  # the installation uses code of `cli` for its messages
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    requirements, wheels = folder / "requirements", folder / "wheels"
    requirements.mkdir()
    wheels.mkdir()
    hashes = {name: _wheel(wheels, name) for name in ("alpha", "beta", "gamma")}
    for name, packages in _SETS.items():
        lines = "".join(f"{package}==1.0 --hash=sha256:{hashes[package]}\n" for package in packages)
        (requirements / f"{name}.txt").write_text(lines)
    (requirements / "build.txt").touch()
    shutil.copyfile(ROOT / "requirements" / "uv.txt", requirements / "uv.txt")
    if uv:
        (folder / ".venv").mkdir()
        shutil.copytree(uv, folder / ".venv" / "uv", copy_function=os.link)
    home = folder / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "SSL_CERT_FILE", "PIP_CERT") if name in os.environ}
    no_index = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    few_retries = {"UV_HTTP_RETRIES": "0", "PIP_RETRIES": "1"}
    return Checkout(folder, environment={**kept, **no_index, **few_retries, "HOME": str(home), "TMPDIR": str(home)})


def _wheel(folder: Path, name: str) -> str:
    """Build the wheel of a package with one module. Return the SHA-256 of the wheel."""
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "whole = True\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        path: urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=") for path, text in files.items()
    }
    record = "".join(f"{path},sha256={digests[path]},{len(text)}\n" for path, text in files.items())
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for inside, text in {**files, f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}.items():
            archive.writestr(inside, text)
    return sha256(path.read_bytes()).hexdigest()
