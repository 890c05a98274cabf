"""Tests that a dataset without a table stops a deployment before anything changes."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError
from chalicelib.migrations import migrate
from infra.aws import stacks
from infra.deploy import tables
from infra.deploy.account import Account
from infra.errors import CloudError
from infra.local.commands import Commands
from infra.local.state import State
from infra.venv import ROOT

MESSAGE = (
    "datasets.py declares teams, but no migration creates the table teams: write one (CONTRIBUTING.md, Add a dataset)"
)


@pytest.fixture
def teams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare a dataset that no migration creates."""
    monkeypatch.setitem(DATASETS, "teams", DATASETS["jobs"])


def test_every_dataset_has_a_migration() -> None:
    tables.check()


@pytest.mark.usefixtures("teams")
def test_make_up_changes_nothing_if_a_dataset_has_no_migration(tmp_path: Path) -> None:
    commands = Commands("local", ROOT, State(tmp_path / "state"), print, env={})
    with pytest.raises(CloudError) as raised:
        commands.up()
    assert str(raised.value) == MESSAGE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("command", ["deploy", "plan"])
def test_make_deploy_changes_nothing_if_a_dataset_has_no_migration(tmp_path: Path, command: str) -> None:
    known: Any = stacks
    account = Account("prod", ROOT, State(tmp_path / "state"), known, print, {})
    with pytest.raises(CloudError, match="no migration creates the table teams"):
        getattr(account, command)()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize(
    ("migration", "creates"),
    [
        ("op.execute('CREATE TABLE teams (id integer)')", True),
        ("create table if not exists public.teams (\n", True),
        ('CREATE TABLE "teams" (', True),
        ("op.create_table(\n    'teams',\n", True),
        ("CREATE TABLE teams_old (", False),
        ("ALTER TABLE teams ADD x integer", False),
    ],
)
def test_the_statement_that_creates_a_table_is_found(tmp_path: Path, migration: str, creates: bool) -> None:
    others = "".join(f"CREATE TABLE {name} ();\n" for name in DATASETS if name != "teams")
    (tmp_path / "0001_initial.py").write_text(others)
    (tmp_path / "0002_teams.py").write_text(migration)
    if creates:
        migrate.check_datasets(tmp_path)
    else:
        with pytest.raises(ConfigurationError, match="no migration creates the table teams"):
            migrate.check_datasets(tmp_path)
