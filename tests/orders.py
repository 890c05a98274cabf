"""Datasets that are not those of Hireflow, as three releases declare them one after another. They have every kind of
column, columns that rows may leave out, optional references, and names that are words of SQL."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.kinds.table import Kind
from chalicelib.core.value_limits import MAX_ID, MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER

_ID = Column("id", Kind.ID)
_USER = (_ID, Column("name", Kind.TEXT))
_ORDER = (_ID, Column("user", Kind.ID, parent="user"), Column("price", Kind.decimal(12, 2)))
_ADDED = (
    Column("from", Kind.ID, parent="user", optional=True),
    Column("note", Kind.TEXT, optional=True),
    Column("at", Kind.INSTANT, optional=True),
    Column("day", Kind.DATE, optional=True),
    Column("count", Kind.WHOLE_NUMBER, optional=True),
    Column("paid", Kind.BOOLEAN, optional=True),
    Column("weight", Kind.decimal(38, 6), optional=True),
    Column("fee", Kind.decimal(9, 3), optional=True, default="0.5"),
    Column("since", Kind.DATE, default="2021-07-27"),
    Column("rate", Kind.decimal(5, 2), default="1.25"),
)
OLD = checked((Dataset("user", "one_user", _USER), Dataset("order", "one_order", _ORDER)))
CURRENT = checked((Dataset("user", "one_user", _USER), Dataset("order", "one_order", (*_ORDER, *_ADDED))))
NEWER = checked(
    (
        *CURRENT.values(),
        Dataset("select", "one_select", (_ID, Column("order", Kind.ID, parent="order", optional=True))),
    )
)
ORDERS = CURRENT["order"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stored_values(kind: Kind) -> st.SearchStrategy[Any]:
    """Draw valid values in the stored form of a kind."""
    if kind is Kind.ID:
        return st.integers(1, MAX_ID)
    if kind is Kind.TEXT:
        return st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Z"]), min_size=1, max_size=9).filter(
            lambda text: not text.startswith("#") and text.strip() == text
        )
    if kind is Kind.INSTANT:
        return st.datetimes(timezones=st.just(UTC)).map(lambda at: (at - EPOCH) // timedelta(microseconds=1))
    if kind is Kind.DATE:
        return st.dates().map(lambda day: (day - date(1970, 1, 1)).days)
    if kind is Kind.WHOLE_NUMBER:
        return st.integers(MIN_WHOLE_NUMBER, MAX_WHOLE_NUMBER)
    if kind is Kind.BOOLEAN:
        return st.booleans()
    most = 10 ** kind.avro["precision"] - 1
    return st.integers(-most, most) | st.sampled_from([0, 1, -1, most, -most])


def written(kind: Kind, stored: Any) -> Any:
    """Convert a value from the stored form to the written form."""
    if stored is None or kind.avro_plain != "bytes":
        return stored
    return stored.to_bytes(8 if kind.avro["precision"] <= 18 else 16, "big", signed=True)


def rows(dataset: Dataset, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Draw rows with different ids, in the stored form. `fixed` has strategies for some columns."""
    values = [fixed.get(c.name, stored_values(c.kind)) for c in dataset.values]
    row = st.tuples(*(v | st.none() if c.optional else v for c, v in zip(dataset.values, values, strict=True)))
    several = st.dictionaries(st.integers(1, MAX_ID), row, min_size=1, max_size=30)
    return several.map(lambda found: [(row_id, *rest) for row_id, rest in found.items()])


def in_columns(dataset: Dataset, found: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Return rows as columns in the written form."""
    columns = zip(dataset.columns, zip(*found, strict=True), strict=True)
    return [[written(column.kind, value) for value in values] for column, values in columns]


def creation(datasets: Mapping[str, Dataset]) -> str:
    """Return the statements that create the tables."""
    return "; ".join(
        f"CREATE TABLE {dataset.table} ({', '.join(map(_definition, dataset.columns))})"
        for dataset in datasets.values()
    )


def _definition(column: Column) -> str:
    parts = [column.quoted, column.kind.sql, "" if column.optional else "NOT NULL"]
    if column.name == "id":
        parts.append("PRIMARY KEY")
    if column.default is not None:
        parts.append(f"DEFAULT '{column.default}'")
    if column.parent is not None:
        parts.append(f'REFERENCES "{column.parent}"')
    return " ".join(parts)
