"""Tests that a new dataset can do everything that the other datasets can do.

The environment variable DATASET names the dataset. Without it, the dataset is `vacancies`, the example of
CONTRIBUTING.md.
"""

import os
from datetime import timedelta

import pytest

from chalicelib.backups.run import run_backup
from chalicelib.core.datasets import DATASETS
from cli import datasets as command_line
from tests.integration.backups.test_restore_load import restore
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts, fill_parents
from tests.openapi import described
from tests.rows import example, file

MONTH = timedelta(days=30)
NAME = os.environ.get("DATASET", "vacancies")
DATASET = DATASETS[NAME]
MISSING = 7  # no parent has this id
with_parents = pytest.mark.skipif(not DATASET.references, reason=f"the rows of {NAME} refer to no other dataset")


def test_a_file_is_loaded_and_its_bad_row_rejected(api: Api, landing: Landing) -> None:
    fill_parents(landing, DATASET)
    first = DATASET.values[0].name
    load = landing.upload(
        f"{NAME}_2026.csv", file(example(DATASET, 1), {**example(DATASET, 2), first: ""}, example(DATASET, 3))
    )
    assert (load["dataset"], load["status"], counts(load)) == (NAME, "succeeded", (3, 2, 0, 0, 0, 1))
    assert [reject["reasons"] for reject in landing.rejects(load)] == [[f"{first} is missing"]]
    assert api.get(f"/loads?dataset={NAME}").body["loads"][0]["id"] == load["id"]


@with_parents
def test_a_row_waits_for_its_parents(api: Api, landing: Landing) -> None:
    landing.upload(f"{NAME}.csv", file(example(DATASET, 1, MISSING)))
    assert landing.rows(f"SELECT id FROM {DATASET.table}") == []
    fill_parents(landing, DATASET, MISSING)
    assert landing.rows(f"SELECT id FROM {DATASET.table}") == [(1,)]


def test_rows_can_be_sent_to_the_api(api: Api, landing: Landing) -> None:
    fill_parents(landing, DATASET)
    sent = {name: value for name, value in example(DATASET, 1).items() if name != "id"}
    assert api.post(f"/{DATASET.route}/upload", sent).status == 201
    bad = {**sent, DATASET.values[0].name: None}
    batch = api.post(f"/{DATASET.route}/upload/batch", {"data": [sent, bad]}).body
    assert (batch["inserted"], len(batch["rejected"])) == (1, 1)


@with_parents
def test_the_api_rejects_a_row_whose_parent_does_not_exist(api: Api, landing: Landing) -> None:
    fill_parents(landing, DATASET)
    column = DATASET.references[0][0].name
    orphan = {**example(DATASET, 1), column: MISSING}
    batch = api.post(f"/{DATASET.route}/upload/batch", {"data": [orphan]}).body
    assert [reject["reasons"] for reject in batch["rejected"]] == [[f"{column} {MISSING} does not exist"]]


def test_the_openapi_document_describes_the_dataset() -> None:
    paths = described().document["paths"]
    assert {f"/{DATASET.route}/upload", f"/{DATASET.route}/upload/batch", f"/{NAME}/backup/restore"} <= paths.keys()
    schemas = described().document["components"]["schemas"].values()
    assert list(DATASET.column_names) in [list(schema.get("properties", ())) for schema in schemas]


def test_a_backup_holds_the_rows_and_a_restore_brings_them_back(api: Api, landing: Landing) -> None:
    fill_parents(landing, DATASET)
    landing.upload(f"{NAME}.csv", file(example(DATASET, 1), example(DATASET, 2)))
    before = landing.rows(f"SELECT * FROM {DATASET.table} ORDER BY id")
    run = run_backup(landing.database, landing.s3.storage, retention=MONTH)
    assert run.tables[NAME].rows == 2
    with landing.database.session() as session:
        session.run(f"DELETE FROM {DATASET.table}")
    assert counts(restore(landing, NAME)) == (2, 2, 0, 0, 0, 0)
    assert landing.rows(f"SELECT * FROM {DATASET.table} ORDER BY id") == before
    assert api.post(f"/{NAME}/backup/restore").status == 202


def test_the_command_line_knows_the_dataset() -> None:
    known = command_line.by_route(DATASET.route)
    assert known is command_line.by_file_name(f"{NAME}_2026.csv") is command_line.DATASETS[NAME]
    assert list(command_line.DATASETS) == list(DATASETS)
