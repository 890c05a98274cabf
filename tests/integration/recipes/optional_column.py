"""Tests that an optional column is loaded, and that files and requests that do not know it change nothing in it.

The environment variable COLUMN names the column. Without it, the column is `hired_employees.email`, the example of
CONTRIBUTING.md.
"""

import os
from datetime import timedelta

import pytest

from chalicelib.backups.run import run_backup
from chalicelib.core.datasets import DATASETS
from tests.integration.backups.test_restore_load import restore
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts, fill_parents
from tests.rows import example, file

MONTH = timedelta(days=30)
TABLE, _, NAME = os.environ.get("COLUMN", "hired_employees.email").partition(".")
DATASET = DATASETS[TABLE]
[COLUMN] = [column for column in DATASET.columns if column.name == NAME]
WHOLE = example(DATASET, 1)
OLD = {c.name: WHOLE[c.name] for c in DATASET.columns if not c.may_be_absent}  # what everybody sent before
SEND = f"/{DATASET.route}/upload"


def headed(*names: str, **values: object) -> str:
    return f"{','.join(names)}\n{','.join(str({**WHOLE, **values}[name]) for name in names)}\n"


@pytest.fixture
def filled(landing: Landing) -> Landing:
    """Load a row that has a value in the column."""
    fill_parents(landing, DATASET)
    assert counts(landing.upload(f"{TABLE}.csv", headed(*OLD, NAME))) == (1, 1, 0, 0, 0, 0)
    return landing


def value(landing: Landing) -> str | None:
    [(found,)] = landing.rows(f"SELECT CAST({COLUMN.quoted} AS text) FROM {DATASET.table} WHERE id = 1")
    return None if found is None else str(found)


def test_a_file_without_the_column_leaves_its_value(filled: Landing) -> None:
    before = value(filled)
    assert before is not None
    for old in (file(OLD), headed(*OLD)):
        assert counts(filled.upload(f"{TABLE}.csv", old)) == (1, 0, 0, 1, 0, 0)
    assert value(filled) == before


def test_an_empty_field_under_its_name_sets_null(filled: Landing) -> None:
    assert counts(filled.upload(f"{TABLE}.csv", headed(*OLD, NAME, **{NAME: ""}))) == (1, 0, 1, 0, 0, 0)
    assert value(filled) is None


def test_a_request_without_the_column_leaves_its_value_and_null_sets_null(api: Api, filled: Landing) -> None:
    before = value(filled)
    assert api.post(SEND, OLD).body["outcome"] == "unchanged"
    assert value(filled) == before
    assert api.post(SEND, {**OLD, NAME: None}).body["outcome"] == "updated"
    assert value(filled) is None
    assert api.post(SEND, {**OLD, NAME: WHOLE[NAME]}).body["outcome"] == "updated"
    assert value(filled) == before


def test_a_restore_brings_its_value_back(filled: Landing) -> None:
    before = value(filled)
    run_backup(filled.database, filled.s3.storage, retention=MONTH)
    filled.upload(f"{TABLE}.csv", headed(*OLD, NAME, **{NAME: ""}))
    assert counts(restore(filled, TABLE)) == (1, 0, 1, 0, 0, 0)
    assert value(filled) == before
