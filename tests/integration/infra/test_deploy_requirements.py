"""Tests that the set `deploy` contains the packages that a deployment needs, and no other packages."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from infra.install import lock
from infra.venv import ROOT

# Packages that only the command line, the tests or the checks need.
OF_OTHERS = ("bandit", "hypothesis", "localstack-client", "moto", "mypy", "pytest", "rich", "ruff", "typer")

_BODY = b"<ErrorResponse><Error><Code>Refused</Code><Message>by the test</Message></Error></ErrorResponse>"
REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/xml\r\nConnection: close\r\n"
    + f"Content-Length: {len(_BODY)}\r\n\r\n".encode()
    + _BODY
)


def restricted(*words: str, **env: str) -> "subprocess.Popen[str]":
    """Start a module with only the packages of the set `deploy`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HIREFLOW_", "PYTEST"))}
    command = [sys.executable, "-m", "tests.restricted", "deploy", *words]
    return subprocess.Popen(command, cwd=ROOT, env={**ours, **env}, stderr=subprocess.PIPE, text=True)


def test_a_plan_runs_up_to_its_first_request_to_aws(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "HIREFLOW_STATE_DIR": str(tmp_path),
        }
        with restricted("infra.deploy", "plan", "--stage", "prod", **env) as process:
            connection, _ = server.accept()
            with connection:
                request = connection.recv(65_536)
                connection.sendall(REFUSAL)
            _, errors = process.communicate(timeout=60)
    assert request.startswith(b"POST / HTTP/1.1")
    assert (process.returncode, "Refused" in errors, errors.count("\n")) == (1, True, 1)


def test_chalice_finds_the_whole_app(tmp_path: Path) -> None:
    """Chalice imports app.py to find its routes and triggers."""
    script = tmp_path / "found.py"
    script.write_text("import chalice.cli\nfrom app import app\nassert app.routes\nassert app.handler_map\n")
    with restricted("found", PYTHONPATH=str(tmp_path), LANDING_BUCKET="landing") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_the_set_holds_no_package_of_the_command_line_and_the_tests() -> None:
    names = {name: lock.pins((lock.REQUIREMENTS / f"{name}.txt").read_text()) for name in ("deploy", "develop")}
    assert set(OF_OTHERS) <= names["develop"].keys()
    assert set(OF_OTHERS) & names["deploy"].keys() == set()
    with restricted("pytest") as process:  # `restricted` hides the packages of other sets
        _, errors = process.communicate(timeout=60)
    assert "pytest is not in this set" in errors
