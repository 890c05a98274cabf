"""Tests the temporary tables that a connection keeps for small files. The load of a file must be the same, whatever the
connection has loaded before."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database import Database
from chalicelib.cloud.purposes import of_function
from chalicelib.core.errors import StorageUnavailable
from tests.integration.landing import Landing, counts

INGEST = "hireflow-local-ingest"
PARENTS = {"departments.csv": "1,Sales\n2,Ops\n", "jobs.csv": "1,Clerk\n"}
AT = "2021-07-27T16:02:08Z"
# Names of files, and their bodies. They have different datasets, columns, delimiters, rejects and waiting rows.
FILES = [
    ("hired_employees.csv", f"1,Ann,{AT},1,1\n2,Bo,{AT},9,1\n3,,{AT},1,1\n"),
    ("hired_employees.csv", f"id;name;datetime;department_id;job_id\n4;Cy;{AT};1;1\n5;Di;{AT};1;9\n"),
    ("hired_employees.csv", f"name,extra,id,job_id,department_id,datetime\nEd,x,1,1,2,{AT}\nFay,y,2,1,1,{AT}\n"),
    ("hired_employees.csv", f'6,"Gus\nHal",{AT},1,1\n7,Ida,{AT},8,8\n'),
    ("hired_employees.csv", "no,rows,at,all,here\n"),
    ("hired_employees.csv", ""),
    ("departments.csv", "8,New\n1,Sales and more\n"),
    ("departments.csv", "id,department\n3,Legal\n,No id\n"),
    ("jobs.csv", "job,id\nDriver,8\n"),
    ("jobs.csv", "\n\n\n"),
]
HISTORY = (
    "SELECT source, status, received, inserted, updated, unchanged, superseded, rejected, resolved, error,"
    " CAST(reasons AS text) FROM loads ORDER BY id"
)
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' AND table_schema = 'public'"
EMPTY = "TRUNCATE departments, jobs, hired_employees, loads, orphans, open_rejects, outbox RESTART IDENTITY CASCADE"
TABLES = ("departments", "jobs", "hired_employees", "orphans", "quarterly_hires")


def _stored(landing: Landing) -> list[object]:
    found: list[object] = [landing.rows(HISTORY), landing.rows("SELECT place, dataset, id, waits FROM open_rejects")]
    for table in TABLES:
        names = [name for [name] in landing.rows(COLUMNS.format(table)) if name not in ("load_id", "rejected_at")]
        shown = ", ".join(f'CAST("{name}" AS text)' for name in names)
        found.append(sorted(landing.rows(f"SELECT {shown} FROM {table}"), key=str))
    keys = [key for [key] in landing.rows("SELECT errored_key FROM loads WHERE errored_key IS NOT NULL ORDER BY id")]
    rejects = [landing.rejects({"errored_key": key}) for key in keys]
    return [*found, [[(r["line"], r["raw"], r["reasons"]) for r in of_load] for of_load in rejects]]


def _loaded(landing: Landing, url: str, files: Sequence[tuple[str, str]], *, one_connection: bool) -> list[object]:
    """Load files into empty tables, over one connection or each over a connection of its own. Return what is stored."""
    with landing.database.session() as session:
        session.run(EMPTY)
    original, database = landing.database, Database(url, tls="disable", purpose=of_function(INGEST, "local", 100))
    try:
        for name, body in (*PARENTS.items(), *files):
            landing.database = database
            landing.deliver(landing.put(name, body, max_rejected="1"))
            if not one_connection:
                database.close()
    finally:
        landing.database = original
        database.close()
    return _stored(landing)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FILES), min_size=2, max_size=10))
def test_a_file_is_loaded_as_over_a_new_connection(
    landing: Landing, database_url: str, files: list[tuple[str, str]]
) -> None:
    one = _loaded(landing, database_url, files, one_connection=True)
    assert one == _loaded(landing, database_url, files, one_connection=False)


@pytest.mark.parametrize("fails", ["PutObject", "COMMIT"])
def test_an_attempt_that_failed_leaves_no_rows_for_the_next_file(landing: Landing, fails: str) -> None:
    for name, body in PARENTS.items():
        landing.upload(name, body)
    event = landing.put("hired_employees.csv", FILES[0][1], max_rejected="1")

    def break_off(operation: str, _key: str) -> None:
        if operation == "PutObject":
            raise ConnectionResetError

    with landing.database.session() as session:
        pid = session.scalar("SELECT pg_backend_pid()")
        if fails == "COMMIT":
            session.run(_REFUSING)
    landing.s3.before = break_off if fails == "PutObject" else None
    with pytest.raises(StorageUnavailable if fails == "PutObject" else DatabaseError):
        landing.deliver(event)
    landing.s3.before = None
    landing.rows("DROP TRIGGER IF EXISTS refuse ON hired_employees")
    load = landing.upload("hired_employees_2.csv", f"11,Jo,{AT},1,1\n12,Kim,{AT},9,1\n", max_rejected="1")
    assert landing.scalar("SELECT pg_backend_pid()") == pid
    assert counts(load) == (2, 1, 0, 0, 0, 1)
    assert [reject["line"] for reject in landing.rejects(load)] == [2]
    assert landing.rows("SELECT id FROM hired_employees") == [(11,)]
    assert landing.rows("SELECT id FROM orphans") == [(12,)]
    landing.deliver(event)
    assert landing.rows("SELECT id FROM hired_employees ORDER BY id") == [(1,), (11,)]


# Like a deferred constraint that somebody has added: it refuses every row, but only at the end of the transaction.
_REFUSING = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON hired_employees DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE hired_employees ENABLE ALWAYS TRIGGER refuse
"""
