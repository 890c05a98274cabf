"""Ctrl-C during `make up`: the command prints one line and exits with 130. The same command then continues the work."""

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

_FOLDER = ROOT / ".local-interrupted"  # a fixed folder, so that the next run cleans up after a killed run
# The other phases are very short, or are similar to one of these.
PHASES = ("starting Postgres", "starting AWS", "buckets", "chalice deploy", "migrations")


@pytest.fixture(autouse=True)
def empty() -> None:
    """Replace the fixture that empties the session's tables: these tests have their own stage."""


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
    """Run `make up` in its own session, as in a terminal. Return its exit status and its lines on standard error.

    All processes of the session get Ctrl-C as soon as the phase `interrupted_at` begins.
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
