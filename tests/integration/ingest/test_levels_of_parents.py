"""Tests rows that arrive before their parents, on every level of the declared datasets."""

import csv
import io

import pytest

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from tests.integration.landing import Landing
from tests.rows import Row, ancestors, example

CHILDREN = [dataset for dataset in DATASETS.values() if dataset.references]


def file(dataset: Dataset, row: Row) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, dataset.column_names)
    writer.writeheader()
    writer.writerow(row)
    return text.getvalue()


def ids(landing: Landing, dataset: Dataset) -> list[int]:
    return [row_id for (row_id,) in landing.rows(f"SELECT id FROM {dataset.table} ORDER BY id")]


@pytest.mark.parametrize("dataset", CHILDREN, ids=lambda d: d.name)
def test_a_row_is_loaded_as_soon_as_the_last_of_its_ancestors_arrives(landing: Landing, dataset: Dataset) -> None:
    """The files arrive in the order that is worst: children before their parents. The last file brings everything."""
    *later, first = ancestors(dataset)[::-1]
    for child in (dataset, *later):
        load = landing.upload(f"{child.name}.csv", file(child, example(child, 1)))
        assert load["waiting"] == load["rejected"] == len(child.references[:1])
        assert ids(landing, dataset) == []
    landing.upload(f"{first.name}.csv", file(first, example(first, 1)))
    for loaded in (dataset, *later, first):
        assert ids(landing, loaded) == [1], loaded.name
    assert landing.scalar("SELECT count(*) FROM orphans") == 0
    assert landing.scalar("SELECT count(*) FROM loads WHERE rejected > resolved") == 0


@pytest.mark.parametrize("dataset", CHILDREN, ids=lambda d: d.name)
def test_a_row_waits_for_each_parent_that_it_names(landing: Landing, dataset: Dataset) -> None:
    """For each reference alone, its parent is missing. If the reference is optional, NULL needs no parent."""
    for parent in ancestors(dataset):
        landing.upload(f"{parent.name}.csv", file(parent, example(parent, 1)))
    for at, (column, _) in enumerate(dataset.references, 10):
        load = landing.upload(f"{dataset.name}.csv", file(dataset, {**example(dataset, at), column.name: 99}))
        assert [reject["reasons"] for reject in landing.rejects(load)] == [[f"{column.name} 99 does not exist"]]
        assert load["waiting"] == 1
        if column.optional:
            load = landing.upload(f"{dataset.name}.csv", file(dataset, {**example(dataset, at), column.name: ""}))
            assert (load["inserted"], load["rejected"]) == (1, 0)
            assert landing.scalar(f"SELECT {column.quoted} FROM {dataset.table} WHERE id = {at}") is None
