"""Tests that files, requests, backups and restores of any dataset do what the contract says. A simple model says what
the tables have to contain."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from tests import files
from tests.integration.backups.test_restore_load import back_up, restore
from tests.integration.http_api import Api
from tests.integration.landing import GRACE, Landing, counts
from tests.model import Model, Said
from tests.rows import example, insert
from tests.tables import TABLES
from tests.values import meaning

COUNTS = ("received", "inserted", "updated", "unchanged", "superseded")
WAYS = ("csv", "csv", "csv", "xlsx", "avro", "api", "api", "back up", "restore")


@dataclass
class Product:
    """The running product and the model, which get the same rows."""

    api: Api
    landing: Landing
    model: Model

    def begin(self) -> None:
        """Empty all tables, and store the rows 1 and 2 of every dataset."""
        with self.landing.database.session() as session:
            session.run(f"TRUNCATE {TABLES}, loads, orphans RESTART IDENTITY CASCADE")
            for dataset in DATASETS.values():
                known = [example(dataset, row_id, row_id) for row_id in files.KNOWN]
                insert(session, dataset, known)
                self.model.load(dataset, [_said(dataset, row) for row in known])

    def load(self, dataset: Dataset, way: str, data: st.DataObject) -> None:
        if way == "api":
            body, said = data.draw(files.batch(dataset), f"batch of {dataset.name}")
            self._sent(dataset, body, said)
            return
        if way == "csv":
            body, said, dialect = data.draw(files.csv_file(dataset), f"file of {dataset.name}")
            load = self.landing.upload(f"{dataset.name}.csv", body, grace=GRACE, **dialect.declarations.given())
        else:
            make = {"xlsx": files.xlsx_file, "avro": files.avro_file}[way]
            body, said = data.draw(make(dataset), f"{way} file of {dataset.name}")
            load = self.landing.upload(f"{dataset.name}.{way}", body)
        expected = self.model.load(dataset, said)
        if load["status"] == "failed":  # no row was accepted, and none waits
            assert load["error"].startswith("no row could be loaded"), load["error"]
            assert (load["received"], load["rejected"]) == (len(said), len(said)) == (expected.rejected,) * 2
        else:
            why = load["error"] or [reject["reasons"] for reject in self.landing.rejects(load)]
            assert (load["status"], counts(load)) == ("succeeded", expected.all), why

    def _sent(self, dataset: Dataset, body: bytes, said: list[Said]) -> None:
        response = self.api.send("POST", f"/{dataset.route}/upload/batch", body, {"Content-Type": "application/json"})
        expected = self.model.load(dataset, said, may_wait=False)
        assert response.status == (422 if expected.rejected == expected.received else 200), response.body
        found = (*(response.body[name] for name in COUNTS), len(response.body["rejected"]))
        assert found == expected.all

    def restore(self, dataset: Dataset, point: str, stored: list[Said]) -> None:
        load = restore(self.landing, dataset.name, point)
        assert (load["status"], counts(load)) == ("succeeded", self.model.load(dataset, stored).all), load["error"]

    def check(self) -> None:
        """Raise AssertionError if a table differs from the model."""
        for dataset in DATASETS.values():
            found = self.landing.rows(f"SELECT * FROM {dataset.table} ORDER BY id")
            assert found == self.model.rows(dataset), dataset.name
        waiting = self.landing.rows("SELECT dataset, id FROM orphans ORDER BY 1, 2")
        assert waiting == sorted(self.model.waiting)


def _said(dataset: Dataset, row: dict[str, Any]) -> Said:
    return {column.name: meaning(column, str(row[column.name])) for column in dataset.columns}


@pytest.fixture
def product(api: Api, landing: Landing) -> Product:
    return Product(api, landing, Model(DATASETS))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_files_requests_and_restores_store_what_the_contract_says(product: Product, data: st.DataObject) -> None:
    product.model = Model(DATASETS)
    product.begin()
    point, stored = "", dict[str, list[Said]]()
    for _ in range(data.draw(st.integers(1, 6), "steps")):
        way, dataset = data.draw(st.sampled_from(WAYS), "way"), DATASETS[data.draw(st.sampled_from(list(DATASETS)))]
        if way == "back up":
            point = back_up(product.landing)
            stored = {name: list(table.values()) for name, table in product.model.tables.items()}
        elif way != "restore":
            product.load(dataset, way, data)
        elif point:
            product.restore(dataset, point, stored[dataset.name])
        product.check()
