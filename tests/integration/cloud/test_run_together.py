"""Tests statements that are sent together, in one round trip."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.prepared_names import OFTEN
from chalicelib.cloud.purposes import Purpose
from chalicelib.cloud.statements import Result, Statement
from chalicelib.core.errors import Conflict
from tests.integration.cloud.test_database import Front
from tests.integration.cloud.test_statements import SYNC, front

__all__ = ["front"]
FAILING = Statement("SELECT 1 / CAST(:zero AS int)", {"zero": 0})
INSERTED = "INSERT INTO jobs VALUES (:id, :job)"


def insert(row_id: int, job: str = "Clerk") -> Statement:
    return Statement(INSERTED, {"id": row_id, "job": job})


@pytest.fixture(params=[False, True])
def session(front: Front, request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return a session, with and without statements that Postgres keeps."""
    database = Database(front.url, tls="disable", purpose=Purpose(prepares=request.param))
    with closing(database), database.session() as session:
        yield session


def ids(database: Database) -> list[int]:
    with database.session() as session:
        return [row_id for [row_id] in session.run("SELECT id FROM jobs ORDER BY id")]


def test_each_statement_has_its_own_result(front: Front, database: Database, session: Session) -> None:
    for row_id in range(1, 2 * OFTEN):
        before = front.sent.count(SYNC)
        results = session.run_together(
            insert(row_id),
            Statement("SELECT id, job FROM jobs WHERE id = :id", {"id": row_id}),
            Statement("SET LOCAL enable_sort = on"),
            Statement("UPDATE jobs SET job = :job WHERE id <= :id", {"id": row_id, "job": "Cook"}),
            Statement("SELECT id FROM jobs WHERE false"),
        )
        assert front.sent.count(SYNC) == before + 1
        assert results == [
            Result([], 1),
            Result([[row_id, "Clerk"]], 1),
            Result([], -1),
            Result([], row_id),
            Result([], 0),
        ]
    assert ids(database) == [*range(1, 2 * OFTEN)]


def test_no_statement_takes_no_round_trip(front: Front, session: Session) -> None:
    before = bytes(front.sent)
    assert session.run_together() == []
    assert front.sent == before


@pytest.mark.parametrize("position", range(4))
def test_the_statements_after_a_failed_one_do_not_run(database: Database, session: Session, position: int) -> None:
    statements = [insert(row_id) for row_id in (1, 2, 3)]
    statements.insert(position, FAILING)
    for _ in range(2 * OFTEN):
        with session.transaction():
            session.run("SAVEPOINT step")
            with pytest.raises(DatabaseError, match="22012"):
                session.run_together(*statements)
            session.run("ROLLBACK TO SAVEPOINT step")
            session.run_together(insert(9), Statement("DELETE FROM jobs WHERE id = :id", {"id": 9}))
        assert not session.broken
    assert ids(database) == []


def test_outside_a_transaction_all_statements_are_stored_or_none(database: Database, session: Session) -> None:
    for n in range(1, 2 * OFTEN):
        with pytest.raises(DatabaseError):
            session.run_together(insert(100 + n), FAILING)
        session.run_together(insert(2 * n), insert(2 * n + 1))
    assert ids(database) == [*range(2, 4 * OFTEN)]


def test_statements_whose_plans_are_outdated_are_prepared_again(database: Database, session: Session) -> None:
    """Nothing is repeated: whoever began the transaction must repeat it."""
    ask = Statement("SELECT id FROM jobs WHERE job = :job ORDER BY 1", {"job": "Clerk"})
    for row_id in range(1, 2 * OFTEN):
        session.run_together(insert(row_id), ask)
    stored = ids(database)
    with database.session() as other:
        other.run("ALTER TABLE jobs ALTER COLUMN id TYPE bigint")
    try:
        for row_id in (100, 101, 102):
            try:
                _, asked = session.run_together(insert(row_id), ask)
            except Conflict:
                assert ids(database) == stored
                continue
            stored.append(row_id)
            assert asked.rows == [[one] for one in stored]
        assert stored[-2:] == [101, 102]
        assert ids(database) == stored
    finally:
        with database.session() as other:
            other.run("TRUNCATE jobs CASCADE; ALTER TABLE jobs ALTER COLUMN id TYPE integer")
