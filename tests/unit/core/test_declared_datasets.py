"""Tests which declarations of datasets are refused, and what the errors say."""

from collections.abc import Callable
from datetime import date
from typing import cast

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


HOMES = dataset(ID, Column("home", Kind.ID, parent="places", optional=True))
REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("'Email' is not a name of a column: use at most 40 lower-case letters", lambda: Column("Email", Kind.TEXT)),
    ("'_id' is not a name of a column", lambda: Column("_id", Kind.TEXT)),
    ("'xmin' cannot be the name of a column, because Postgres", lambda: Column("xmin", Kind.TEXT)),
    ("home refers to places: its kind must be Kind.ID", lambda: Column("home", Kind.TEXT, parent="places")),
    ("home refers to places and has a default", lambda: Column("home", Kind.ID, parent="places", default=1)),
    ("the default 'x' of size is not a whole number from 1", lambda: Column("size", Kind.ID, default="x")),
    ("the default of note is empty: leave it out", lambda: Column("note", Kind.TEXT, default=" ")),
    ("the kind of note is not a kind: write, for example, Kind.TEXT", lambda: Column("note", cast("Kind", "TEXT"))),
    ("the kind of rent is not a kind", lambda: Column("rent", cast("Kind", Kind.decimal))),
    (
        "the aliases of note must be a tuple: write ('memo',) with a comma",
        lambda: Column("note", Kind.TEXT, aliases=cast("tuple[str, ...]", "memo")),
    ),
    (
        "the default of since must be a text, a number or a boolean: write it as in a request, and a date as a text",
        lambda: Column("since", Kind.DATE, default=cast("str", date(2026, 1, 5))),
    ),
    ("'9items' is not a name of a dataset", lambda: dataset(ID, NAME, name="9items")),
    ("'pg_class' cannot be the name of a dataset, because Postgres", lambda: dataset(ID, NAME, name="pg_class")),
    ('the first column of items must be Column("id", Kind.ID)', lambda: dataset(NAME)),
    ('the first column of items must be Column("id", Kind.ID)', lambda: dataset(Column("id", Kind.TEXT), NAME)),
    ("items needs a column besides its id", lambda: dataset(ID)),
    (
        "items declares more than 200 columns",
        lambda: dataset(ID, *(Column(f"c{at}", Kind.TEXT) for at in range(200))),
    ),
    ("items declares the column name twice", lambda: dataset(ID, NAME, NAME)),
    (
        "items: name is mandatory and has no default, so it must stand before note, which a row may leave out. If name"
        " is new in the table, leave it at the end, and declare it with optional=True or with a default",
        lambda: dataset(ID, NOTE, NAME),
    ),
    ("items: home refers to items itself", lambda: dataset(ID, Column("home", Kind.ID, parent="items"))),
    ("two datasets have the name item", lambda: checked([dataset(ID, NAME), dataset(ID, NAME, name="things")])),
    (
        "items: home refers to places: declare places above items",
        lambda: checked([HOMES, dataset(ID, NAME, name="places", route="place")]),
    ),
    (
        "items: home refers to 'places', which is not a dataset: the parent must be one of rooms",
        lambda: checked([dataset(ID, NAME, name="rooms", route="room"), HOMES]),
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
    with pytest.raises(InvalidDeclaration, match=f"'{name}' cannot be .* because Hireflow has a route"):
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
