"""The embedded AWS as a background process: its own virtual environment, start, stop, health."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cli.errors import NoAnswer
from cli.http import Client
from infra import venv
from infra.errors import CloudError
from infra.install import sets
from infra.local.daemons import Daemon
from infra.local.gate import credentials
from infra.local.ports import HOST
from infra.locks import wait_until
from infra.venv import ROOT

_HERE = Path(__file__).parent
_LOCK = ROOT / "requirements" / "ministack.txt"
# For clouds that do not check credentials.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class EmbeddedAws:
    """One instance, with its state below `home`; `report` is told of what takes long."""

    def __init__(self, home: Path, report: Callable[[str], None] = lambda _: None) -> None:
        self.home, self._report = home, report
        self._daemon = Daemon(home, "aws")
        self._started = home / "started.json"  # what the running process was started with

    @property
    def credentials(self) -> Mapping[str, str]:
        """The AWS_* variables of its clients: generated once for this folder."""
        return credentials.for_clients(self.home)

    def port(self) -> int | None:
        """The port of the running instance, or None."""
        port = self._started_with().get("port")
        return int(port) if port and self._daemon.alive() else None

    def healthy(self) -> bool:
        """Whether it answers, and runs the code that is on disk with the credentials that are."""
        port = self.port()
        return port is not None and self._started_with() == self._to_start(port) and _answers(port)

    def start(self, port: int, timeout: float = 30) -> None:
        """Start it on `port` unless a healthy one runs there."""
        if self.healthy() and self.port() == port:
            return
        python = environment(self._report)
        self.stop()
        with self._daemon.claim() as claim:
            if claim is None:
                raise CloudError("the embedded AWS is being started by another process: try again")
            self._started.write_text(json.dumps(self._to_start(port)))
            # Not -P nor PYTHONPATH: the working folder finds this module, and functions do not inherit it.
            self._daemon.start(
                claim, [python, "-m", "infra.local.server", self.home], env=self._environment(port), cwd=ROOT
            )
        deadline = time.monotonic() + timeout
        wait_until(lambda: _answers(port) or not self._daemon.alive(), timeout, "the embedded AWS does not answer")
        if not self._daemon.alive() or time.monotonic() > deadline:
            raise CloudError(f"the embedded AWS did not start: {self._daemon.last_words()}")

    def stop(self) -> None:
        """End it; what it holds is written to its folder."""
        if self._daemon.alive():
            self._daemon.stop(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would, for tests."""
        self._daemon.stop(signal.SIGKILL)

    def incarnation(self) -> str:
        return self._daemon.incarnation()

    def _environment(self, port: int) -> dict[str, str]:
        """A clean one: functions inherit all of it."""
        self.home.chmod(0o700)  # functions, with their passwords, are stored in there
        temporary = self.home / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # unpacked functions of an instance that was killed
        temporary.mkdir(parents=True, exist_ok=True)  # a function that outlives its instance may still write there
        return {
            "AWS_DEFAULT_REGION": credentials.REGION,
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TMPDIR": str(temporary),
            "GATEWAY_PORT": str(port),
            "BIND_HOST": HOST,
            "AUTH": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.home / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.home / "s3"),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }

    def _to_start(self, port: int) -> dict[str, Any]:
        return {"port": port, "code": _code(), "key": self.credentials["AWS_ACCESS_KEY_ID"]}

    def _started_with(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._started.read_text()))
        except (OSError, ValueError):
            return {}


def environment(report: Callable[[str], None]) -> Path:
    """The Python of the embedded AWS's virtual environment, made when missing."""
    made = sets.apart(ROOT, "ministack")
    venv.ensure([made], report)
    return made.python


def _code() -> str:
    """Changes when a running instance is not the one that would be started now."""
    names = ("server", "front", "apigateway", "logevents", "memory", "rotation", "unpacked", "aws")
    files = [_LOCK, *(_HERE / f"{name}.py" for name in names), *sorted((_HERE / "gate").glob("*.py"))]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _answers(port: int) -> bool:
    client = Client(patience=5)
    try:
        return client.send("GET", f"http://{HOST}:{port}/_ministack/ready").ok
    except NoAnswer:
        return False
    finally:
        client.close()
