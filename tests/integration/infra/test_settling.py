"""Tests that an embedded cloud waits for running loads and backups before it stops."""

import threading
import time
from collections.abc import Iterator

import pytest

from chalicelib.backups.run import LOCK
from chalicelib.cloud.database import Database
from infra.local.postgres import Postgres
from infra.local.provision import Role
from infra.local.settling import settle


@pytest.fixture
def worker(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, tls="disable")
    yield opened
    opened.close()


def begin(worker: Database, status: str = "running") -> int:
    """Create a load, and let `worker` take the lock of the load. Return the id of the load."""
    with worker.session() as session:
        load_id = session.scalar(
            f"INSERT INTO loads (source, version, kind, status) VALUES ('x', '1', 'csv', '{status}') RETURNING id"
        )
        session.run("SELECT pg_advisory_lock(:id)", id=load_id)
    return int(load_id)


def test_there_is_no_wait_if_nothing_is_running(postgres: Postgres, database: Database) -> None:
    messages: list[str] = []
    with database.session() as session:  # no worker has the lock of this load, so the load is not running
        session.run("INSERT INTO loads (source, version, kind, status) VALUES ('x', '1', 'csv', 'running')")
    assert settle(postgres.superuser_url, messages.append)
    assert messages == []


@pytest.mark.parametrize("what", ["load", "a backup"])
def test_a_stop_waits_for_running_work(postgres: Postgres, worker: Database, what: str) -> None:
    messages: list[str] = []
    if what == "load":
        what = f"load {begin(worker)}"
    else:
        with worker.session() as session:
            session.run("SELECT pg_advisory_lock({}, {})".format(*LOCK))
    threading.Timer(0.5, worker.close).start()
    assert settle(postgres.superuser_url, messages.append)
    assert messages == [f"waiting at most 20 s for {what}"]


def test_the_wait_is_limited(postgres: Postgres, worker: Database) -> None:
    messages: list[str] = []
    load_id = begin(worker)
    assert not settle(postgres.superuser_url, messages.append, seconds=0.3)
    assert messages[1:] == [f"not waiting any longer: the next make up continues load {load_id}"]


def test_a_stop_does_not_wait_for_work_that_begins_later(
    postgres: Postgres, worker: Database, database_url: str
) -> None:
    """If a stop also waited for later loads, it would never end while new files arrive."""
    begin(worker)
    next_one = Database(database_url, tls="disable")

    def take_turns() -> None:
        with next_one.session() as session:
            session.run(
                "SELECT pg_advisory_lock(1000); INSERT INTO loads (id, source, version, kind, status)"
                " OVERRIDING SYSTEM VALUE VALUES (1000, 'y', '1', 'csv', 'running')"
            )
        worker.close()

    threading.Timer(0.3, take_turns).start()
    try:
        assert settle(postgres.superuser_url, lambda _: None)
    finally:
        next_one.close()


def test_an_unreachable_database_does_not_delay_a_stop() -> None:
    began = time.monotonic()
    assert not settle(Role("postgres", "x").url("127.0.0.1", 1, "postgres"), lambda _: None)
    assert time.monotonic() - began < 10
