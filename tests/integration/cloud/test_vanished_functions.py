"""Tests that a vanished function does not keep its locks, although a proxy keeps the connection to Postgres open. RDS
Proxy keeps a connection open, because it detects the end of a function late."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import create_engine

from chalicelib.cloud.database import Database
from chalicelib.cloud.idle_transactions import long_idle
from chalicelib.core.errors import DatabaseUnavailable
from chalicelib.migrations.database_role import admit
from chalicelib.migrations.limits import Limits
from chalicelib.migrations.migrate import upgrade
from chalicelib.migrations.role_login import Login
from infra.local.postgres import Postgres, temporary
from infra.local.provision import Role, connect
from tests.faults.proxy import TcpProxy

OWNER, FUNCTIONS = Role("boss", "b"), Role("boss_app", "a")
SHORT = Limits(idle_in_transaction="500ms")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Return a server on which a transaction of the functions may be idle for half a second."""
    with temporary() as server:
        with closing(connect(server.superuser_url)) as admin:
            admin.run("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'b'")
            admin.run("CREATE DATABASE other OWNER boss")
        url = OWNER.url("127.0.0.1", server.port() or 0, "other")
        upgrade(url, tls="disable")
        engine = create_engine(url, connect_args={"ssl_context": False})
        with engine.begin() as connection:
            assert admit(connection, Login(FUNCTIONS.user, FUNCTIONS.password, lambda: False), SHORT) == []
        engine.dispose()
        yield server


@pytest.fixture
def proxy(server: Postgres) -> Iterator[TcpProxy]:
    proxy = TcpProxy()
    proxy.aim(server.port() or 0)
    yield proxy
    proxy.calm()
    proxy.close()


def functions(port: int) -> Database:
    return Database(FUNCTIONS.url("127.0.0.1", port, "other"), tls="disable")


def test_the_locks_of_a_vanished_function_are_released(server: Postgres, proxy: TcpProxy) -> None:
    vanishing = functions(proxy.port)
    with vanishing.session() as session:
        session.run("BEGIN; LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")
    assert proxy.black_hole(60) == 1  # from now on, Postgres cannot see that the function closes its connection
    vanishing.close()
    with closing(functions(server.port() or 0)) as other, other.transaction() as session:
        session.run("SET LOCAL lock_timeout = '10s'; LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")


def test_a_transaction_may_be_idle_for_longer_inside_long_idle(server: Postgres) -> None:
    with closing(functions(server.port() or 0)) as database, closing(connect(server.superuser_url)) as admin:
        with database.transaction() as session:
            with long_idle(session):
                admin.run("SELECT pg_sleep(0.8)")  # meanwhile, the transaction of `session` is idle
                assert session.scalar("SHOW idle_in_transaction_session_timeout") == "0"
            assert session.scalar("SHOW idle_in_transaction_session_timeout") == "500ms"
        with database.session() as session:
            session.run("BEGIN")
            admin.run("SELECT pg_sleep(0.8)")
            with pytest.raises(DatabaseUnavailable):
                session.run("SELECT 1")
