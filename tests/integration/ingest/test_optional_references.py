"""Tests references that may be NULL, several references to the same parent, and rows that wait for several parents. The
datasets are those of `shop`."""

import json
import threading
from collections.abc import Sequence
from contextlib import closing
from random import Random

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.database_errors import sqlstate
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import Conflict, LockTimeout
from chalicelib.ingest import merge, orphans
from chalicelib.ingest.merge import Merged
from chalicelib.ingest.relation import Relation
from chalicelib.ingest.rows import SentRows, upload
from tests.integration.landing import GRACE
from tests.integration.s3_fixtures import S3
from tests.integration.shop import GROUPS, NEW, ORDERS, ROWS, USERS, Row, Shop, insert, shop, staged, users

__all__ = ["shop", "users"]


def waiting(session: Session, rows: Sequence[Row], dataset: Dataset = ORDERS) -> int:
    """Load these rows as a file does, and keep the rows without parents. Return how many wait."""
    with session.transaction():
        load_id = session.scalar(
            "INSERT INTO loads (dataset, source, kind, status) VALUES (:name, 'x', 'csv', 'succeeded') RETURNING id",
            name=dataset.name,
        )
        relation = staged(session, rows, dataset)
        count = orphans.set_apart(session, dataset, relation)
        merge.lock_table(session, dataset, timeout=5)
        merge.load(session, dataset, relation)
        orphans.forget(session, dataset, relation.source)
        if count:
            session.run_together(orphans.remembering(dataset, load_id, relation))
    return count


def stored(session: Session) -> dict[int, Row]:
    return {row_id: json.loads(row) for row_id, row in session.run('SELECT id, CAST("row" AS text) FROM orphans')}


def test_an_orphan_is_healed_without_the_columns_that_it_left_out(users: Shop) -> None:
    users.insert(ORDERS, *({"id": i, "user": 1, "place": "old", "select": "old", "default": "old"} for i in (1, 2)))
    rows: list[Row] = [
        {"id": 1, "user": 9, "place": None},
        {"id": 2, "user": 1, "from": 9, "select": "new", "default": None},
        {"id": 3, "user": 9},
        {"id": 4, "user": 1},
    ]
    with users.database.session() as session:
        assert waiting(session, rows) == 3
        assert stored(session) == {row["id"]: row for row in rows[:3]}
        assert orphans.heal(session, ORDERS, GRACE) == 0
        insert(session, USERS, {"id": 9, "name": "late"})
        assert orphans.heal(session, ORDERS, GRACE) == 3
        assert stored(session) == {}
        resolved = session.run("SELECT resolved FROM loads")
    assert resolved == [[3]]
    assert users.rows(ORDERS) == {
        1: {**NEW, "user": 9, "select": "old", "default": "old", "place": None},
        2: {**NEW, "user": 1, "select": "new", "default": None, "place": "old", "from": 9},
        3: {**NEW, "user": 9},
        4: {**NEW, "user": 1},
    }


def test_the_names_of_columns_do_not_collide_with_names_in_the_statements(users: Shop) -> None:
    rows: list[Row] = [{"id": 1, "row": 9, "r": "a"}, {"id": 2, "row": 9, "r": "b", "m": "c", "o": "d"}]
    with users.database.session() as session:
        assert waiting(session, rows, ROWS) == 2
        assert stored(session) == {row["id"]: row for row in rows}
        insert(session, USERS, {"id": 9, "name": "late"})
        assert orphans.heal(session, ROWS, GRACE) == 2
    assert users.rows(ROWS) == {
        1: {"row": 9, "r": "a", "m": "m", "o": None},
        2: {"row": 9, "r": "b", "m": "c", "o": "d"},
    }


