"""Datasets that are not those of Hireflow, as three releases declare them one after another. They have every kind of
column, columns that rows may leave out, optional references, and names that are words of SQL."""

from typing import Any

from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.kinds.table import Kind
from tests import values
from tests.kinds import outcome

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


def stored_values(kind: Kind) -> st.SearchStrategy[Any]:
    """Generate valid values in the stored form of a kind."""
    checked = values.stored(kind).map(lambda value: outcome(kind.check, value)[1])
    return checked.filter(lambda value: value is not None).map(kind.stored)


def written(kind: Kind, stored: Any) -> Any:
    """Convert a value from the stored form to the written form."""
    if stored is None or kind.avro_plain != "bytes":
        return stored
    return stored.to_bytes(8 if kind.avro["precision"] <= 18 else 16, "big", signed=True)


def rows(dataset: Dataset, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Generate rows with different ids, in the stored form. `fixed` has strategies for some columns."""
    found = [fixed.get(c.name, stored_values(c.kind)) for c in dataset.values]
    row = st.tuples(*(v | st.none() if c.optional else v for c, v in zip(dataset.values, found, strict=True)))
    several = st.dictionaries(values.IDS, row, min_size=1, max_size=30)
    return several.map(lambda found: [(row_id, *rest) for row_id, rest in found.items()])


def in_columns(dataset: Dataset, found: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Return rows as columns in the written form."""
    columns = zip(dataset.columns, zip(*found, strict=True), strict=True)
    return [[written(column.kind, value) for value in values] for column, values in columns]
