"""Tests which declarations of datasets are refused, and what the errors say."""

from collections.abc import Callable

import pytest

from app import app
from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import InvalidDeclaration

ID = Column("id", Kind.ID)
NAME = Column("name", Kind.TEXT)
NOTE = Column("note", Kind.TEXT, optional=True)
ROUTES = {path.split("/")[1] for path in app.routes} - {n for d in DATASETS.values() for n in (d.name, d.route)}


def dataset(*columns: Column, name: str = "items", route: str = "item") -> Dataset:
    return Dataset(name, route, columns)


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("'Email' is not a name of a column: use at most 40 lower-case letters", lambda: Column("Email", Kind.TEXT)),
    ("'_id' is not a name of a column", lambda: Column("_id", Kind.TEXT)),
    ("'xmin' cannot be the name of a column", lambda: Column("xmin", Kind.TEXT)),
    ("home refers to places: its kind must be Kind.ID", lambda: Column("home", Kind.TEXT, parent="places")),
    ("home refers to places and has a default", lambda: Column("home", Kind.ID, parent="places", default=1)),
    ("the default 'x' of size is not a whole number from 1", lambda: Column("size", Kind.ID, default="x")),
    ("the default of note is empty: leave it out", lambda: Column("note", Kind.TEXT, default=" ")),
    ("'9items' is not a name of a dataset", lambda: dataset(ID, NAME, name="9items")),
    ("'pg_class' cannot be the name of a dataset", lambda: dataset(ID, NAME, name="pg_class")),
    ('the first column of items must be Column("id", Kind.ID)', lambda: dataset(NAME)),
    ('the first column of items must be Column("id", Kind.ID)', lambda: dataset(Column("id", Kind.TEXT), NAME)),
    ("items needs a column besides its id", lambda: dataset(ID)),
    ("items declares the column name twice", lambda: dataset(ID, NAME, NAME)),
    (
        "items: name must stand before note, because a row may leave out note; or give name a default",
        lambda: dataset(ID, NOTE, NAME),
    ),
    ("items: home refers to items itself", lambda: dataset(ID, Column("home", Kind.ID, parent="items"))),
    ("two datasets have the name item", lambda: checked([dataset(ID, NAME), dataset(ID, NAME, name="things")])),
    (
        "items: home refers to places: declare places above items",
        lambda: checked([dataset(ID, Column("home", Kind.ID, parent="places", optional=True))]),
    ),
]


@pytest.mark.parametrize(("error", "declare"), REFUSED, ids=[error[:50] for error, _ in REFUSED])
def test_a_declaration_that_cannot_work_is_refused_with_what_to_change(
    error: str, declare: Callable[[], object]
) -> None:
    with pytest.raises(InvalidDeclaration) as refusal:
        declare()
    assert error in str(refusal.value)


@pytest.mark.parametrize("name", sorted(name for name in ROUTES if name.isidentifier()))
def test_a_dataset_cannot_take_a_route_of_hireflow(name: str) -> None:
    with pytest.raises(InvalidDeclaration, match=f"'{name}' cannot be the name of a dataset"):
        dataset(ID, NAME, route=name)


@pytest.mark.parametrize(
    ("default", "text", "sql"),
    [
        (Column("c", Kind.TEXT), None, "NULL"),
        (Column("c", Kind.TEXT, default=" it's "), "it's", "'it''s'"),
        (Column("c", Kind.BOOLEAN, default="Yes"), "true", "'true'"),
        (Column("c", Kind.decimal(5, 2), default="+01.5"), "1.5", "'1.5'"),
        (Column("c", Kind.WHOLE_NUMBER, default=0), "0", "'0'"),
    ],
)
def test_a_default_is_shown_in_the_checked_form(default: Column, text: str | None, sql: str) -> None:
    assert (default.default_text, default.default_sql) == (text, sql)
