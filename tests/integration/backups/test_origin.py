"""Tests the identifier of a database in its restore points. Some managed servers show Postgres's own identifier only to
a superuser, so this case is tested, too."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.backups.run import run_backup
from chalicelib.backups.snapshot import origin
from chalicelib.cloud.database import Database
from chalicelib.cloud.storage import Storage
from chalicelib.migrations.migrate import upgrade
from chalicelib.monitoring import gauges
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.sqs_fixtures import Queue


def backup(database: Database, storage: Storage) -> str:
    return run_backup(database, storage, retention=timedelta(days=1)).outcome


@pytest.fixture
def functions(postgres: Postgres, database_url: str) -> Iterator[Database]:
    upgrade(database_url, tls="disable", app_url=postgres.functions_url)
    with closing(Database(postgres.functions_url, tls="disable")) as database:
        yield database


@contextmanager
def hidden(postgres: Postgres, database: str = "hireflow") -> Iterator[None]:
    """Make one database hide Postgres's own identifier."""
    with closing(connect(postgres.superuser_url.rpartition("/")[0] + f"/{database}")) as admin:
        admin.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public")
        try:
            yield
        finally:
            admin.run("GRANT EXECUTE ON FUNCTION pg_control_system() TO public")


def test_backups_need_no_right_to_see_the_identifier_of_postgres(
    postgres: Postgres, functions: Database, storage: Storage, queue: Queue
) -> None:
    with hidden(postgres):
        with functions.session() as session, pytest.raises(DatabaseError, match="permission denied"):
            session.run("SELECT pg_control_system()")
        assert [backup(functions, storage) for _ in range(2)] == ["created", "unchanged"]
        assert gauges.read(functions, storage, queue.letters).backup_lag == 0


def test_after_the_identifier_has_changed_the_next_backup_makes_a_new_restore_point(
    postgres: Postgres, functions: Database, storage: Storage
) -> None:
    assert [backup(functions, storage) for _ in range(2)] == ["created", "unchanged"]
    with hidden(postgres):
        assert [backup(functions, storage) for _ in range(2)] == ["created", "unchanged"]


def test_two_databases_have_different_identifiers(postgres: Postgres, functions: Database) -> None:
    url = postgres.role.url("127.0.0.1", postgres.port() or 0, "another")
    with closing(connect(postgres.superuser_url)) as admin:
        admin.run(f"CREATE DATABASE another OWNER {postgres.role.user}")
        try:
            upgrade(url, tls="disable")
            with closing(Database(url, tls="disable")) as another, hidden(postgres), hidden(postgres, "another"):
                identifiers = [_identifier(database) for database in (functions, another, functions)]
            assert identifiers[0] == identifiers[2] != identifiers[1]
        finally:
            admin.run("DROP DATABASE another WITH (FORCE)")


def _identifier(database: Database) -> str:
    with database.session() as session:
        return origin(session)
