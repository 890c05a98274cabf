"""Tests a column that was optional and has become mandatory.

The environment variable COLUMN names the column. Without it, the column is `hired_employees.email`, the example of
CONTRIBUTING.md. The newest migration is the one that makes it mandatory.
"""

import os

from chalicelib.core.datasets import DATASETS
from chalicelib.migrations.migrate import head, upgrade
from infra.local.postgres import Postgres
from infra.local.provision import connect
from tests.integration.http_api import Api
from tests.integration.landing import Landing, counts, fill_parents
from tests.rows import example, file

TABLE, _, NAME = os.environ.get("COLUMN", "hired_employees.email").partition(".")
DATASET = DATASETS[TABLE]
[COLUMN] = [column for column in DATASET.columns if column.name == NAME]
OLD = {name: value for name, value in example(DATASET, 1).items() if name != NAME}


def test_a_row_that_leaves_the_column_out_gets_the_default(landing: Landing) -> None:
    fill_parents(landing, DATASET)
    assert counts(landing.upload(f"{TABLE}.csv", file(OLD))) == (1, 1, 0, 0, 0, 0)
    assert landing.rows(f"SELECT {COLUMN.quoted} FROM {DATASET.table}") == [(COLUMN.default,)]


def test_null_is_missing(api: Api, landing: Landing) -> None:
    fill_parents(landing, DATASET)
    response = api.post(f"/{DATASET.route}/upload", {**OLD, NAME: None})
    assert [error["reason"] for error in response.body["errors"]] == [f"{NAME} is missing"]


def test_the_migration_gives_the_default_to_rows_without_a_value(postgres: Postgres) -> None:
    with connect(postgres.superuser_url) as admin:
        admin.run("DROP DATABASE IF EXISTS mandatory")
        admin.run(f"CREATE DATABASE mandatory OWNER {postgres.role.user}")
    url = postgres.url.rsplit("/", 1)[0] + "/mandatory"
    upgrade(url, tls="disable", revision=f"{int(head()) - 1:04}")
    names = ", ".join(f'"{name}"' for name in OLD)
    values = ", ".join(f"'{value}'" for value in OLD.values())
    with connect(url) as owner:
        owner.run("SET session_replication_role = replica")  # the row needs no parents
        owner.run(f"INSERT INTO {DATASET.table} ({names}) VALUES ({values})")
        assert owner.run(f"SELECT {COLUMN.quoted} FROM {DATASET.table}") == [[None]]
    upgrade(url, tls="disable")
    with connect(url) as owner:
        assert owner.run(f"SELECT {COLUMN.quoted} FROM {DATASET.table}") == [[COLUMN.default]]
