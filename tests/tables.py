"""Names the tables of all datasets in SQL, and creates tables of datasets that are not declared."""

from collections.abc import Iterable

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.datasets import DATASETS

TABLES = ", ".join(dataset.table for dataset in DATASETS.values())


def creation(datasets: Iterable[Dataset]) -> str:
    """Return the statements that create the tables of these datasets."""
    return "; ".join(
        f"CREATE TABLE {dataset.table} ({', '.join(map(_definition, dataset.columns))})" for dataset in datasets
    )


def _definition(column: Column) -> str:
    parts = [column.quoted, column.kind.sql, "" if column.optional else "NOT NULL"]
    if column.name == "id":
        parts.append("PRIMARY KEY")
    if column.default is not None:
        parts.append(f"DEFAULT {column.default_sql}")
    if column.parent is not None:
        parts.append(f'REFERENCES "{column.parent}"')
    return " ".join(parts)