def test_an_orphan_waits_for_all_its_parents(users: Shop) -> None:
    rows: list[Row] = [
        {"id": 1, "user": 8, "from": 9, "group": 7},
        {"id": 2, "user": 8, "from": None},
        {"id": 3, "user": 1, "group": 7},
    ]
    healed = []
    with users.database.session() as session:
        assert waiting(session, rows) == 3
        for dataset, row in ((USERS, {"id": 8, "name": "h"}), (USERS, {"id": 9, "name": "i"}), (GROUPS, {"id": 7})):
            insert(session, dataset, row)
            orphans.heal(session, ORDERS, GRACE)
            healed.append(sorted(users.rows(ORDERS)))
    assert healed == [[2], [2], [1, 2, 3]]


def test_the_table_is_locked_only_if_an_orphan_has_all_its_parents(users: Shop, database_url: str) -> None:
    rows: list[Row] = [{"id": 1, "user": 8, "from": 9}, {"id": 2, "user": 9, "group": 1}]
    with users.database.session() as session, closing(Database(database_url, tls="disable")) as another:
        assert waiting(session, rows) == 2
        insert(session, USERS, {"id": 8, "name": "h"})
        with another.transaction() as other:
            other.run(f"LOCK TABLE {ORDERS.table} IN SHARE ROW EXCLUSIVE MODE")
            assert orphans.heal(session, ORDERS, GRACE, at_most=10) == 0
            other.run(f"INSERT INTO {USERS.table} VALUES (9, 'i')")
            assert orphans.heal(session, ORDERS, GRACE, at_most=10) == 0  # not committed yet
        assert orphans.heal(session, ORDERS, GRACE, at_most=10) == 2


def test_each_missing_parent_of_an_orphan_is_listed(users: Shop) -> None:
    lines: list[bytes] = []

    class Lines:
        def write(self, data: bytes) -> None:
            lines.append(data)

    rows: list[Row] = [{"id": 1, "user": 9, "from": 1}, {"id": 2, "user": 1, "from": 8, "group": 7}]
    with users.database.session() as session, session.transaction():
        relation = staged(session, rows)
        assert orphans.set_apart(session, ORDERS, relation) == 2
        names = [column.name for column, _ in relation.references(ORDERS)]
        session.copy_out(orphans.listing(names, relation), Lines())
    assert names == ["user", "from", "group"]
    assert lines == [b"1\t9\t\\N\t\\N\n", b"2\t\\N\t8\t7\n"]


def test_no_row_waits_if_all_rows_leave_the_references_out(users: Shop) -> None:
    with users.database.session() as session, session.transaction():
        session.run(
            "CREATE TEMP TABLE staged (seq integer, id integer) ON COMMIT DROP; INSERT INTO staged VALUES (1, 5)"
        )
        relation = Relation("staged", ("id",))
        assert orphans.set_apart(session, GROUPS, relation) == 0
        assert merge.load(session, GROUPS, relation) == Merged(1, 1, 0)
    assert users.rows(GROUPS)[5] == {"user": None}


def test_a_row_that_lacks_a_value_of_a_column_that_is_mandatory_now_stays_a_reject(users: Shop) -> None:
    """The release that stored it had the column as an optional one."""
    with users.database.session() as session:
        waiting(session, [{"id": 1, "user": 9}, {"id": 2, "user": 9}, {"id": 3, "user": 9}])
        session.run("""UPDATE orphans SET "row" = '{"id": 1, "user": 9, "select": null}' WHERE id = 1""")
        session.run("""UPDATE orphans SET "row" = '{"id": 2}' WHERE id = 2""")
        insert(session, USERS, {"id": 9, "name": "late"})
        assert orphans.heal(session, ORDERS, GRACE) == 1
        assert list(stored(session)) == [1, 2]
    assert list(users.rows(ORDERS)) == [3]


# ---- concurrent deletes


