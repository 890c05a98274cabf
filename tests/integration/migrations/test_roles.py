"""Tests that the database role of the functions has all rights that the functions need, and no other rights."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.backups.restore import order_restore
from chalicelib.backups.run import run_backup
from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import DatabaseUnavailable
from chalicelib.ingest.rows import SentRows, upload
from chalicelib.migrations.database_role import GRANTS
from chalicelib.migrations.migrate import upgrade
from chalicelib.migrations.schema import metadata
from chalicelib.migrations.stage_migration import migrate_stage
from chalicelib.recovery import expired_rejects, upkeep
from chalicelib.recovery.landing_sweep import sweep
from chalicelib.recovery.pruning import prune
from infra.local import provision
from infra.local.postgres import Postgres, temporary
from infra.local.provision import Role, connect
from tests.integration.ingest.test_continuing import Relay
from tests.integration.landing import GRACE, Landing, Row
from tests.integration.migrations.test_schema import newest_revision
from tests.integration.s3_fixtures import S3


@pytest.fixture
def functions(postgres: Postgres, database_url: str) -> Iterator[Database]:
    """Return the database, to which the test logs in with the role of the functions."""
    upgrade(database_url, tls="disable", app_url=postgres.functions_url)
    database = Database(postgres.functions_url, tls="disable")
    yield database
    database.close()


def test_rights_are_declared_for_every_table() -> None:
    assert set(GRANTS) == set(metadata.tables)


def test_the_role_may_load_files_and_rows_back_up_restore_and_sweep(functions: Database, s3: S3) -> None:
    s3.client.put_bucket_versioning(Bucket="test-landing", VersioningConfiguration={"Status": "Enabled"})
    landing = Landing(functions, s3)
    assert landing.upload("hired_employees.csv", "1,Ada,2021-01-01,1,1\nx\n")["rejected"] == 2
    for dataset in ("departments", "jobs"):
        upload(functions, s3.storage, SentRows(DATASETS[dataset], [{dataset[:-1]: "A"}], "api"), grace=GRACE)
    assert landing.rows("SELECT name FROM hired_employees") == [("Ada",)]
    assert landing.upload("hired_employees.csv", "1,Eve,2021-01-01,1,1\n")["updated"] == 1
    load = Relay(landing).run(landing.put("hired_employees.csv", "1,Eva,2021-01-01,1,1\nx\n1,Eve,2021-01-01,9,1\n"))
    assert (load["updated"], load["rejected"]) == (1, 2)
    assert run_backup(functions, s3.storage, retention=timedelta(days=1)).restore_point
    assert order_restore(functions, s3.storage, DATASETS["jobs"]).load_id
    landing.put("jobs.csv", "1,A\n")
    offered: list[Row] = []
    assert sweep(functions, s3.storage.landing, offered.append, restarted=True) == len(offered) == 2
    assert sweep(functions, s3.storage.landing, offered.append) == 0
    assert vars(upkeep.sweep(functions, s3.storage, grace=GRACE)) == {"failed": 0, "healed": 0, "removed": 0}
    request = upload(functions, s3.storage, SentRows(DATASETS["jobs"], [{"id": 0}], "api"), grace=GRACE).load_id
    no_time = timedelta(0)
    assert expired_rejects.expire(functions, s3.storage.errored, no_time) == 3
    assert prune(functions, s3.storage, no_time, lambda: None) == 3, "the three requests"
    assert landing.rows(f"SELECT id FROM loads WHERE id = {request}") == []
    assert landing.rows("SELECT q1 FROM quarterly_hires") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE jobs",
        "ALTER TABLE jobs ADD COLUMN x int",
        "TRUNCATE jobs CASCADE",
        "DELETE FROM hired_employees",
        "DELETE FROM tokens",
        "ALTER TABLE jobs DISABLE TRIGGER ALL",
        "CREATE TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "DROP FUNCTION note_change CASCADE",
        "UPDATE alembic_version SET version_num = '0'",
        "CREATE ROLE mine",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY jobs TO PROGRAM 'cat'",
        "CREATE TABLE staged.mine (x int)",
        "SELECT staged.prepare(1, 0)",  # there is no running load 1
        "DELETE FROM staged_loads",
    ],
)
def test_the_role_may_do_nothing_else(functions: Database, statement: str) -> None:
    with functions.session() as session, pytest.raises(DatabaseError) as refused:
        session.run(statement)
    assert refused.value.args[0]["C"] == "42501" or "permission denied" in refused.value.args[0]["M"]


def test_the_role_owns_nothing(functions: Database, database: Database) -> None:
    with functions.session() as session:
        role = session.scalar("SELECT current_user")
    with database.session() as session:
        owned = session.run("SELECT relname FROM pg_class WHERE relowner = CAST(:role AS regrole)", role=role)
    assert owned == []


def test_connections_beyond_the_limit_raise_database_unavailable(postgres: Postgres, functions: Database) -> None:
    role = postgres.role.of_functions()
    provision.limit_connections(postgres.superuser_url, role, 2)
    many = [Database(postgres.functions_url, tls="disable") for _ in range(4)]
    refused = 0
    try:
        for database in many:
            try:
                with database.session() as session:
                    session.run("SELECT 1")
            except DatabaseUnavailable:
                refused += 1
        assert refused == 2
        many[0].close()
        with many[-1].session() as session:  # one connection is free again
            assert session.scalar("SELECT 1") == 1
    finally:
        for database in many:
            database.close()
        provision.limit_connections(postgres.superuser_url, role, -1)


def test_the_migration_creates_the_role_if_the_owner_may_create_roles(s3: S3) -> None:
    with temporary() as server:
        with closing(connect(server.superuser_url)) as admin:
            admin.run("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'b'")
            admin.run("CREATE DATABASE other OWNER boss")
        owner = Role("boss", "b").url("127.0.0.1", server.port() or 0, "other")
        app = provision.functions_url(owner)
        names = {"LANDING_BUCKET": "l", "ERRORED_BUCKET": "e", "BACKUP_BUCKET": "b", "DEAD_LETTER_QUEUE": "q"}
        env = {**names, "DATABASE_URL": owner, "APP_DATABASE_URL": app, "DATABASE_TLS": "disable"}
        for _ in range(2):
            assert migrate_stage({**env, "DATABASE_CONNECTIONS": "7"})["revision"] == newest_revision()
        database = Database(app, tls="disable")
        with database.session() as session:
            assert session.scalar("SELECT count(*) FROM jobs") == 0
            assert session.scalar("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user") == 7
            assert session.scalar("SHOW idle_session_timeout") == "2min"
            # This owner cannot grant the right to skip row triggers, because it is not a superuser. On RDS, no role is
            # a superuser. The loads below work without this right.
            assert not session.scalar("SELECT has_parameter_privilege('session_replication_role', 'SET')")
        s3.client.put_bucket_versioning(Bucket="test-landing", VersioningConfiguration={"Status": "Enabled"})
        landing = Landing(database, s3)
        assert landing.upload("departments.csv", "1,Sales\n")["inserted"] == 1
        assert landing.upload("jobs.csv", "1,Clerk\n")["inserted"] == 1
        loaded = landing.upload("hired_employees.csv", "1,Ada,2021-01-01,1,1\n2,Eve,2021-01-01,9,1\n")
        assert (loaded["inserted"], loaded["rejected"]) == (1, 1)
        assert landing.rows("SELECT name FROM hired_employees") == [("Ada",)]
        database.close()
