"""Tests the column `given_up` of loads. The migration sets the column for older rows. A trigger sets it for rows that
functions of the previous release still write."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.cloud.database import Database, Session
from chalicelib.core.errors import LoadGivenUp
from chalicelib.ingest.events import created_objects
from chalicelib.loads import abandoned, claims, unattended
from chalicelib.loads.announcements import NEVER_CAME
from chalicelib.loads.attempts import GAVE_UP
from chalicelib.loads.object_versions import ObjectCreated
from chalicelib.loads.outcomes import UNFINISHED
from chalicelib.migrations.migrate import upgrade
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.landing import Landing

# Statements of the previous release.
FAIL = (
    "UPDATE loads SET status = 'failed', received = 0, errored_key = NULL, error = :error, finished_at = now()"
    " WHERE id = :id AND status IN ('queued', 'running')"
)
REOPEN = (
    "UPDATE loads SET status = 'queued', attempts = 0, queued_at = now(), finished_at = NULL, error = NULL"
    " WHERE id = :id AND (status IN ('queued', 'running') OR (status = 'failed' AND starts_with(error, 'gave up')))"
)
LONG = timedelta(days=1)
EARLIER = [  # (status, error, whether it was given up)
    ("queued", None, False),
    ("queued", "attempt 1: the database is away", False),
    ("running", None, False),
    ("succeeded", None, False),
    ("skipped", "a newer version of the object has been loaded", False),
    ("failed", "the object no longer exists", False),
    ("failed", NEVER_CAME, False),
    ("failed", None, False),
    ("failed", "gave up after 3 attempts", True),
    ("failed", "gave up after 3 attempts: the database is away", True),
    ("failed", "gave up: no attempt followed the first 1", True),
]


@pytest.fixture
def earlier(postgres: Postgres) -> Iterator[str]:
    """Return the URL of a database with the schema of the previous release, and one load for each line of EARLIER."""
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE IF EXISTS earlier")
        admin.run(f"CREATE DATABASE earlier OWNER {postgres.role.user}")
    url = postgres.url.rsplit("/", 1)[0] + "/earlier"
    upgrade(url, tls="disable", revision="0006")
    with connect(url) as connection:
        for number, (status, error, _) in enumerate(EARLIER):
            connection.run(
                "INSERT INTO loads (dataset, source, version, kind, status, attempts, error)"
                " VALUES ('jobs', :source, '1', 'csv', :status, 1, :error)",
                source=f"s3://landing/{number}.csv",
                status=status,
                error=error,
            )
    yield url
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE earlier")


@pytest.fixture
def upgraded(earlier: str) -> Iterator[Database]:
    upgrade(earlier, tls="disable")
    database = Database(earlier, tls="disable")
    yield database
    database.close()


def test_the_migration_sets_the_column_for_loads_that_were_given_up(upgraded: Database) -> None:
    with upgraded.session() as session:
        rows = session.run("SELECT status, error, given_up FROM loads ORDER BY id")
    assert [tuple(row) for row in rows] == EARLIER


def given_up(session: Session, load_id: int) -> bool:
    return bool(session.scalar("SELECT given_up FROM loads WHERE id = :id", id=load_id))


@pytest.mark.parametrize("load_id", [n for n, (status, *_) in enumerate(EARLIER, 1) if status in UNFINISHED])
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_the_trigger_sets_the_column_for_statements_of_the_previous_release(
    upgraded: Database, load_id: int, role: str
) -> None:
    with upgraded.session() as session:
        session.run(f"SET session_replication_role = {role}")
        for error, expected in (("gave up after 3 attempts: x", True), ("the object no longer exists", False)):
            assert session.affected(FAIL, id=load_id, error=error) == 1
            assert given_up(session, load_id) == expected
            session.run("UPDATE loads SET error = 'gave up' WHERE id = :id", id=load_id)  # REOPEN needs this error
            assert session.affected(REOPEN, id=load_id) == 1
            assert not given_up(session, load_id)


def test_the_previous_release_and_this_one_reopen_each_others_loads(upgraded: Database) -> None:
    created = ObjectCreated("0.csv", "s3://landing/0.csv", "1", "1", None)
    with upgraded.session() as session:
        session.affected(FAIL, id=1, error="gave up after 3 attempts")
        with pytest.raises(LoadGivenUp):
            claims.claim(session, created, None, "csv")
        claims.reopen(session, created)
        assert session.scalar("SELECT status FROM loads WHERE id = 1") == "queued"
        claims.fail(session, 1, GAVE_UP, given_up=True)
        assert session.affected(REOPEN, id=1) == 1
        assert not given_up(session, 1)


@pytest.fixture
def alone(database: Database) -> Iterator[Database]:
    """Return a database without the trigger that serves the previous release."""
    with database.session() as session:
        session.run("ALTER TABLE loads DISABLE TRIGGER loads_note_given_up")
    yield database
    with database.session() as session:
        session.run("ALTER TABLE loads ENABLE ALWAYS TRIGGER loads_note_given_up")


def test_this_release_sets_the_column_without_the_trigger(alone: Database, landing: Landing) -> None:
    event = landing.put("jobs.csv", "1,Clerk\n")

    def is_given_up() -> bool:
        return bool(landing.scalar("SELECT given_up FROM loads"))

    landing.give_up(event)
    assert is_given_up()
    with alone.session() as session:
        for created in created_objects(event):
            claims.reopen(session, created)
    assert not is_given_up()
    landing.give_up(event)
    with alone.session() as session:
        assert len(unattended.cut_off(session, datetime(2000, 1, 1, tzinfo=UTC), 10)) == 1
        assert not is_given_up()
        session.run("UPDATE loads SET attempts = 3")
        assert abandoned.give_up(session, lambda _: None, restore_wait=LONG, retry_wait=LONG) == 1
    assert is_given_up()


def test_a_load_that_fails_because_of_its_object_was_not_given_up(alone: Database, landing: Landing) -> None:
    assert landing.upload("notes.txt", "hello")["status"] == "failed"
    assert not landing.scalar("SELECT given_up FROM loads")
