"""Tests that the embedded cloud can be started, stopped, killed and started again."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from chalicelib.migrations import migrate
from infra.local import provision
from infra.local.__main__ import main
from infra.local.aws import EmbeddedAws
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role
from infra.local.state import ENV_KEYS
from infra.venv import ROOT
from tests.e2e.cloud import Cloud, counts

# These are the commands behind `make backup`, `redrive`, `verify-backups` and `serve`. `make` runs the last one before
# `./hireflow`, to find out whether the stage runs.
COMMANDS = (
    ("invoke", "backup"),
    ("invoke", "redrive"),
    ("verify",),
    ("serve",),
    ("check",),
)


@pytest.fixture(autouse=True)
def ours(stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not stop it")


def test_the_env_file_is_private_and_complete(cloud: Cloud) -> None:
    path = cloud.commands.state.env_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert tuple(cloud.env) == ENV_KEYS
    assert all(cloud.env[key] for key in ENV_KEYS if key != "API_TOKEN")
    for key in ("API_URL", "AWS_ENDPOINT_URL", "DATABASE_URL"):
        assert "127.0.0.1" in cloud.env[key]


def test_another_up_changes_nothing(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.commands.up()
    assert capsys.readouterr().out == f"no tokens are required\nready: {cloud.env['API_URL']}\n"
    assert cloud.commands.state.read_env() == cloud.env


def test_up_recreates_a_deleted_database_and_loads_no_old_files(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.upload("departments_old.csv", "4711,Old\n")
    cloud.replace_database()
    assert provision.revision(cloud.env["DATABASE_URL"]) is None
    cloud.commands.up()
    assert "migrations" in capsys.readouterr().out
    assert provision.revision(cloud.env["DATABASE_URL"]) == migrate.head()
    assert counts(cloud.upload("departments_new.csv", "4712,New\n")) == (1, 1, 0, 0, 0, 0)
    cloud.commands.invoke_scheduled("sweep", {"restarted": True})
    assert cloud.table("departments") == [(4712, "New")]


def test_the_stage_has_its_own_credentials(cloud: Cloud) -> None:
    kept = cloud.commands.state.folder / "aws" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert cloud.env["AWS_ACCESS_KEY_ID"] != "test"
    assert len(cloud.env["AWS_SECRET_ACCESS_KEY"]) >= 40


def ran(*words: str) -> int:
    """Run a command of `make` in this process. Return its exit status."""
    return main([*words, "--stage", "local"])


def refusals(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Run all commands that need a running stage, and check that each one fails. Return their error messages."""
    messages = set()
    for words in COMMANDS:
        assert ran(*words) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        messages.add(captured.err)
    return messages


def hireflow(*words: str) -> "subprocess.CompletedProcess[str]":
    command: list[str | Path] = [ROOT / "hireflow", *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("API_", "AWS_"))}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_the_state_survives_a_kill_and_a_stop(
    cloud: Cloud, how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test kills the cloud before it stops it. So no regular stop has saved the state before the kill."""
    cloud.upload("departments.csv", "1,Sales\n")
    point = cloud.backup()
    folder = cloud.commands.state.folder
    monkeypatch.setenv("HIREFLOW_STATE_DIR", str(folder))
    if how == "stopped":
        cloud.commands.down()
        capsys.readouterr()
        assert ran("status") == 0
        assert [line.split() for line in capsys.readouterr().out.splitlines()[:4]] == [
            ["state", "not", "running:", "make", "up"],
            ["Postgres", "stopped"],
            ["AWS", "stopped"],
            ["API", "stopped"],
        ]
        for words in (("loads",), ("logs",), ("token", "list")):
            refused = hireflow(*words)
            assert refused.returncode == 1
            assert re.fullmatch("error: [^\n]*make up[^\n]*\n", refused.stderr), refused.stderr
            assert "endpoint URL" not in refused.stderr
    else:
        Postgres(home_of(folder), Role("", "")).kill()
        assert refusals(capsys) == {"error: only half of the stage runs, Postgres is stopped: make up\n"}
        EmbeddedAws(folder / "aws").kill()
        assert refusals(capsys) == {"error: not running: make up\n"}
    capsys.readouterr()
    cloud.commands.up()
    assert cloud.commands.state.read_env() == cloud.env
    assert "chalice deploy" not in capsys.readouterr().out, "the stage still existed, so nothing had to be deployed"
    assert cloud.table("departments") == [(1, "Sales")]
    assert point in cloud.restore_points()
    # S3 still sends events to the function.
    assert counts(cloud.upload("departments_2.csv", "2,Ops\n")) == (1, 1, 0, 0, 0, 0)
    cloud.sql("DELETE FROM departments")
    cloud.restore("department", point)
    assert cloud.table("departments") == [(1, "Sales")]
