"""Tests what loads guarantee: no rows without parents in the tables, bounded memory, and no deadlocks between loads."""

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LockTimeout
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.pg_copy import text_format
from chalicelib.ingest.rows import SentRows, Upload, upload
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging_table import StagingTable, create
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.landing import GRACE, Landing, counts

EMPLOYEES = "1,Ann,2021-07-27T16:02:08Z,1,1\n2,,2021-07-27T16:02:08Z,1,1\n"


def parents(landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n2,Ops\n")
    landing.upload("jobs.csv", "1,Clerk\n")


def test_a_parent_cannot_be_deleted_while_its_children_are_loaded(landing: Landing, database_url: str) -> None:
    """The test stops the load just before its commit. The load has switched the row triggers off, so only its own locks
    protect the parents."""
    parents(landing)
    reached, go_on = threading.Event(), threading.Event()

    def stop_before_commit(operation: str, _key: str) -> None:
        if operation == "PutObject":
            reached.set()
            assert go_on.wait(20)

    event = landing.put("hired_employees.csv", EMPLOYEES)
    landing.s3.before = stop_before_commit
    load = threading.Thread(target=landing.deliver, args=(event,))
    load.start()
    other = Database(database_url, tls="disable")
    try:
        assert reached.wait(20)
        with other.session() as session:
            with pytest.raises(LockTimeout), session.transaction():
                session.run("SET LOCAL lock_timeout = '300ms'; DELETE FROM departments WHERE id = 1")
            session.run("DELETE FROM departments WHERE id = 2")  # no row refers to it
    finally:
        go_on.set()
        load.join()
    with other.session() as session, pytest.raises(DatabaseError, match="hired_employees_department_id_fkey"):
        session.run("DELETE FROM departments WHERE id = 1")
    other.close()
    landing.s3.before = None
    assert counts(landing.load()) == (2, 1, 0, 0, 0, 1)


_WAITING = (
    "SELECT count(*) FROM pg_locks WHERE relation = CAST('hired_employees' AS regclass) AND NOT granted"
    " AND mode = 'ShareRowExclusiveLock'"
)


def test_a_request_that_waits_for_its_table_does_not_hold_its_parents(landing: Landing, database_url: str) -> None:
    """An operator may delete children and then, in the same transaction, their parent."""
    parents(landing)
    landing.upload("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    row = {"id": 2, "name": "Bo", "datetime": "2021-07-27", "department_id": 1, "job_id": 1}
    results: list[Upload] = []

    def send() -> None:
        sent = SentRows(DATASETS["hired_employees"], [row], "api")
        with closing(Database(database_url, tls="disable")) as own:
            results.append(upload(own, landing.s3.storage, sent, grace=GRACE))

    request = threading.Thread(target=send)
    with landing.database.session() as session:
        with session.transaction():
            session.run("DELETE FROM hired_employees WHERE department_id = 1")
            request.start()
            deadline = time.monotonic() + 20
            while not session.scalar(_WAITING):
                assert time.monotonic() < deadline
            session.run("SET LOCAL lock_timeout = '500ms'; DELETE FROM departments WHERE id = 1")
        request.join()
    assert [[problem.text for problem in reject.problems] for reject in results[0].rejects] == [
        ["department_id 1 does not exist"]
    ]


@pytest.mark.parametrize("may_skip", [True, False])
def test_loads_work_with_and_without_the_right_to_skip_triggers(
    landing: Landing, postgres: Postgres, may_skip: bool
) -> None:
    verb, word = ("GRANT", "TO") if may_skip else ("REVOKE", "FROM")
    with connect(postgres.superuser_url) as admin:
        admin.run(f"{verb} SET ON PARAMETER session_replication_role {word} {postgres.role.user}")
    try:
        parents(landing)
        load = landing.upload("hired_employees.csv", EMPLOYEES + "3,Bo,2021-01-01,9,1\n")
        assert counts(load) == (3, 1, 0, 0, 0, 2)
        assert landing.scalar("SELECT sum(q3) FROM quarterly_hires") == 1
    finally:
        with connect(postgres.superuser_url) as admin:
            admin.run(f"GRANT SET ON PARAMETER session_replication_role TO {postgres.role.user}")


def test_loads_of_all_datasets_at_once_neither_deadlock_nor_lose_rows(landing: Landing, database_url: str) -> None:
    from chalicelib.ingest.events import created_objects
    from chalicelib.ingest.objects import Ingestion, ingest_object
    from tests.integration.landing import GRACE

    files = [("departments", "1,Sales\n2,Ops\n"), ("jobs", "1,Clerk\n")]
    files += [("hired_employees", f"{n},Ann {n},2021-07-27T16:02:08Z,{1 + n % 2},1\n") for n in range(1, 13)]
    events = [landing.put(f"{name}_{i}.csv", body) for i, (name, body) in enumerate(files)]
    failures: list[BaseException] = []

    def deliver(event: dict[str, object]) -> None:
        database = Database(database_url, tls="disable")
        try:
            for created in created_objects(event):
                ingest_object(Ingestion(database, landing.s3.storage, GRACE), created)
        except BaseException as failure:
            failures.append(failure)
        finally:
            database.close()

    threads = [threading.Thread(target=deliver, args=(event,)) for event in reversed(events)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert landing.scalar("SELECT count(*) FROM hired_employees") == 12
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


class Endless:
    """A file of many megabytes. It is generated while it is read. Every twentieth row breaks a rule."""

    def __init__(self, size: int) -> None:
        self.left = size
        line = b"7,Ann Lee,2021-07-27T16:02:08Z,1,1\n"
        self.block = (line * 19 + b"x,,,,\n") * 300

    def read(self, _size: int, /) -> bytes:
        self.left -= len(self.block)
        return self.block if self.left > 0 else b""


class Discarded:
    """Receives rejects and counts them, but does not keep them."""

    rejected = 0
    is_full = False

    def add(self, _reject: object) -> None:
        self.rejected += 1

    def count(self, _problems: object, rows: int) -> None:
        self.rejected += rows


def test_staging_takes_bounded_memory(database: Database) -> None:
    dataset = DATASETS["hired_employees"]
    table = StagingTable(dataset, text_format(CsvLayout.by_position(dataset)))

    def peak(size: int) -> int:
        rejects = Discarded()
        with database.session() as session:
            create(session, table)
            tracemalloc.start()
            stager = Stager(table, Reader(dataset, Endless(size)), rejects)
            received = list(stager.run(session))
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert rejects.rejected == stager.rejected == received[-1] // 20
        return highest

    small, large = peak(4_000_000), peak(14_000_000)
    assert large < 12_000_000
    assert large < small * 1.6


def test_the_connection_is_usable_after_a_copy_that_fails(database: Database) -> None:
    class Broken(Exception):
        pass

    def blocks() -> Iterator[bytes]:
        yield b"1\tSales\n"
        raise Broken

    with pytest.raises(Broken), database.session() as session:
        session.copy_in("COPY departments FROM STDIN", blocks())
    with database.session() as session:
        assert session.scalar("SELECT count(*) FROM departments") == 0


def act_before_the_commit(landing: Landing, event: dict[str, object], act: Callable[[], None]) -> None:
    """Deliver an event. Call `act` when the load of the event has stored its rejects and is about to commit."""
    reached, go_on = threading.Event(), threading.Event()

    def stop_before_commit(operation: str, key: str) -> None:
        if operation == "PutObject" and key.startswith("hired_employees/"):
            reached.set()
            assert go_on.wait(20)

    landing.s3.before = stop_before_commit
    load = threading.Thread(target=landing.deliver, args=(event,))
    load.start()
    try:
        assert reached.wait(20)
        act()
    finally:
        go_on.set()
        load.join()
        landing.s3.before = None


def test_orphans_are_healed_if_their_parents_come_just_before_the_orphans_commit(
    landing: Landing, database_url: str
) -> None:
    """The load of the parents cannot see the orphans yet. The load of the orphans must look for parents again."""
    landing.upload("jobs.csv", "1,Clerk\n")
    event = landing.put("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    with closing(Database(database_url, tls="disable")) as other:
        others = Landing(other, landing.s3)
        act_before_the_commit(landing, event, lambda: others.deliver(landing.put("departments.csv", "1,Sales\n")))
    assert landing.rows("SELECT id, name FROM hired_employees") == [(1, "Ann")]
    assert landing.rows("SELECT rejected, resolved FROM loads WHERE dataset = 'hired_employees'") == [(1, 1)]
    assert landing.scalar("SELECT count(*) FROM orphans") == 0


def test_loads_of_parents_do_not_wait_for_a_load_of_their_children(landing: Landing, database_url: str) -> None:
    """The load of the children has locked the table of the children and the parents of its rows. The loads of the
    parents change columns of these parents. They do not conflict with the locks, because they change no ids."""
    parents(landing)
    event = landing.put("hired_employees.csv", EMPLOYEES)

    def change_the_parents(others: Landing) -> None:
        others.deliver(landing.put("departments_2.csv", "1,Marketing\n2,Ops\n"))
        others.deliver(landing.put("jobs_2.csv", "1,Judge\n"))
        with others.database.session() as session:
            newest = "SELECT status FROM loads ORDER BY id DESC LIMIT 2"
            assert session.run(newest) == [["succeeded"], ["succeeded"]]

    with closing(Database(database_url, tls="disable")) as other:
        act_before_the_commit(landing, event, lambda: change_the_parents(Landing(other, landing.s3)))
    assert landing.rows("SELECT department FROM departments ORDER BY id") == [("Marketing",), ("Ops",)]
    assert landing.scalar("SELECT status FROM loads WHERE dataset = 'hired_employees'") == "succeeded"
