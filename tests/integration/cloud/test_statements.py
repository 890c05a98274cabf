"""Tests statements with parameters, which the driver sends in one round trip, and the values that they return."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.prepared_names import MOST, OFTEN
from chalicelib.cloud.purposes import Purpose
from chalicelib.cloud.statements import Statement
from chalicelib.core import deadline
from chalicelib.core.errors import Conflict
from chalicelib.services import services
from tests.integration.cloud.test_database import Front
from tests.integration.http_api import Api

SYNC = b"S\0\0\0\4"  # the message after which the client waits for the server


@pytest.fixture
def front(database_url: str) -> Iterator[Front]:
    front = Front(database_url)
    yield front
    front.close()


def test_a_statement_with_parameters_takes_one_round_trip(front: Front) -> None:
    with closing(Database(front.url, tls="disable")) as database, database.session() as session:
        before = front.sent.count(SYNC)
        assert session.run("SELECT CAST(:a AS int) + 1, :b", a=1, b="x") == [[2, "x"]]
        assert front.sent.count(SYNC) == before + 1


def statement_timeout(session: Session) -> int:
    """Return the statement timeout of a connection in milliseconds."""
    return int(session.scalar("SELECT CAST(setting AS int) FROM pg_settings WHERE name = 'statement_timeout'"))


PING = b"SET statement_timeout"


@pytest.mark.parametrize(("trust", "pings"), [(60.0, 0), (0.0, 1)])
def test_a_connection_that_was_just_used_needs_no_ping(front: Front, trust: float, pings: int) -> None:
    with closing(Database(front.url, tls="disable", purpose=Purpose(trust=trust))) as database:
        for _ in range(2):  # the first session has less time, because it also opens the connection
            with deadline.within(20), database.session() as session:
                session.run("SELECT 1")
        before = front.sent.count(PING)
        with deadline.within(20), database.session() as session:
            assert 18_500 < statement_timeout(session) <= 19_500
        assert front.sent.count(PING) == before + pings


def test_a_connection_gets_another_statement_timeout_although_it_was_just_used(database_url: str) -> None:
    with closing(Database(database_url, tls="disable", purpose=Purpose(trust=60))) as database:
        for seconds in (20, 4, 20):
            with deadline.within(seconds), database.session() as session:
                assert 1000 * seconds - 1500 < statement_timeout(session) <= 1000 * seconds - 500
        with database.session() as session:
            assert statement_timeout(session) == 0


def test_a_connection_that_the_server_has_ended_is_replaced_although_it_was_just_used(
    database_url: str, cleaner: Database
) -> None:
    with closing(Database(database_url, tls="disable", purpose=Purpose(trust=60))) as database:
        with deadline.within(20), database.session() as session:
            pid = session.scalar("SELECT pg_backend_pid()")
        with cleaner.session() as admin:
            admin.run("SELECT pg_terminate_backend(:pid, 10000)", pid=pid)  # waits for the end of the connection
        with deadline.within(20), database.session() as session:
            assert session.scalar("SELECT pg_backend_pid()") != pid


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "Zoë ':x' $1 \\ \n"),
        ("text", ""),
        ("text", None),
        ("int", -7),
        ("bigint", 2**62),
        ("boolean", True),
        ("numeric", Decimal("1.50")),
        ("bytea", b"\0\xff"),
        ("int[]", [1, None, 3]),
        ("text[]", ["a,b", '"', None]),
        ("jsonb", {"a": [1, None]}),
        ("timestamptz", datetime(2021, 7, 27, 16, 2, 8, 120_000, UTC)),
        ("timestamptz", datetime(1, 1, 1, tzinfo=UTC)),
        ("timestamptz", datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("timestamptz", "-infinity"),
    ],
)
def test_values_come_back_as_they_were_sent(database: Database, kind: str, value: Any) -> None:
    with database.session() as session:
        assert session.run(f"SELECT CAST(:value AS {kind}) AS a", value=value) == [[value]]
        assert session.records(f"SELECT CAST(:value AS {kind}) AS a", value=value) == [{"a": value}]


def test_an_instant_beyond_the_calendar_of_python_comes_back_as_text(database: Database) -> None:
    with database.session() as session:
        assert session.scalar("SELECT CAST(:value AS timestamptz)", value="12021-01-01") == "12021-01-01 00:00:00+00"


def test_a_statement_without_rows_returns_an_empty_list_and_its_number_of_rows(database: Database) -> None:
    with database.session() as session:
        assert session.run("SELECT 1 WHERE :a = 'b'", a="a") == []
        assert session.run("INSERT INTO jobs VALUES (:id, :job)", id=1, job="Clerk") == []
        assert session.affected("UPDATE jobs SET job = :job WHERE id = ANY(:ids)", ids=[1, 2], job="Cook") == 1


@pytest.mark.parametrize(
    "statement", ["SELECT :a / 0", "SELECT nothing WHERE 1 = :a", "SELECT CAST('x' AS int) + :a", "SELECT :a; SELECT 1"]
)
def test_a_session_works_after_a_failed_statement(database: Database, statement: str) -> None:
    with database.session() as session:
        with pytest.raises(DatabaseError):
            session.run(statement, a=1)
        assert not session.broken
        assert session.scalar("SELECT CAST(:a AS int)", a=2) == 2


def test_a_failed_statement_ends_its_transaction(database: Database) -> None:
    def insert_twice(session: Session) -> None:
        with session.transaction():
            for _ in range(2):
                session.run("INSERT INTO jobs VALUES (:id, :job)", id=1, job="Clerk")

    with database.session() as session:
        with pytest.raises(DatabaseError):
            insert_twice(session)
        assert session.scalar("SELECT count(*) FROM jobs WHERE id = :id", id=1) == 0


def test_a_missing_parameter_is_named(database: Database) -> None:
    with database.session() as session, pytest.raises(InterfaceError, match="placeholder 'b'"):
        session._connection.run("SELECT :a, :b", a=1)


INSERT = "INSERT INTO jobs VALUES (:id, :job) RETURNING id"


def insert_and_commit(session: Session, row_id: int) -> list[list[Any]]:
    """Insert a job, and commit in the same round trip. Return the rows of the statement."""
    [result] = session.run_together(Statement(INSERT, {"id": row_id, "job": "Clerk"}), commit=True)
    return result.rows


@pytest.mark.parametrize("prepares", [False, True])
def test_the_last_statement_of_a_transaction_is_committed_in_the_same_round_trip(
    front: Front, database: Database, prepares: bool
) -> None:
    own = Database(front.url, tls="disable", purpose=Purpose(prepares=prepares))
    with closing(own), own.session() as session:
        for n in range(1, 6):
            with session.transaction():
                before = waits(front)
                assert insert_and_commit(session, n) == [[n]]
                assert jobs(database) == n, "the rows are committed before the block ends"
            assert waits(front) == before + 1
        with session.transaction():
            session.run("INSERT INTO jobs VALUES (6, 'Clerk')")
    assert jobs(database) == 6, "the next transaction commits at the end of its block"


@pytest.mark.parametrize("prepares", [False, True])
def test_nothing_is_committed_if_the_last_statement_fails(front: Front, database: Database, prepares: bool) -> None:
    def insert(session: Session, row_id: int) -> None:
        with session.transaction():
            session.run("INSERT INTO departments VALUES (:id, :name)", id=row_id, name="Sales")
            insert_and_commit(session, 1)

    own = Database(front.url, tls="disable", purpose=Purpose(prepares=prepares))
    with closing(own), own.session() as session:
        insert(session, 1)
        for n in range(2, 8):
            with pytest.raises(DatabaseError):
                insert(session, n)
        assert not session.broken
        assert session.run("SELECT id FROM departments") == [[1]]


DEFERRED = "ALTER TABLE jobs ADD CONSTRAINT once UNIQUE (job) DEFERRABLE INITIALLY DEFERRED"


def test_a_statement_is_not_stored_if_its_commit_fails(clerk: Database, preparing: Session) -> None:
    with clerk.session() as admin:
        admin.run(DEFERRED)
        try:
            for n in range(2, 8):
                with pytest.raises(DatabaseError), preparing.transaction():
                    insert_and_commit(preparing, n)
            assert jobs(clerk) == 1
        finally:
            admin.run("ALTER TABLE jobs DROP CONSTRAINT once")


OUTDATED = """
    CREATE FUNCTION outdated() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE SQLSTATE '26000'; END $$;
    CREATE CONSTRAINT TRIGGER outdated AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (NEW.id > 7) EXECUTE FUNCTION outdated()
