"""Datasets that are not those of Hireflow, with their tables: columns that may be left out, references of every shape,
and names that are words of SQL or names in our own statements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.cloud.database import Database, Session
from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.kinds.table import Kind
from chalicelib.ingest.relation import Relation, flag
from tests.tables import creation

Row = dict[str, Any]
_ID = Column("id", Kind.ID)
USERS = Dataset("user", "user_row", (_ID, Column("name", Kind.TEXT), Column("row", Kind.TEXT, optional=True)))
GROUPS = Dataset("group", "group_row", (_ID, Column("user", Kind.ID, parent="user", optional=True)))
ORDERS = Dataset(
    "order",
    "order_row",
    (
        _ID,
        Column("user", Kind.ID, parent="user"),
        Column("select", Kind.TEXT, default='it\'s :new {row} \\ "x"'),
        Column("default", Kind.TEXT, optional=True, default="none given"),
        Column("place", Kind.TEXT, optional=True),
        Column("load_id", Kind.INSTANT, optional=True),
        Column("from", Kind.ID, parent="user", optional=True),
        Column("group", Kind.ID, parent="group", optional=True),
    ),
)
NOTES = Dataset("w", "note", (_ID, Column("t", Kind.TEXT, optional=True)))
# The columns of this dataset have the names of columns and tables in the statements of orphans.
ROWS = Dataset(
    "missing",
    "orphan",
    (
        _ID,
        Column("row", Kind.ID, parent="user"),
        Column("r", Kind.TEXT),
        Column("m", Kind.TEXT, default="m"),
        Column("o", Kind.TEXT, optional=True),
    ),
)
NEW: Row = {column.name: column.default for column in ORDERS.values}  # what an order gets that leaves all columns out
SHOP = checked((USERS, GROUPS, ORDERS, NOTES, ROWS))


@dataclass(frozen=True)
class Shop:
    """The database that has the tables."""

    database: Database

    def insert(self, dataset: Dataset, *rows: Mapping[str, Any]) -> None:
        with self.database.session() as session:
            insert(session, dataset, *rows)

    def rows(self, dataset: Dataset) -> dict[int, dict[str, Any]]:
        """Return the rows in the table by id, without their ids."""
        with self.database.session() as session:
            found = session.records(f"SELECT * FROM {dataset.table} ORDER BY id")
        return {row.pop("id"): row for row in found}


def insert(session: Session, dataset: Dataset, *rows: Mapping[str, Any]) -> None:
    for row in rows:
        names, values = ", ".join(f'"{name}"' for name in row), ", ".join(f":p{at}" for at in range(len(row)))
        params = {f"p{at}": value for at, value in enumerate(row.values())}
        session.run(f"INSERT INTO {dataset.table} ({names}) VALUES ({values})", **params)


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    with database.session() as session:
        session.run(creation(SHOP.values()))
        for dataset in SHOP.values():
            session.run("INSERT INTO dataset_state VALUES (:name, 1, 0)", name=dataset.name)
    yield Shop(database)
    with database.session() as session:
        session.run(f"DROP TABLE {', '.join(dataset.table for dataset in SHOP.values())}")
        session.run("DELETE FROM dataset_state WHERE dataset = ANY(:names)", names=list(SHOP))


@pytest.fixture
def users(shop: Shop) -> Shop:
    shop.insert(USERS, *({"id": i, "name": f"user {i}"} for i in (1, 2, 3)))
    shop.insert(GROUPS, {"id": 1, "user": 1}, {"id": 2, "user": None})
    return shop


def staged(session: Session, rows: Sequence[Row], dataset: Dataset = ORDERS) -> Relation:
    """Stage the rows in a temporary table with a flag for every column that a row may leave out."""
    flagged = [column.name for column in dataset.columns if column.may_be_absent]
    columns = ", ".join(f"{c.quoted} {c.kind.sql}" for c in dataset.columns)
    flags = ", ".join(f"{flag(name)} boolean" for name in flagged)
    session.run("DROP TABLE IF EXISTS staged")
    session.run(f"CREATE TEMP TABLE staged (seq integer GENERATED ALWAYS AS IDENTITY, {columns}, {flags})")
    names = ", ".join((*(f'"{name}"' for name in dataset.column_names), *map(flag, flagged)))
    for row in rows:
        values = [row.get(name) for name in dataset.column_names] + [name not in row for name in flagged]
        params = {f"p{at}": value for at, value in enumerate(values)}
        session.run(f"INSERT INTO staged ({names}) VALUES ({', '.join(f':{name}' for name in params)})", **params)
    return Relation.flagged("staged", dataset.column_names, flagged)
