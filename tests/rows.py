"""Makes rows and files of any dataset from the examples of its columns, and inserts rows with SQL."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS

Row = dict[str, Any]


def example(dataset: Dataset, row_id: int, parent: int = 1) -> Row:
    """Return a row with a value in every column. It refers to the parents with the id `parent`."""
    return {"id": row_id, **{c.name: parent if c.parent else c.example for c in dataset.values}}


def file(*rows: Mapping[str, Any]) -> str:
    """Return a CSV file without a header."""
    return "".join(",".join(map(str, row.values())) + "\n" for row in rows)


def ancestors(dataset: Dataset) -> list[Dataset]:
    """Return all datasets that the rows refer to, parents before their children."""

    def found(of: Dataset) -> Iterator[Dataset]:
        for _, name in of.references:
            yield from found(DATASETS[name])
            yield DATASETS[name]

    return list(dict.fromkeys(found(dataset)))


def insert(session: Session, dataset: Dataset, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows with SQL, so that the rules of loads do not change or reject them. Postgres makes the values of the
    columns from JSON."""
    columns = ", ".join(f"{column.quoted} {column.kind.sql}" for column in dataset.columns)
    session.run(  # JSON, because the driver would send the text NULL in an array as a null
        f"INSERT INTO {dataset.table} SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r ({columns})",
        rows=json.dumps(list(rows)),
    )


def insert_parents(session: Session, dataset: Dataset, ids: Iterable[int] = (1,)) -> None:
    """Insert rows with these ids into all datasets that the rows of `dataset` refer to."""
    for parent in ancestors(dataset):
        insert(session, parent, [example(parent, row_id, row_id) for row_id in ids])