"""


def test_a_statement_is_not_repeated_without_its_transaction_if_its_commit_finds_an_outdated_plan(
    clerk: Database, front: Front, preparing: Session
) -> None:
    with clerk.session() as admin:
        admin.run(OUTDATED)
        try:
            for n in range(2, 8):
                with preparing.transaction():
                    insert_and_commit(preparing, n)
            before = waits(front)
            with pytest.raises(Conflict), preparing.transaction():
                insert_and_commit(preparing, 8)
            assert waits(front) == before + 2, "one for the beginning, and one for the statement"
        finally:
            admin.run("DROP FUNCTION outdated CASCADE")


def jobs(database: Database) -> int:
    with database.session() as session:
        return int(session.scalar("SELECT count(*) FROM jobs"))


EMPLOYEE = {"name": "Ada", "datetime": "2021-05-01", "department_id": 1, "job_id": 1}


@pytest.fixture
def uploads(front: Front, api: Api, database: Database) -> Iterator[Database]:
    """Return the database of the API, through a proxy, after some uploads to empty tables."""
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
    services().database.close()
    own = Database(front.url, tls="disable", purpose=Purpose(trust=60, prepares=True))
    vars(services())["database"] = own
    for row_id in range(1, 12):
        assert api.post("/hired_employee/upload", {"id": row_id, **EMPLOYEE}).status == 201
    yield own
    own.close()


def test_an_upload_takes_three_round_trips(uploads: Database, front: Front, api: Api) -> None:
    before = waits(front)
    assert api.post("/hired_employee/upload", {"id": 100, **EMPLOYEE}).status == 201
    assert waits(front) - before == 3, "the beginning, the locks, and the row with its record and the commit"


def read(session: Session) -> list[int]:
    """Return how often a whole table was read, and how many entries of the index of hired employees were read."""
    session.run("SELECT pg_stat_force_next_flush()")
    scans = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('departments', 'jobs', 'hired_employees')"
    entries = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'hired_employees_pkey'"
    return [int(session.scalar(sql)) for sql in (scans, entries)]


@pytest.mark.parametrize("analyzed", [False, True])
def test_uploads_keep_plans_that_read_no_whole_table_although_the_tables_are_small(
    uploads: Database, api: Api, analyzed: bool
) -> None:
    with uploads.session() as session:
        if analyzed:
            session.run("ANALYZE departments, jobs, hired_employees")
    assert api.post("/hired_employee/upload", {"id": 99, **EMPLOYEE}).status == 201  # plans again
    with uploads.session() as session:
        before = read(session)
    assert api.post("/hired_employee/upload", {"id": 100, **EMPLOYEE}).status == 201
    with uploads.session() as session:
        assert read(session) == before
        merges = "FROM pg_prepared_statements WHERE statement LIKE '%_merged%'"
        assert session.scalar(f"SELECT sum(generic_plans) {merges}") > 0
        assert session.scalar(f"SELECT sum(custom_plans) {merges}") == 0


def test_a_report_takes_one_round_trip(front: Front, api: Api) -> None:
    services().database.close()
    vars(services())["database"] = Database(front.url, tls="disable", purpose=Purpose(trust=60))
    for _ in range(2):  # the first request also opens the connection
        assert api.get("/department/hires/top/2021").status == 200
    before = waits(front)
    shown = api.get("/department/hires/top/2021")
    assert (shown.status, waits(front) - before) == (200, 1)
    known = {"If-None-Match": shown.headers["ETag"]}
    again = api.send("GET", "/department/hires/top/2021", headers=known)
    assert (again.status, waits(front) - before) == (304, 2)
    services().database.close()


def waits(front: Front) -> int:
    """Return how often the client has waited for the server: after each Sync, and after each query without
    parameters."""
    return front.sent.count(SYNC) + len(re.findall(rb"Q\0\0..(?:SELECT|SET|BEGIN|COMMIT|SHOW)", front.sent, re.DOTALL))


@pytest.fixture
def preparing(front: Front) -> Iterator[Session]:
    """Return a session whose statements Postgres keeps."""
    database = Database(front.url, tls="disable", purpose=Purpose(prepares=True))
    with closing(database), database.session() as session:
        yield session


ASKED = "SELECT id, job FROM jobs WHERE id = ANY(:ids)"
MESSAGE = b"SELECT id, job FROM jobs WHERE id = ANY($1)"


def ask(session: Session, times: int = 4) -> None:
    """Let Postgres prepare the statement ASKED, and check its result."""
    for n in range(times):
        assert session.run(ASKED, ids=[1, n + 2]) == [[1, "Clerk"]]


@pytest.fixture
def clerk(database: Database) -> Iterator[Database]:
    """Return a database with one job. After the test, the tables are as before."""
    with database.session() as session:
        session.run("INSERT INTO jobs VALUES (1, 'Clerk')")
        yield database
        session.run("ALTER TABLE jobs ALTER COLUMN id TYPE integer")


def test_a_statement_that_is_sent_often_is_sent_only_a_few_times(
    clerk: Database, front: Front, preparing: Session
) -> None:
    ask(preparing, 50)
    assert front.sent.count(MESSAGE) == OFTEN
    assert preparing.scalar("SELECT count(*) FROM pg_prepared_statements") == 1


def test_few_statements_are_kept(preparing: Session) -> None:
    for n in range(2 * MOST):
        for a in range(OFTEN + 1):
            assert preparing.scalar(f"SELECT {n} + CAST(:a AS int)", a=a) == n + a
    assert preparing.scalar("SELECT count(*) FROM pg_prepared_statements") == MOST


@pytest.mark.parametrize("change", ["ALTER TABLE jobs ALTER COLUMN id TYPE bigint", "TRUNCATE jobs CASCADE"])
def test_a_statement_works_after_a_change_of_its_table(clerk: Database, preparing: Session, change: str) -> None:
    ask(preparing)
    with clerk.session() as admin:
        admin.run(f"{change}; INSERT INTO jobs VALUES (1, 'Clerk') ON CONFLICT DO NOTHING")
    ask(preparing)


@pytest.mark.parametrize("discard", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_a_statement_works_after_it_was_discarded(clerk: Database, preparing: Session, discard: str) -> None:
    ask(preparing)
    preparing.run(discard)
    ask(preparing)


def test_a_transaction_whose_tables_were_changed_conflicts_and_can_be_repeated(
    clerk: Database, preparing: Session
) -> None:
    ask(preparing)
    with clerk.session() as admin:
        admin.run("ALTER TABLE jobs ALTER COLUMN id TYPE bigint")
    with pytest.raises(Conflict, match="migration"), preparing.transaction():
        ask(preparing)
    with preparing.transaction():
        ask(preparing)


@pytest.mark.parametrize("wrong", ["x", None])
def test_a_prepared_statement_works_after_a_wrong_parameter(preparing: Session, wrong: str | None) -> None:
    for n in range(8):
        if n in (OFTEN - 1, OFTEN + 1):  # when it is prepared, and when it is ready
            with pytest.raises(DatabaseError):
                preparing.run("SELECT 1 / CAST(:a AS int)", a=wrong or 0)
        assert preparing.scalar("SELECT 1 / CAST(:a AS int)", a=1) == 1


def test_uploads_go_on_while_a_migration_changes_the_tables(clerk: Database, api: Api) -> None:
    def upload(row_id: int) -> None:
        row = {"id": row_id, "name": "Ada", "datetime": "2021-05-01", "department_id": 1, "job_id": 1}
        assert api.post("/hired_employee/upload", row).status == 201

    api.post("/department/upload", {"id": 1, "department": "Staff"})
    for row_id in range(1, 6):
        upload(row_id)
    with clerk.session() as admin:
        admin.run("ALTER TABLE jobs ALTER COLUMN id TYPE bigint")
    for row_id in range(6, 8):
        upload(row_id)
    with clerk.session() as admin:
        admin.run("ALTER TABLE jobs ALTER COLUMN id TYPE integer")
    upload(8)
