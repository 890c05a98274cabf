"""Tests that a dataset or a column without a migration stops a deployment before anything changes."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.dataset import Column
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError
from chalicelib.core.kinds.table import Kind
from chalicelib.migrations import migrate
from infra.aws import stacks
from infra.deploy import tables
from infra.deploy.account import Account
from infra.errors import CloudError
from infra.local.commands import Commands
from infra.local.state import State
from infra.venv import ROOT

NO_TABLE = (
    "datasets.py declares teams, but no migration creates the table teams: run `make migration NAME=…`, which writes"
    " one (CONTRIBUTING.md, Add a dataset)"
)
NO_COLUMN = (
    "datasets.py declares the column nickname of jobs, but no migration adds it: run `make migration NAME=…`, which"
    " writes one (CONTRIBUTING.md, Add an optional column)"
)


@pytest.fixture
def teams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare a dataset that no migration creates."""
    monkeypatch.setitem(DATASETS, "teams", DATASETS["jobs"])


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "public", DATASETS["jobs"])


@pytest.fixture
def nickname(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare a column that no migration adds."""
    jobs = DATASETS["jobs"]
    monkeypatch.setitem(
        DATASETS, "jobs", replace(jobs, columns=(*jobs.columns, Column("nickname", Kind.TEXT, optional=True)))
    )


def test_every_dataset_and_every_column_has_a_migration() -> None:
    tables.check()


@pytest.mark.parametrize(("declaration", "message"), [("teams", NO_TABLE), ("nickname", NO_COLUMN)])
def test_make_up_changes_nothing_if_a_declaration_has_no_migration(
    tmp_path: Path, request: pytest.FixtureRequest, declaration: str, message: str
) -> None:
    request.getfixturevalue(declaration)
    commands = Commands("local", ROOT, State(tmp_path / "state"), print, env={})
    with pytest.raises(CloudError) as raised:
        commands.up()
    assert str(raised.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("declaration", "message"), [("teams", NO_TABLE), ("nickname", NO_COLUMN)])
@pytest.mark.parametrize("command", ["deploy", "plan"])
def test_make_deploy_changes_nothing_if_a_declaration_has_no_migration(
    tmp_path: Path, request: pytest.FixtureRequest, command: str, declaration: str, message: str
) -> None:
    request.getfixturevalue(declaration)
    known: Any = stacks
    account = Account("prod", ROOT, State(tmp_path / "state"), known, print, {})
    with pytest.raises(CloudError, match=re.escape(message)):
        getattr(account, command)()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize(
    ("migration", "creates"),
    [
        ("op.execute('CREATE TABLE teams (id integer, job text)')", True),
        ("create table if not exists public.teams (id integer, job text\n", True),
        (
            "op.create_table('teams', sa.Column('id', sa.Text(), server_default=')))'), sa.Column('job', sa.Text()))",
            True,
        ),
        ('CREATE TABLE "teams" (id, "job")', True),
        ("op.create_table(\n    'teams',\n sa.Column('id', sa.Integer()), sa.Column('job', sa.Text()))", True),
        ("CREATE TABLE teams_old (id integer, job text)", False),
        ("ALTER TABLE teams ADD id integer, ADD job text", False),
    ],
)
def test_the_statement_that_creates_a_table_is_found(tmp_path: Path, migration: str, creates: bool) -> None:
    assert complaint(tmp_path, migration) == ("" if creates else NO_TABLE)


@pytest.mark.usefixtures("nickname")
@pytest.mark.parametrize(
    ("migration", "adds"),
    [
        ("op.execute('ALTER TABLE jobs ADD COLUMN nickname text')", True),
        ('ALTER TABLE IF EXISTS ONLY public."jobs" DROP x, ADD nickname text;', True),
        ("op.add_column('jobs', sa.Column('nickname', sa.Text(), nullable=True))", True),
        ("ALTER TABLE departments ADD COLUMN nickname text; ALTER TABLE jobs ADD other text;", False),
        ("op.add_column('jobs', sa.Column('x', sa.Text())); op.add_column('teams', sa.Column('nickname'))", False),
        ("ALTER TABLE jobs ADD COLUMN nickname_of_job text", False),
        ("ALTER TABLE jobs_old ADD COLUMN nickname text", False),
    ],
)
def test_the_statement_that_adds_a_column_is_found(tmp_path: Path, migration: str, adds: bool) -> None:
    assert complaint(tmp_path, migration) == ("" if adds else NO_COLUMN)


def _revisions(revision: str, previous: str | None) -> str:
    return f"revision = {revision!r}\ndown_revision: str | None = {previous!r}\n"


def complaint(versions: Path, migration: str) -> str:
    """Return the error for migrations of which this one is the last, and "" without an error."""
    known = (name for name in DATASETS if name not in ("teams", "public"))
    first = (f"CREATE TABLE {n} ({', '.join(set(DATASETS[n].column_names) - {'nickname'})});\n" for n in known)
    sql = migration if migration.startswith("op.") else f"SQL = {migration!r}"
    (versions / "0001_initial.py").write_text(f"{_revisions('0001', None)}\nSQL = {''.join(first)!r}\n")
    (versions / "0002_more.py").write_text(f"{_revisions('0002', '0001')}\n{sql}\n")
    try:
        migrate.check_datasets(versions)
    except ConfigurationError as error:
        return error.detail
    return ""


def test_two_migrations_that_follow_the_same_one_are_named(tmp_path: Path) -> None:
    """This is the state after a merge of two branches that have added a migration each."""
    for name, revision in (("0013_a", "0013"), ("0013_b", "0013"), ("0014_c", "0014")):
        previous = f"{int(revision) - 1:04}"
        (tmp_path / f"{name}.py").write_text(f'revision = "{revision}"\ndown_revision: str = "{previous}"\n')
    with pytest.raises(ConfigurationError, match=r"0013_a.py and 0013_b.py both follow 0012: give one"):
        migrate.check_datasets(tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (_revisions("0013", None), "0001_a.py and 0013_x.py both follow no migration: give one"),
        (_revisions("0001", "0001"), "0001_a.py and 0013_x.py both have the revision 0001: give one"),
        (_revisions("0013", "0013"), "the migration 0013_x.py follows 0013, which follows it: let its `down_revision`"),
        (_revisions("0013", "0099"), "0013_x.py follows 0099, but no migration has this revision: let its `down_rev"),
        ("def (", "the migration 0013_x.py is not valid Python .*: mend it, or delete it and run `make migration NAME"),
        ("", "the migration 0013_x.py must set `revision` and `down_revision`, each to one text"),
        ("revision = '0013'\ndown_revision = ('0001', '0002')\n", "0013_x.py must set `revision` and `down_revision`"),
    ],
)
def test_a_migration_that_no_line_of_migrations_can_have_is_named(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "0001_a.py").write_text(_revisions("0001", None))
    (tmp_path / "0013_x.py").write_text(source)
    with pytest.raises(ConfigurationError, match=reason):
        migrate.check_datasets(tmp_path)


@pytest.mark.usefixtures("public")
def test_a_dataset_may_have_the_name_of_the_schema(tmp_path: Path) -> None:
    assert complaint(tmp_path, "op.create_table('public', sa.Column('id'), sa.Column('job'))") == ""
    assert "declares public" in complaint(tmp_path, "CREATE TABLE public.teams (id integer, job text)")
