"""Tests Ctrl-C during `make up`. The command prints one line and exits with 130. If the command is run again, it
continues the work."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from infra.deploy import removal
from infra.local.commands import Commands
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT

_FOLDER = ROOT / ".local-interrupted"  # always the same folder, so that a run can delete what a killed run has left
# The phases that the test interrupts. The other phases are very short, or similar to one of these.
PHASES = ("starting Postgres", "starting AWS", "buckets", "chalice deploy", "migrations")


@pytest.fixture(autouse=True)
def empty() -> None:
    """Override the fixture of conftest.py that empties the tables of the session's stage. These tests have their own
    stage."""


@pytest.fixture
def commands(stage: str | None) -> Iterator[Commands]:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not interrupt it")
    own = Commands("local", ROOT, State(_FOLDER), print, env={})
    with locked(ROOT / ".local-interrupted.lock", 1800, "another run of these tests does not end"):
        own.clean()
        try:
            yield own
        finally:
            own.clean()


def up(interrupted_at: str = "") -> tuple[int, list[str]]:
    """Run `make up` in a process session of its own, as in a terminal. Return the exit status and the lines on standard
    error.

    When the phase `interrupted_at` begins, all processes of the session get SIGINT, as with Ctrl-C.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HIREFLOW_")}
    environ["HIREFLOW_STATE_DIR"] = str(_FOLDER)
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local", "up", "--stage", "local"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if interrupted_at and line.strip().startswith(interrupted_at):
                os.killpg(started.pid, signal.SIGINT)
                break
        _, errors = started.communicate(timeout=180)
    return started.returncode, errors.splitlines()


def test_up_continues_after_an_interruption_and_deploys_nothing_twice(commands: Commands) -> None:
    for phase in PHASES:
        assert up(phase) == (130, ["interrupted: run the same command again to continue"]), phase
        assert commands.status()["state"] != "running"
    assert up() == (0, [])
    commands.check_running()
    assert len(removal.apis(commands.deployed())) == 1
    assert commands.invoke("backup")["restore_point"]
    # If a later deployment is interrupted, the running stage continues to work.
    (_FOLDER / "settings").write_text("BACKUP_RETENTION_DAYS=7\n")
    assert up("chalice deploy") == (130, ["interrupted: run the same command again to continue"])
    commands.check_running()
    assert commands.invoke("tokens", {"action": "list"}) == []
