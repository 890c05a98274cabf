"""Ctrl-C in the middle of `make up`: a line, an exit status, and the same command goes on."""

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

_FOLDER = ROOT / ".local-interrupted"  # a fixed folder: what a killed run left there is cleaned up by the next one
# The other phases take no time, or are like one of these.
PHASES = ("starting Postgres", "starting AWS", "buckets", "chalice deploy", "migrations")


@pytest.fixture(autouse=True)
def empty() -> None:
    """These tests have their own stage, and do not need the session's."""


@pytest.fixture
def commands(stage: str | None) -> Iterator[Commands]:
    if stage is not None:
        pytest.skip("the stage belongs to somebody else: it is not interrupted here")
    found = Commands("local", ROOT, State(_FOLDER), print, env={})
    with locked(ROOT / ".local-interrupted.lock", 1800, "another run of these tests does not end"):
        found.clean()
        try:
            yield found
        finally:
            found.clean()


def up(interrupted_at: str = "") -> tuple[int, list[str]]:
    """`make up` in a session of its own, as in a terminal; its exit status and what it says on standard error.

    Ctrl-C goes to all processes of the session as soon as it begins with a phase.
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
        _, told = started.communicate(timeout=180)
    return started.returncode, told.splitlines()


def test_an_interrupted_up_goes_on_and_leaves_nothing_twice(commands: Commands) -> None:
    for phase in PHASES:
        assert up(phase) == (130, ["interrupted: the same command goes on from here"]), phase
        assert commands.status()["state"] != "running"
    assert up() == (0, [])
    commands.check_running()
    assert len(removal.apis(commands.deployed())) == 1
    assert commands.invoke("backup")["restore_point"]
    # A deployment over a stage that works: it goes on working.
    (_FOLDER / "settings").write_text("BACKUP_RETENTION_DAYS=7\n")
    assert up("chalice deploy") == (130, ["interrupted: the same command goes on from here"])
    commands.check_running()
    assert commands.invoke("tokens", {"action": "list"}) == []
