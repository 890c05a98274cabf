"""Tests with the deployed stage that every declared dataset can do the same: files, requests, backups, restores, the
dashboard and the command line."""

import os
import subprocess
import urllib.request
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from infra.venv import ROOT
from tests.e2e.cloud import PATIENCE, Cloud, counts
from tests.rows import example, file
from tests.tables import TABLES

SENT = 3  # rows of each dataset: two in a file, and one in a request


def shortest(dataset: Dataset) -> dict[str, Any]:
    """Return a row that leaves out every column that it may leave out."""
    row = example(dataset, SENT)
    return {column.name: row[column.name] for column in dataset.columns if not column.may_be_absent}


def tables(cloud: Cloud) -> dict[str, list[tuple[Any, ...]]]:
    return {name: cloud.table(name) for name in DATASETS}


def load_all(cloud: Cloud) -> None:
    """Send rows to every dataset, parents before their children."""
    for dataset in DATASETS.values():
        assert counts(cloud.upload(f"{dataset.name}.csv", file(example(dataset, 1), example(dataset, 2)))) == (
            2,
            2,
            0,
            0,
            0,
            0,
        )
        assert cloud.post(f"/{dataset.route}/upload", shortest(dataset)).status == 201


def test_rows_of_every_dataset_are_restored_from_a_backup_that_verifies(cloud: Cloud) -> None:
    load_all(cloud)
    before, point = tables(cloud), cloud.backup()
    report = cloud.commands.invoke_scheduled("verify", {"restore_point": point})
    assert report["faults"] == []
    assert {name: len(rows) for name, rows in before.items()} == dict.fromkeys(DATASETS, SENT)
    cloud.sql(f"TRUNCATE {TABLES} CASCADE")
    for dataset in DATASETS.values():
        assert counts(cloud.restore(dataset.route, point)) == (SENT, SENT, 0, 0, 0, 0)
    assert tables(cloud) == before


def test_the_dashboard_and_the_command_line_show_every_dataset(cloud: Cloud) -> None:
    load_all(cloud)
    with urllib.request.urlopen(f"{cloud.env['API_URL']}/dashboard/loads", timeout=PATIENCE) as response:
        page = response.read().decode()
    stage = {"HIREFLOW_STATE_DIR": str(cloud.commands.state.folder), "STAGE": cloud.commands.stage}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("API_", "AWS_"))}
    for name in DATASETS:
        assert f"{name}.csv" in page
        listed = subprocess.run(
            [ROOT / "hireflow", "loads", "--dataset", name],
            env={**kept, **stage},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        assert f"{name}.csv" in listed.stdout
