"""Tests that the state of the database says why the database cannot serve requests. The faults are those of a real
server."""

import os
import shutil
import signal
import time
from contextlib import closing

import pytest

from chalicelib.cloud.database import Database
from chalicelib.core.errors import DatabaseUnavailable
from chalicelib.monitoring.database_state import DatabaseState, examine
from infra.local.postgres import Postgres, temporary
from tests.integration.faulty_postgres import fill, on_a_small_disk, read_only, without_room

WORKS = DatabaseState(None, answers=True)


def test_a_working_database_has_no_problem(database: Database) -> None:
    assert examine(database) == WORKS


def test_a_full_disk_is_found_before_a_row_is_lost() -> None:
    with on_a_small_disk() as server, closing(Database(server.url, tls="disable")) as database:
        with database.session() as session:
            session.run("CREATE TABLE rows AS SELECT repeat('x', 500) AS text FROM generate_series(1, 10)")
        assert examine(database) == WORKS
        filler = fill(server.home)
        assert examine(database) == DatabaseState("the disk of the database is full", answers=True)
        with (
            pytest.raises(DatabaseUnavailable, match="the disk of the database is full"),
            database.session() as session,
        ):
            session.run("INSERT INTO rows SELECT repeat('x', 500) FROM generate_series(1, 10000)")
        filler.unlink()
        assert examine(database) == WORKS


def test_a_read_only_database_is_found(postgres: Postgres, database: Database) -> None:
    with read_only(postgres):
        assert examine(database) == DatabaseState("the database is read-only now", answers=True)
        with (
            pytest.raises(DatabaseUnavailable, match="the database is read-only now"),
            database.session() as session,
        ):
            session.run("INSERT INTO jobs VALUES (1, 'Clerk')")
    assert examine(database) == WORKS


def test_a_server_without_room_for_a_connection_is_found(postgres: Postgres, database: Database) -> None:
    with without_room(postgres, postgres.role):
        assert examine(database) == DatabaseState("the database accepts no more connections now", answers=False)
    assert examine(database) == WORKS


def test_a_server_that_is_being_shut_down_is_found() -> None:
    with temporary() as server, closing(Database(server.url, tls="disable")) as open_database:
        with open_database.session() as session:
            session.run("SELECT 1")
        url, pid = server.url, int((server.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGTERM)  # the server waits for the end of the open connection
        until = time.monotonic() + 10
        while (found := examine(Database(url, tls="disable"))) == WORKS:
            assert time.monotonic() < until
        assert found == DatabaseState("the database is starting or being shut down", answers=False)


@pytest.mark.parametrize("is_connected", [True, False])
def test_the_answer_is_quick_if_the_files_of_the_database_are_gone(is_connected: bool) -> None:
    with temporary() as server, closing(Database(server.url, tls="disable")) as database:
        if is_connected:
            assert examine(database) == WORKS
        began = time.monotonic()
        for folder in ("base", "global"):  # without the WAL too, the server would end sooner or later
            shutil.rmtree(server.data / folder)
        assert examine(database).problem
        assert examine(database).problem == "the database cannot read or write one of its files"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("53100", "the disk of the database is full"),
        ("53200", "the database is out of memory"),
        ("53300", "the database accepts no more connections now"),
        ("53400", "the database cannot serve requests now"),
        ("57P01", "the database is being shut down"),
        ("57P02", "the database has crashed and is restarting"),
        ("58030", "the database cannot read or write one of its files"),
        ("XX001", "a file of the database is damaged"),
        ("XX000", "the database cannot serve requests now"),
    ],
)
def test_every_reason_has_its_sentence(database: Database, state: str, sentence: str) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"
    with database.session() as session:
        with pytest.raises(DatabaseUnavailable) as refused:
            session.run(raising)
        assert session.broken
    assert refused.value.detail == sentence


@pytest.mark.parametrize(
    ("suffix", "sentence"),
    [
        (("x@", ""), "the database refused the login of the functions"),
        (("@", "x"), "the server does not have this database"),
    ],
)
def test_a_refused_login_is_named(database_url: str, suffix: tuple[str, str], sentence: str) -> None:
    password, name = suffix  # what is added to the password and to the name of the database
    url = database_url.replace("@", password) + name
    assert examine(Database(url, tls="disable")) == DatabaseState(sentence, answers=False)
