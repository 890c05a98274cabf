"""Tests who gets the connections of the database if there are too few of them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import pytest

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.purposes import Purpose
from chalicelib.core import deadline
from chalicelib.core.errors import DatabaseUnavailable, TooManyConnections
from chalicelib.migrations.migrate import upgrade
from infra.local import provision
from infra.local.postgres import Postgres
from infra.local.provision import connect

FILES = Purpose("hireflow files", patience=30)
SECONDS = 30  # the longest wait of a test


@pytest.fixture
def url(postgres: Postgres, database_url: str) -> str:
    """Return the URL with the login of the functions."""
    upgrade(database_url, tls="disable", app_url=postgres.functions_url)
    return postgres.functions_url


@contextmanager
def limited(postgres: Postgres, connections: int) -> Iterator[None]:
    role = postgres.role.of_functions()
    provision.limit_connections(postgres.superuser_url, role, connections)
    try:
        yield
    finally:
        provision.limit_connections(postgres.superuser_url, role, -1)


@contextmanager
def held(url: str, purpose: Purpose) -> Iterator[Session]:
    with closing(Database(url, tls="disable", purpose=purpose)) as database, database.session() as session:
        yield session


def test_postgres_shows_the_purpose_of_a_connection(url: str) -> None:
    with held(url, FILES) as session:
        assert (
            session.scalar("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()") == FILES.name
        )


@pytest.mark.parametrize(("may_skip", "role"), [(True, "replica"), (False, "origin")])
def test_a_connection_of_files_skips_row_triggers_if_the_database_role_may(
    postgres: Postgres, url: str, may_skip: bool, role: str
) -> None:
    right = "SET ON PARAMETER session_replication_role"
    user = postgres.role.of_functions().user
    with connect(postgres.superuser_url) as admin:
        admin.run(f"GRANT {right} TO {user}" if may_skip else f"REVOKE {right} FROM {user}")
    try:
        with held(url, replace(FILES, skips_row_triggers=True)) as session:
            with session.transaction():
                session.run("SELECT")
            assert session.scalar("SHOW session_replication_role") == role
        with held(url, FILES) as session:
            assert session.scalar("SHOW session_replication_role") == "origin"
    finally:
        with connect(postgres.superuser_url) as admin:
            admin.run(f"GRANT {right} TO {user}")


def refusals(postgres: Postgres) -> int:
    """Return how many connections the server has refused, because the role has too many."""
    return (postgres.home / "postgres.log").read_text().count("too many connections for role")


def test_a_file_waits_until_a_connection_is_free(postgres: Postgres, url: str) -> None:
    with limited(postgres, 1), ThreadPoolExecutor(1) as pool:

        def one() -> object:
            with held(url, FILES) as session:
                return session.scalar("SELECT 1")

        with held(url, FILES):
            waiting, refused_before, until = pool.submit(one), refusals(postgres), time.monotonic() + SECONDS
            while refusals(postgres) == refused_before:
                assert time.monotonic() < until, "no connection was refused"
                threading.Event().wait(0.01)
        assert waiting.result(SECONDS) == 1


def test_the_patience_for_a_connection_ends(postgres: Postgres, url: str) -> None:
    with limited(postgres, 1), held(url, FILES):
        began = time.monotonic()
        with pytest.raises(TooManyConnections, match="accepts no more connections"), held(url, Purpose(patience=0.3)):
            pass
        assert time.monotonic() - began >= 0.1
        began = time.monotonic()
        with pytest.raises(TooManyConnections), deadline.within(0.3), held(url, FILES):
            pass
        assert time.monotonic() - began < FILES.patience / 2


def test_the_api_keeps_to_its_share_of_the_connections(postgres: Postgres, url: str) -> None:
    api = Purpose("hireflow api", share=2)
    with limited(postgres, 3), ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(held(url, api))
        stack.enter_context(held(url, api))
        with pytest.raises(DatabaseUnavailable, match="the API uses all connections that it may have"), held(url, api):
            pass
        with held(url, FILES) as session:  # the connection that the API may not take
            assert session.scalar("SELECT 1") == 1
        first.close()
        with held(url, api) as session:
            assert session.scalar("SELECT 1") == 1


def test_of_many_connections_at_the_same_time_exactly_the_share_is_kept(url: str) -> None:
    api, callers = Purpose("hireflow api", share=4), 12
    begun, done = threading.Barrier(callers), threading.Barrier(callers)

    def call(_: int) -> bool:
        begun.wait(SECONDS)
        try:
            with held(url, api):
                done.wait(SECONDS)
        except TooManyConnections:
            done.wait(SECONDS)
            return False
        return True

    with ThreadPoolExecutor(callers) as pool:
        assert sum(pool.map(call, range(callers))) == 4