def test_a_load_locks_the_parents_of_all_its_references(users: Shop, database_url: str) -> None:
    users.insert(GROUPS, {"id": 7})
    users.insert(USERS, {"id": 4, "name": "unused"})
    with closing(Database(database_url, tls="disable")) as other:
        with users.database.session() as session, session.transaction(), other.session() as deleter:
            relation = staged(session, [{"id": 1, "user": 2, "from": 3, "group": 7}, {"id": 2, "user": 2}])
            assert orphans.set_apart(session, ORDERS, relation) == 0
            for table, row_id in (("user", 2), ("user", 3), ("group", 7)):
                with pytest.raises(LockTimeout), deleter.transaction():
                    deleter.run(f'SET LOCAL lock_timeout = "100ms"; DELETE FROM "{table}" WHERE id = {row_id}')
            assert deleter.affected('DELETE FROM "user" WHERE id = 4') == 1
            merge.lock_table(session, ORDERS, timeout=5)
            assert merge.load(session, ORDERS, relation) == Merged(2, 2, 0)
        with other.session() as deleter, pytest.raises(DatabaseError, match="order_from_fkey"):
            deleter.run('DELETE FROM "user" WHERE id = 3')


DANGLING = (
    'SELECT count(*) FROM "order" o WHERE NOT EXISTS (SELECT FROM "user" u WHERE u.id = o."user")'
    ' OR o."from" IS NOT NULL AND NOT EXISTS (SELECT FROM "user" u WHERE u.id = o."from")'
    ' OR o."group" IS NOT NULL AND NOT EXISTS (SELECT FROM "group" g WHERE g.id = o."group")'
)


class Deleter(threading.Thread):
    """Deletes parents and inserts them again, until the event `over` is set."""

    def __init__(self, url: str, over: threading.Event) -> None:
        super().__init__()
        self._url, self._over, self._random = url, over, Random("parents")
        self.deleted = 0
        self.failures: list[BaseException] = []

    def run(self) -> None:
        try:
            with closing(Database(self._url, tls="disable")) as database:
                while not self._over.is_set():
                    with database.session() as session:
                        self._write(session)
        except BaseException as failure:
            self.failures.append(failure)

    def _write(self, session: Session) -> None:
        table, row_id = self._random.choice(("user", "group")), self._random.randint(1, 8)
        values = {"user": f"({row_id}, 'back')", "group": f"({row_id}, NULL)"}[table]
        try:
            if self._random.random() < 0.5:
                self.deleted += session.affected(f'DELETE FROM "{table}" WHERE id = {row_id}')
            else:
                session.run(f'INSERT INTO "{table}" VALUES {values} ON CONFLICT DO NOTHING')
        except Conflict:
            pass
        except DatabaseError as error:
            if sqlstate(error) != "23503":  # the parent has children
                raise


def test_no_row_refers_to_a_parent_that_was_deleted_meanwhile(users: Shop, s3: S3, database_url: str) -> None:
    """Loads, healing and requests write rows while another transaction deletes their parents. They run without row
    triggers, so only their locks protect the parents."""
    over, random = threading.Event(), Random("rows")
    deleter = Deleter(database_url, over)

    def rows(first: int) -> list[Row]:
        return [
            {
                "id": first + at,
                "user": random.randint(1, 8),
                **({"from": random.choice([None, *range(1, 9)])} if random.random() < 0.7 else {}),
                **({"group": random.choice([None, *range(1, 9)])} if random.random() < 0.7 else {}),
            }
            for at in range(6)
        ]

    deleter.start()
    rejected = waited = healed = 0
    try:
        for _ in range(40):
            sent = SentRows(ORDERS, rows(random.randint(1, 40)), "api")
            rejected += upload(users.database, s3.storage, sent, grace=GRACE).counts.rejected
            with users.database.session() as session:
                waited += waiting(session, rows(random.randint(1, 40)))
                healed += orphans.heal(session, ORDERS, GRACE)
                session.run('DELETE FROM "order" WHERE id % 3 = 0')
    finally:
        over.set()
        deleter.join()
    assert deleter.failures == []
    assert min(rejected, waited, healed, deleter.deleted) > 0
    with users.database.session() as session:
        assert session.scalar(DANGLING) == 0
