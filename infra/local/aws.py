"""Starts, stops and checks the embedded AWS, a background process with its own virtual environment."""

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
# LocalStack accepts any credentials, such as these.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class EmbeddedAws:
    """One instance of the embedded AWS, with its state below `home`. `report` gets a message before each slow step."""

    def __init__(self, home: Path, report: Callable[[str], None] = lambda _: None) -> None:
        self.home, self._report = home, report
        self._daemon = Daemon(home, "aws")
        self._started = home / "started.json"  # port, code and key of the running process

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the AWS_* variables for clients. The credentials are generated once for each state folder."""
        return credentials.for_clients(self.home)

    def port(self) -> int | None:
        """Return the port of the running instance, or None."""
        port = self._started_with().get("port")
        return int(port) if port and self._daemon.alive() else None

    def healthy(self) -> bool:
        """Return whether the instance responds, and was started with the code and credentials that are on disk now."""
        port = self.port()
        return port is not None and self._started_with() == self._to_start(port) and _answers(port)

    def start(self, port: int, timeout: float = 30) -> None:
        """Start the instance on `port` unless a healthy one runs there. `timeout` is in seconds. Raises CloudError."""
        if self.healthy() and self.port() == port:
            return
        python = environment(self._report)
        self.stop()
        with self._daemon.claim() as claim:
            if claim is None:
                raise CloudError("the embedded AWS is being started by another process: try again")
            self._started.write_text(json.dumps(self._to_start(port)))
            # Python finds infra.local.server through the working folder, because functions would inherit PYTHONPATH.
            self._daemon.start(
                claim, [python, "-m", "infra.local.server", self.home], env=self._environment(port), cwd=ROOT
            )
        deadline = time.monotonic() + timeout
        wait_until(lambda: _answers(port) or not self._daemon.alive(), timeout, "the embedded AWS does not respond")
        if not self._daemon.alive() or time.monotonic() > deadline:
            raise CloudError(f"the embedded AWS did not start: {self._daemon.last_words()}")

    def stop(self) -> None:
        """Stop the instance, which first writes its state to its folder."""
        if self._daemon.alive():
            self._daemon.stop(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the instance, as a crash would. Only tests use this."""
        self._daemon.stop(signal.SIGKILL)

    def incarnation(self) -> str:
        """See `Daemon.incarnation`."""
        return self._daemon.incarnation()

    def _environment(self, port: int) -> dict[str, str]:
        """Return the environment of the process. It holds few variables, because functions inherit all of them."""
        self.home.chmod(0o700)  # this folder stores the functions with their passwords
        temporary = self.home / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # a killed instance leaves unpacked functions here
        temporary.mkdir(parents=True, exist_ok=True)  # an old function that still runs may create this folder first
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
    """Return the Python of the embedded AWS's virtual environment. Create the environment if it is missing."""
    own = sets.apart(ROOT, "ministack")
    venv.ensure([own], report)
    return own.python


def _code() -> str:
    """Return a hash of the embedded AWS's code. A running instance with another hash is outdated."""
    names = (
        "server",
        "front",
        "apigateway",
        "lifecycle",
        "logevents",
        "logtrim",
        "memory",
        "rotation",
        "unpacked",
        "aws",
    )
    folders = ("gate", "objects", "runtime")
    parts = (path for folder in folders for path in sorted((_HERE / folder).glob("*.py")))
    # The gate adds the headers of `browser_headers` to its refusals, so a change of this file counts, too.
    files = [
        _LOCK,
        ROOT / "chalicelib" / "core" / "browser_headers.py",
        *(_HERE / f"{name}.py" for name in names),
        *parts,
    ]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _answers(port: int) -> bool:
    client = Client(patience=5)
    try:
        return client.send("GET", f"http://{HOST}:{port}/_ministack/ready").ok
    except NoAnswer:
        return False
    finally:
        client.close()
