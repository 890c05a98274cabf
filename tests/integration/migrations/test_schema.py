"""Tests that the migrations make the schema that the metadata declares, and can run concurrently and repeatedly. Also
tests that every change of a row increases the version of its dataset."""

import re
import threading

import pytest
from sqlalchemy.schema import CreateTable

from chalicelib.auth.roles import ROLES
from chalicelib.cloud.database import Database, Session
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import ConfigurationError
from chalicelib.loads import outcomes
from chalicelib.migrations.comparison import differences
from chalicelib.migrations.migrate import engine, upgrade
from chalicelib.migrations.schema import metadata
from infra.local.postgres import Postgres
from infra.local.provision import connect
from infra.venv import ROOT

VERSIONS = ROOT / "chalicelib" / "migrations" / "versions"


def newest_revision() -> str:
    return max(path.name for path in VERSIONS.glob("0*.py"))[:4]


def test_metadata_and_migrations_agree(database_url: str) -> None:
    with engine(database_url, "disable").connect() as connection:
        assert [each.to_diff_tuple() for each in differences(connection, metadata)] == []


def test_constraints_have_the_names_of_the_metadata(database: Database) -> None:
    """Alembic does not compare check constraints and the names of keys, so this test compares them."""
    ddl = "".join(str(CreateTable(table)) for table in metadata.tables.values())
    declared = set(re.findall(r"CONSTRAINT (\w+)", ddl))
    with database.session() as session:
        constraints = session.run(
            "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            " AND contype IN ('p', 'f', 'u', 'c') AND conrelid <> 'alembic_version'::regclass"
        )
    assert {name for [name] in constraints} == declared


def test_a_migration_without_the_table_of_a_dataset_fails_and_names_the_dataset(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "teams", DATASETS["jobs"])
    with pytest.raises(ConfigurationError, match="declares teams, but no migration creates the table teams"):
        upgrade(database_url, tls="disable")


@pytest.mark.parametrize(
    ("constraint", "values"), [("loads_status_check", outcomes.STATUSES), ("tokens_role_check", ROLES)]
)
def test_the_database_accepts_exactly_the_declared_statuses_and_roles(
    database: Database, constraint: str, values: tuple[str, ...]
) -> None:
    with database.session() as session:
        checked = session.scalar("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :n", n=constraint)
    assert set(re.findall(r"'(\w+)'", checked)) == {*values}


def test_two_migrations_at_once_and_a_repeated_one_reach_the_newest_revision(postgres: Postgres) -> None:
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE IF EXISTS twice")
        admin.run(f"CREATE DATABASE twice OWNER {postgres.role.user}")
    url = postgres.url.rsplit("/", 1)[0] + "/twice"
    revisions: list[str] = []
    threads = [
        threading.Thread(target=lambda: revisions.append(upgrade(url, tls="disable").revision)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = newest_revision()
    assert revisions == [newest, newest]
    assert upgrade(url, tls="disable").revision == newest


def test_changes_of_every_dataset_are_tracked_even_in_a_bulk_load(database: Database) -> None:
    with database.session() as session:
        triggers = session.run(
            "SELECT relname, tgname, tgenabled FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid"
            " WHERE NOT tgisinternal ORDER BY 1, 2"
        )
    assert {enabled for _, _, enabled in triggers} == {"A"}, (
        "a trigger is not ENABLE ALWAYS, so a session that runs as a replica would skip it"
    )
    for dataset in DATASETS:
        names = {name for table, name, _ in triggers if table == dataset}
        assert {f"{dataset}_note_{event}" for event in ("insert", "update", "delete", "truncate")} <= names


def version(session: Session) -> int:
    return int(session.scalar("SELECT version FROM dataset_state WHERE dataset = 'departments'"))


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_version_grows_only_with_a_change_of_a_row(database: Database, role: str) -> None:
    changes = [
        ("INSERT INTO departments VALUES (1, 'a'), (2, 'b')", True),
        ("UPDATE departments SET department = 'c' WHERE id = 1", True),
        ("UPDATE departments SET department = 'c' WHERE id = 99", False),
        ("INSERT INTO departments SELECT 3, 'd' WHERE false", False),
        ("DELETE FROM departments WHERE id = 99", False),
        ("DELETE FROM departments WHERE id = 2", True),
        ("SELECT count(*) FROM departments", False),
        ("TRUNCATE departments CASCADE", True),
    ]
    with database.session() as session:
        session.run(f"SET session_replication_role = {role}")
        try:
            for sql, grows in changes:
                before = version(session)
                session.run(sql)
                assert (version(session) > before) == grows, sql
        finally:
            session.run("RESET session_replication_role")


def test_a_rolled_back_change_does_not_change_the_version(database: Database) -> None:
    with database.session() as session:
        before = version(session)
        session.run("BEGIN; INSERT INTO departments VALUES (1, 'a'); ROLLBACK")
        assert version(session) == before
