"""Makes rows and files of any dataset from the examples of its columns."""

from collections.abc import Iterator
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from tests.integration.landing import Landing


def row(dataset: Dataset, number: int, parent: int = 1) -> dict[str, Any]:
    """Return a row with this id, which refers to the parents with the id `parent`."""
    values = {c.name: parent if c.parent else c.example for c in dataset.values}
    return {"id": number, **values}


def file(*rows: dict[str, Any]) -> str:
    """Return a CSV file without a header."""
    return "".join(",".join(str(value) for value in each.values()) + "\n" for each in rows)


def fill_parents(landing: Landing, dataset: Dataset, number: int = 1) -> None:
    """Load a row with the id `number` of every dataset that the dataset refers to."""
    for parent in dict.fromkeys(_ancestors(dataset)):
        landing.upload(f"{parent.name}.csv", file(row(parent, number, number)))


def _ancestors(dataset: Dataset) -> Iterator[Dataset]:
    """Yield all datasets that the rows refer to, parents before their children."""
    for _, name in dataset.references:
        yield from _ancestors(DATASETS[name])
        yield DATASETS[name]
