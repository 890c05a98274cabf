"""Tests that a backup and a restore into an empty database lose no character, no digit and no microsecond."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings

from chalicelib.core.datasets import DATASETS
from tests.integration.backups.test_restore_load import back_up, restore
from tests.integration.landing import Landing
from tests.rows import insert
from tests.tables import TABLES
from tests.values import databases

Tables = Mapping[str, list[tuple[Any, ...]]]
DIFFICULT: Tables = {**{name: [] for name in DATASETS}, "departments": [(1, "NULL")], "jobs": [(1, "null"), (2, "\\N")]}


def fill(landing: Landing, tables: Tables) -> None:
    """Insert rows with SQL, so that the rules of loads do not change or reject them."""
    with landing.database.session() as session:
        session.run(f"TRUNCATE {TABLES} CASCADE")
        for name, rows in tables.items():
            insert(session, DATASETS[name], (dict(zip(DATASETS[name].column_names, row, strict=True)) for row in rows))


def contents(landing: Landing) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows as Postgres writes them, because the driver cannot read the years 10000 and 0."""
    found = {d.name: landing.rows(f"SELECT CAST(t AS text) FROM {d.table} t ORDER BY id") for d in DATASETS.values()}
    return found | {"quarterly_hires": landing.rows("SELECT CAST(h AS text) FROM quarterly_hires h ORDER BY 1")}


@example(tables=DIFFICULT)
@settings(max_examples=12, deadline=timedelta(seconds=30), suppress_health_check=list(HealthCheck))
@given(tables=databases(tuple(DATASETS.values())))
def test_restored_rows_equal_the_original_rows(landing: Landing, tables: Tables) -> None:
    fill(landing, tables)
    before = contents(landing)
    assert [len(before[name]) for name in tables] == [len(rows) for rows in tables.values()]
    point = back_up(landing)
    with landing.database.session() as session:
        session.run(f"TRUNCATE {TABLES} CASCADE")
    for name, rows in tables.items():
        load = restore(landing, name, point)
        assert (load["status"], load["inserted"], load["rejected"]) == ("succeeded", len(rows), 0)
    assert contents(landing) == before
