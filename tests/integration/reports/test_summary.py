"""Tests that the summary, which the reports read, always equals a count of the employees."""

import json
import threading
from contextlib import closing
from dataclasses import asdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.cloud.database import Database, Session
from chalicelib.reports.declaration import Report, Scope, Span
from chalicelib.reports.hires import QUARTERLY, REPORTS, TOP
from chalicelib.reports.queries import as_json

RECOUNTED = """
    SELECT CAST(extract(year FROM at) AS int), department_id, job_id,
        count(*) FILTER (WHERE extract(quarter FROM at) = 1), count(*) FILTER (WHERE extract(quarter FROM at) = 2),
        count(*) FILTER (WHERE extract(quarter FROM at) = 3), count(*) FILTER (WHERE extract(quarter FROM at) = 4)
    FROM (SELECT datetime AT TIME ZONE 'UTC' AS at, department_id, job_id FROM hired_employees) e
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
KEPT = """
    SELECT year, department_id, job_id, q1, q2, q3, q4 FROM quarterly_hires
    WHERE q1 <> 0 OR q2 <> 0 OR q3 <> 0 OR q4 <> 0 ORDER BY 1, 2, 3
"""
INSTANTS = st.sampled_from(
    [
        *("2020-12-31T23:59:59.999999Z", "2021-01-01T00:00:00Z", "2021-01-01T00:30:00+01:00"),
        *("2021-03-31T23:30:00-01:00", "2021-06-30T12:00:00Z", "2021-07-01T00:00:00Z", "2021-12-31T23:59:59Z"),
        *("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"),
    ]
)
IDS = st.integers(1, 9)
PARENTS = st.integers(1, 3)
INSERT = st.builds(
    (
        "INSERT INTO hired_employees SELECT g, 'x', '{}', {}, {} FROM generate_series({}, {} + 3) g"
        " ON CONFLICT DO NOTHING"
    ).format,
    *(INSTANTS, PARENTS, PARENTS, IDS, IDS),
)
UPDATE = st.builds(
    "UPDATE hired_employees SET datetime = '{}', department_id = {} WHERE id >= {}".format, INSTANTS, PARENTS, IDS
)
RENAME = st.builds("UPDATE hired_employees SET name = name || 'y' WHERE id <= {}".format, IDS)
DELETE = st.builds("DELETE FROM hired_employees WHERE id BETWEEN {} AND {} + 2".format, IDS, IDS)
STATEMENTS = st.lists(INSERT | UPDATE | RENAME | DELETE | st.just("TRUNCATE hired_employees"), max_size=8)


def _parents(session: Session) -> None:
    session.run(
        "TRUNCATE departments, jobs CASCADE;"
        "INSERT INTO departments SELECT g, 'd' || g FROM generate_series(1, 3) g;"
        "INSERT INTO jobs SELECT g, 'j' || g FROM generate_series(1, 3) g"
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STATEMENTS, st.sampled_from(["origin", "replica"]))
def test_the_summary_equals_a_recount(database: Database, statements: list[str], role: str) -> None:
    with database.session() as session:
        _parents(session)
        session.run(f"SET session_replication_role = {role}")
        for statement in statements:
            session.run(statement)
        session.run("RESET session_replication_role")
        assert session.run(KEPT) == session.run(RECOUNTED)


def test_a_statement_without_rows_does_not_look_at_the_summary(database: Database, database_url: str) -> None:
    nothing = (
        "INSERT INTO hired_employees SELECT 1, 'x', now(), 1, 1 WHERE false",
        "UPDATE hired_employees SET department_id = 1 WHERE false",
        "DELETE FROM hired_employees WHERE false",
    )
    with closing(Database(database_url, tls="disable")) as another, another.transaction() as other:
        other.run("LOCK TABLE quarterly_hires IN ACCESS EXCLUSIVE MODE")
        with database.transaction() as session:
            for statement in nothing:
                session.run(f"SET LOCAL lock_timeout = '500ms'; {statement}")


def test_writers_of_the_same_groups_do_not_deadlock(database: Database, database_url: str) -> None:
    with database.session() as session:
        _parents(session)
    failures: list[BaseException] = []

    def write(first: int, order: str) -> None:
        own = Database(database_url, tls="disable")
        try:
            with own.session() as session:
                for n in range(15):
                    session.run(
                        "INSERT INTO hired_employees"
                        " SELECT :first + 9 * :n + g, 'x', '2021-05-05', 1 + g % 3, 1 + g / 3"
                        f" FROM generate_series(0, 8) g ORDER BY g {order}",
                        first=first,
                        n=n,
                    )
        except BaseException as failure:
            failures.append(failure)
        finally:
            own.close()

    threads = [threading.Thread(target=write, args=(1 + 1000 * i, "ASC" if i % 2 else "DESC")) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.session() as session:
        assert session.run(KEPT) == session.run(RECOUNTED)
        assert session.scalar("SELECT sum(q2) FROM quarterly_hires") == 6 * 15 * 9


def test_a_writer_locks_its_dataset_before_it_sums_up(database: Database) -> None:
    """The trigger of the summary uses MERGE, which is correct only for one writer at a time. So the trigger that locks
    the dataset must fire first. Triggers fire in the order of their names."""
    with database.session() as session:
        names = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'hired_employees'::regclass AND NOT tgisinternal"
        triggers = {name for [name] in session.run(names)}
    for event in ("insert", "update", "delete"):
        locking, summing = f"hired_employees_note_{event}", f"hired_employees_sum_{event}"
        assert {locking, summing} <= triggers
        assert locking < summing


def test_names_are_ordered_by_byte(database: Database) -> None:
    names = ["Zoo", "apple", "Émile", "Apple", "zoo"]
    with database.session() as session:
        for n, name in enumerate(names, 1):
            session.run("INSERT INTO departments VALUES (:n, :name)", n=n, name=name)
        session.run("INSERT INTO jobs VALUES (1, 'b'), (2, 'B')")
        session.run(
            "INSERT INTO hired_employees"
            " SELECT g, 'x', '2021-01-01', 1 + g % 5, 1 + g % 2 FROM generate_series(1, 10) g"
        )
        rows: list[dict[str, Any]] = _of_2021(session, QUARTERLY)
    assert [row["department"] for row in rows[::2]] == sorted(names, key=str.encode)
    assert [row["job"] for row in rows[:2]] == ["B", "b"]
    assert list(rows[0]) == ["department", "job", "q1", "q2", "q3", "q4"]


def test_the_mean_counts_only_departments_that_hired(database: Database) -> None:
    with database.session() as session:
        session.run(
            "INSERT INTO departments SELECT g, 'd' || g FROM generate_series(1, 6) g; INSERT INTO jobs VALUES (1, 'j')"
        )
        hires = {1: 4, 2: 4, 3: 2, 4: 3, 5: 2}  # the mean is 3, because department 6, which hired nobody, is left out
        first = 1
        for department, count in hires.items():
            session.run(
                "INSERT INTO hired_employees SELECT g, 'x', '2021-06-01', :department, 1"
                f" FROM generate_series({first}, {first + count - 1}) g",
                department=department,
            )
            first += count
        expected = [{"id": 1, "department": "d1", "hired": 4}, {"id": 2, "department": "d2", "hired": 4}]
        assert _of_2021(session, TOP) == expected
        session.run("DELETE FROM hired_employees WHERE department_id IN (1, 2)")
        assert [row["id"] for row in _of_2021(session, TOP)] == [4]


def test_reports_never_read_the_employees(database: Database) -> None:
    with database.session() as session:
        for report in REPORTS:
            plan = "\n".join(line for [line] in session.run("EXPLAIN " + report.sql, **asdict(Scope(2021, 2021))))
            assert "quarterly_hires" in plan
            assert "hired_employees" not in plan


def _of_2021(session: Session, report: Report) -> list[dict[str, Any]]:
    return list(json.loads(as_json(session, report, Span.YEAR, Scope(2021, 2021))))
