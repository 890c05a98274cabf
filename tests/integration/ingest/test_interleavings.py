"""Deletes parents, or gives them other ids, while loads merge their children. The order of the steps is random.

If the database role has the right to do so, a load writes its rows without row triggers. Then only the load's locks on
the parents prevent a concurrent DELETE from leaving rows without parents.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.database_errors import sqlstate
from chalicelib.core.errors import Conflict, LockTimeout
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.landing import Landing

SEED = os.environ.get("HIREFLOW_FAULT_SEED") or "20210727"
PARENTS, LOADS, ROWS = 12, 60, 40
CHANGES = 100  # the least number of changed parents; the loads go on until there are so many, at most ten times LOADS
ORPHANS = (
    "SELECT count(*) FROM hired_employees e WHERE NOT EXISTS (SELECT FROM departments d WHERE d.id = e.department_id)"
    " OR NOT EXISTS (SELECT FROM jobs j WHERE j.id = e.job_id)"
)


@pytest.fixture(params=[True, False], ids=["without triggers", "with triggers"])
def may_skip_triggers(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[bool]:
    with connect(postgres.superuser_url) as admin:
        if not request.param:
            admin.run(f"REVOKE SET ON PARAMETER session_replication_role FROM {postgres.role.user}")
        yield request.param
        admin.run(f"GRANT SET ON PARAMETER session_replication_role TO {postgres.role.user}")


class ParentWriter(threading.Thread):
    """Deletes parents, changes their ids, and inserts them again, until the event `stop` is set."""

    def __init__(self, url: str, parent: str, stop: threading.Event) -> None:
        super().__init__()
        self._url, self._parent, self._over = url, parent, stop
        self._random = Random(f"{SEED}/{parent}")
        self.done: Counter[str] = Counter()
        self.failures: list[BaseException] = []

    def run(self) -> None:
        database = Database(self._url, tls="disable")
        try:
            while not self._over.is_set():
                with database.session() as session:
                    self._write(session)
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            database.close()

    def _write(self, session: Session) -> None:
        one, other = (self._random.randint(1, PARENTS) for _ in range(2))
        what = self._random.choice(("delete", "rekey", "insert", "insert"))
        hold = self._random.uniform(0, 0.01)
        statement = {
            "delete": f"DELETE FROM {self._parent} WHERE id = {one}",
            "rekey": f"UPDATE {self._parent} SET id = {other} WHERE id = {one}",
            "insert": f"INSERT INTO {self._parent} VALUES ({one}, 'back') ON CONFLICT DO NOTHING",
        }[what]
        try:
            with session.transaction():
                session.run("SET LOCAL lock_timeout = '2s'")
                touched = session.affected(statement)
                time.sleep(hold)  # keeps the transaction open for a moment, so that loads have to wait for its locks
            self.done[what] += touched
        except (Conflict, LockTimeout):
            self.done["conflict or lock timeout"] += 1
        except DatabaseError as error:
            if sqlstate(error) not in ("23503", "23505"):  # the parent has children, or the id is already in use
                raise
            self.done["refused"] += 1


def changed(writers: Sequence[ParentWriter]) -> int:
    """Return how many parents were deleted or got another id."""
    return sum(writer.done["delete"] + writer.done["rekey"] for writer in writers)


def test_no_interleaving_leaves_a_row_without_its_parent(
    landing: Landing, database_url: str, may_skip_triggers: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, random = threading.Event(), Random(f"{SEED}/loads")
    writers = [ParentWriter(database_url, parent, stop) for _ in range(2) for parent in ("departments", "jobs")]
    for name in ("departments", "jobs"):
        landing.upload(f"{name}.csv", "".join(f"{i},there\n" for i in range(1, PARENTS + 1)))
    for writer in writers:
        writer.start()
    accepted = 0
    try:
        for load in range(10 * LOADS):
            if load >= LOADS and changed(writers) >= CHANGES:
                break
            lines = [
                f"{random.randint(1, 4 * ROWS)},Ann {load},2021-07-{random.randint(1, 28)},"
                f"{random.randint(1, PARENTS)},{random.randint(1, PARENTS)}\n"
                for _ in range(ROWS)
            ]
            ended = landing.upload(f"hired_employees_{load}.csv", "".join(lines))
            accepted += ended["inserted"] + ended["updated"]
            assert ended["status"] == "succeeded"
            assert landing.scalar(ORPHANS) == 0
            if load % 3 == 2:  # delete all children, so that parents can be deleted again
                landing.scalar("DELETE FROM hired_employees RETURNING 1")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    done = sum((writer.done for writer in writers), Counter[str]())
    loads = len(landing.events) - 2
    with capsys.disabled():
        print(f"\nseed {SEED}: {loads} loads, {accepted} rows accepted, changes of parents: {dict(done)}")
    assert [writer.failures for writer in writers] == [[]] * len(writers)
    assert accepted > 0
    assert changed(writers) >= CHANGES
    assert landing.scalar(ORPHANS) == 0
