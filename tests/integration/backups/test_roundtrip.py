"""Tests that a backup and a restore into an empty database lose no character and no microsecond."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.core.datasets import DATASETS
from chalicelib.core.value_limits import MAX_ID, MAX_TEXT
from tests.integration.backups.test_restore_load import back_up, restore
from tests.integration.landing import Landing

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
STORED = TEXT.map(str.strip).filter(bool)  # the rules strip a text and refuse an empty text
LONG = st.builds(lambda text: (text * MAX_TEXT)[:MAX_TEXT].strip() or "x", STORED)
INSTANT = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)).map(
    lambda t: t.replace(tzinfo=UTC)
)
IDS = st.integers(1, MAX_ID) | st.sampled_from([1, 2, MAX_ID - 1, MAX_ID])
NAMED = st.dictionaries(IDS, STORED | LONG, min_size=1, max_size=12)
EDGES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
]


@st.composite
def databases(draw: st.DrawFn) -> dict[str, list[tuple[Any, ...]]]:
    """Draw rows for every table. Their foreign keys are valid."""
    departments, jobs = draw(NAMED), draw(NAMED)
    employees = draw(
        st.dictionaries(
            IDS,
            st.tuples(
                STORED,
                INSTANT | st.sampled_from(EDGES),
                st.sampled_from(sorted(departments)),
                st.sampled_from(sorted(jobs)),
            ),
            max_size=40,
        )
    )
    return {
        "departments": sorted(departments.items()),
        "jobs": sorted(jobs.items()),
        "hired_employees": sorted((row_id, *rest) for row_id, rest in employees.items()),
    }


def fill(landing: Landing, tables: Mapping[str, list[tuple[Any, ...]]]) -> None:
    """Insert rows with SQL, so that the rules of loads do not change or reject them."""
    with landing.database.session() as session:
        session.run("TRUNCATE departments, jobs, hired_employees CASCADE")
        for name, rows in tables.items():
            columns = ", ".join(f"{column.name} {column.kind.sql}" for column in DATASETS[name].columns)
            sent = [dict(zip(DATASETS[name].column_names, row, strict=True)) for row in rows]
            session.run(  # JSON, because the driver would send the text NULL in an array as a null
                f"INSERT INTO {name} SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r ({columns})",
                rows=json.dumps(sent, default=datetime.isoformat),
            )


def contents(landing: Landing) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows as Postgres writes them, because the driver cannot read the years 10000 and 0."""
    return {name: landing.rows(f"SELECT CAST(t AS text) FROM {name} t ORDER BY id") for name in DATASETS} | {
        "quarterly_hires": landing.rows("SELECT CAST(h AS text) FROM quarterly_hires h ORDER BY 1")
    }


@example(tables={"departments": [(1, "NULL")], "jobs": [(1, "null"), (2, "\\N")], "hired_employees": []})
@settings(max_examples=12, deadline=timedelta(seconds=30), suppress_health_check=list(HealthCheck))
@given(tables=databases())
def test_restored_rows_equal_the_original_rows(landing: Landing, tables: dict[str, list[tuple[Any, ...]]]) -> None:
    fill(landing, tables)
    before = contents(landing)
    assert [len(before[name]) for name in tables] == [len(rows) for rows in tables.values()]
    point = back_up(landing)
    with landing.database.session() as session:
        session.run("TRUNCATE departments, jobs, hired_employees CASCADE")
    for name, rows in tables.items():
        load = restore(landing, name, point)
        assert (load["status"], load["inserted"], load["rejected"]) == ("succeeded", len(rows), 0)
    assert contents(landing) == before
