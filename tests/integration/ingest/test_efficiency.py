"""Tests why loads and reports are fast, but measures no times. Instead, the tests look at query plans and count
statements. One test compares the results of the ways of merging."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.statements import Result, Statement
from chalicelib.core.datasets import DATASETS
from chalicelib.ingest import merge
from chalicelib.ingest.merge import Merged
from chalicelib.ingest.relation import Relation
from chalicelib.ingest.rows import SentRows, upload
from chalicelib.reports.declaration import Scope
from chalicelib.reports.hires import QUARTERLY, TOP
from tests.integration.landing import GRACE, Landing
from tests.integration.s3_fixtures import S3

EMPLOYEES = DATASETS["hired_employees"]
LOCKS = """
    SELECT count(*) FROM pg_locks
    WHERE relation = CAST('departments' AS regclass) AND mode = 'ShareRowExclusiveLock' AND granted
"""


def plan(session: Session, query: str, **params: Any) -> str:
    return "\n".join(row[0] for row in session.run(f"EXPLAIN {query}", **params))


def test_reports_read_only_their_year_of_the_summary(database: Database) -> None:
    with database.session() as session:
        session.run(
            "INSERT INTO departments SELECT g, 'd' || g FROM generate_series(1, 50) g;"
            "INSERT INTO jobs SELECT g, 'j' || g FROM generate_series(1, 50) g;"
            "INSERT INTO hired_employees SELECT row_number() OVER (), 'x', make_timestamptz(y, 5, 5, 5, 5, 5), d, j"
            " FROM generate_series(2000, 2019) y, generate_series(1, 50) d, generate_series(1, 50) j;"
            "ANALYZE"
        )
        for report in (QUARTERLY, TOP):
            explained = plan(session, report.sql, **asdict(Scope(2010, 2010)))
            assert "hired_employees" not in explained
            assert "Seq Scan on quarterly_hires" not in explained
            assert "quarterly_hires_pkey" in explained


class Counted(Session):
    """A session that records its statements. `trips` has the statements of each round trip."""

    def __init__(self, session: Session) -> None:
        self.__dict__ = session.__dict__  # shares the connection and all other state
        self.trips: list[list[str]] = []

    def run(self, sql: str, **params: Any) -> list[list[Any]]:
        self.trips.append([sql])
        return super().run(sql, **params)

    def run_together(self, *statements: Statement, commit: bool = False) -> list[Result]:
        self.trips.append([statement.sql for statement in statements])
        return super().run_together(*statements, commit=commit)


class Watched(Database):
    """A database that records the round trips of its last session. Their number matters more than that of the
    statements."""

    def __init__(self, url: str) -> None:
        super().__init__(url, tls="disable")
        self.trips: list[list[str]] = []

    @property
    def statements(self) -> list[str]:
        return [sql for trip in self.trips for sql in trip]

    @contextmanager
    def session(self) -> Iterator[Session]:
        with super().session() as plain:
            counted = Counted(plain)
            yield counted
            self.trips = counted.trips


@pytest.mark.parametrize("rows", [1, 500])
def test_a_request_of_any_size_takes_the_same_few_statements(database_url: str, s3: S3, rows: int) -> None:
    database = Watched(database_url)
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
    sent = [
        {"id": i, "name": "Ann", "datetime": "2021-07-27", "department_id": 1, "job_id": 1} for i in range(1, rows + 1)
    ]
    upload(database, s3.storage, SentRows(EMPLOYEES, sent, "api"), grace=GRACE)
    # The three round trips are BEGIN, the locks of the table and of both parents, and the upsert, which also records
    # the load and commits. Other writers of the table wait during the last two. Each further wait for a lock is limited
    # before it.
    assert [[sql.split("(")[0] for sql in trip] for trip in database.trips[1:]] == [
        [
            'LOCK TABLE "hired_employees" IN SHARE ROW EXCLUSIVE MODE',
            "SELECT set_config",
            'SELECT id FROM "departments" WHERE id = ANY',
            "SELECT set_config",
            'SELECT id FROM "jobs" WHERE id = ANY',
            "SELECT set_config",
        ],
        ["WITH _new AS MATERIALIZED "],
    ]
    database.close()


@pytest.mark.parametrize(("timeout", "longest"), [(10.0, 9700), (0.2, 1)])
def test_the_time_that_a_transaction_has_waited_counts(database: Database, timeout: float, longest: int) -> None:
    with database.transaction() as session:
        session.run("SELECT pg_sleep(0.3)")
        session.run_together(merge.limiting_waits(timeout))
        assert (
            1 <= session.scalar("SELECT CAST(setting AS int) FROM pg_settings WHERE name = 'lock_timeout'") <= longest
        )


@pytest.mark.parametrize("rows", [10, 5000])
def test_a_load_reads_its_object_once_and_has_no_statement_for_a_single_row(
    landing: Landing, database_url: str, rows: int
) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    event = landing.put(
        "hired_employees.csv", "".join(f"{i},Ann,2021-07-27T16:02:08Z,1,1\n" for i in range(1, rows + 1))
    )
    before = len(landing.s3.calls)
    watched = Watched(database_url)
    original, landing.database = landing.database, watched
    landing.deliver(event)
    landing.database = original
    watched.close()
    assert Counter(operation for operation, _ in landing.s3.calls[before:]) == {"GetObject": 1}
    assert len(watched.statements) < 40, watched.statements
    assert not [sql for sql in watched.statements if "SELECT FROM orphans" in sql]  # no row of this file waits


def test_a_small_file_is_read_once_although_rows_lack_a_parent(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    before = len(landing.s3.calls)
    load = landing.upload(
        "hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n2,Bo,2021-07-27T16:02:08Z,9,1\n", max_rejected="1"
    )
    assert Counter(operation for operation, _ in landing.s3.calls[before:])["GetObject"] == 1
    assert [(reject["line"], reject["raw"], reject["reasons"]) for reject in landing.rejects(load)] == [
        (2, "2,Bo,2021-07-27T16:02:08Z,9,1", ["department_id 9 does not exist"])
    ]


@pytest.mark.parametrize("header", ["", "id,department\n"])
def test_a_small_file_takes_few_statements_and_few_transactions(
    landing: Landing, database_url: str, header: str
) -> None:
    event = landing.put("departments.csv", f"{header}1,Sales\n2,Ops\n")
    watched = Watched(database_url)
    original, landing.database = landing.database, watched
    landing.deliver(event)
    landing.database = original
    watched.close()
    # The claim and the format are committed at once, so that everybody sees that the load has begun.
    writing = [sql.split()[0] for sql in watched.statements if sql.startswith(("INSERT INTO loads", "UPDATE loads"))]
    assert writing == ["INSERT", "UPDATE", "UPDATE"], watched.statements
    assert not [sql for sql in watched.statements if "ANALYZE" in sql]
    assert len(watched.statements) < 20, watched.statements


def test_the_next_small_file_creates_no_table(landing: Landing, database_url: str) -> None:
    """To create tables takes Postgres as long as to copy a thousand rows, and leaves dead rows in the catalogs."""
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    rows = "{0},Ann,2021-07-27T16:02:08Z,1,1\n{1},Bo,2021-07-27T16:02:08Z,9,1\n{2},,,,\n"
    watched = Watched(database_url)
    original, landing.database = landing.database, watched
    for first in (1, 4, 7):
        landing.deliver(landing.put("hired_employees.csv", rows.format(first, first + 1, first + 2), max_rejected="1"))
    landing.database = original
    watched.close()
    assert not [sql for sql in watched.statements if "CREATE" in sql], watched.statements
    [locked, *_] = [at for at, trip in enumerate(watched.trips) if trip[0].startswith("LOCK TABLE")]
    # Other writers of the table wait during these round trips.
    lock, merged, *rest = watched.trips[locked:]
    assert len(lock) == 2
    assert "INSERT INTO" in merged[0]
    assert "INSERT INTO orphans" in merged[-1]
    assert "SET LOCAL enable_hashjoin = DEFAULT" in merged
    assert [[sql.split()[0] for sql in trip] for trip in rest[:3]] == [["UPDATE"], ["INSERT"], ["COMMIT"]]
    assert landing.rows("SELECT id FROM hired_employees ORDER BY id") == [(1,), (4,), (7,)]
    assert landing.rows("SELECT id FROM orphans ORDER BY id") == [(2,), (5,), (8,)]


def test_a_small_file_finds_the_rows_of_a_larger_table_by_their_ids(database: Database) -> None:
    jobs, names = DATASETS["jobs"], ("enable_seqscan", "enable_hashjoin", "enable_material", "plan_cache_mode")
    with database.session() as session:
        session.run("INSERT INTO jobs SELECT g, 'j' || g FROM generate_series(1, 20000) g; ANALYZE jobs")
        session.run("CREATE TEMP TABLE staged (seq integer GENERATED ALWAYS AS IDENTITY, id integer, job text)")
        session.run("INSERT INTO staged (id, job) SELECT g, 'new' FROM generate_series(19501, 20500) g")
        with session.transaction():
            merge.lock_table(session, jobs, timeout=5, few=True)
            assert session.scalar("SHOW jit") == "off"
            merged, _ = merge.upsert_few(session, jobs, Relation("staged", ("id", "job")))
            assert merged == Merged(1000, 500, 500)
            assert session.scalar("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'jobs'") == 0
            session.run_together(*merge.AS_USUAL)
            assert [session.scalar(f"SHOW {name}") for name in names] == ["on", "on", "on", "auto"]


def test_no_load_waits_while_another_one_stores_its_reject_file(landing: Landing, database_url: str) -> None:
    held: list[int] = []

    def note_locks(operation: str, _key: str) -> None:
        if operation == "PutObject":
            with closing(Database(database_url, tls="disable")) as other, other.session() as session:
                held.append(session.scalar(LOCKS))

    event = landing.put("departments.csv", "1,Sales\n,Ops\n2,Legal\n3,Supply\n")
    landing.s3.before = note_locks
    landing.deliver(event)
    assert (landing.load()["inserted"], landing.load()["rejected"], held) == (3, 1, [0])


ROWS = st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["a", "b", "c"])), max_size=10)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, ROWS)
def test_all_ways_of_merging_have_the_same_result(
    database: Database, before: list[tuple[int, str]], rows: list[tuple[int, str]]
) -> None:
    """`merge.load` compares the rows first and runs only the necessary statements. `merge.upsert` and
    `merge.upsert_few` are a single statement for all cases."""
    results = []
    for way in (merge.load, merge.upsert, lambda *arguments: merge.upsert_few(*arguments)[0]):
        with database.session() as session:
            session.run("TRUNCATE jobs CASCADE; DROP TABLE IF EXISTS staged")
            session.run("CREATE TEMP TABLE staged (seq integer GENERATED ALWAYS AS IDENTITY, id integer, job text)")
            outcome: list[Merged] = []
            for portion in (before, rows):
                session.run("TRUNCATE staged")
                for row_id, job in portion:
                    session.run("INSERT INTO staged (id, job) VALUES (:id, :job)", id=row_id, job=job)
                with session.transaction():
                    outcome.append(way(session, DATASETS["jobs"], Relation("staged", ("id", "job"))))
            results.append((outcome, session.run("SELECT * FROM jobs ORDER BY id")))
    assert results[0] == results[1] == results[2]
    last = dict(rows)
    assert dict(results[0][1]) == {**dict(before), **last}
    assert results[0][0][1].distinct == len(last)
