"""Reads figures that panels show besides reports and loads: departments, hires per quarter, and numbers of rows."""

from dataclasses import asdict
from typing import NamedTuple, TypedDict

from chalicelib.cloud.database import Session
from chalicelib.dashboard.charts import QUARTERS
from chalicelib.reports.declaration import Scope
from chalicelib.reports.hires import HIRED, OF_DEPARTMENT

MAX_DEPARTMENTS = 2000  # the filter for reports offers at most this many departments
MAX_COUNTED = 1_000_000  # to count more rows than this would take too long for a page
_SUMS = ", ".join(f"CAST(sum({quarter}) AS bigint) AS {quarter}" for quarter in QUARTERS)


class Department(TypedDict):
    id: int
    department: str


class RowCount(NamedTuple):
    """Has the number of rows of a table. For a large table, the number is only the estimate of Postgres's planner, and
    `is_exact` is False."""

    rows: int
    is_exact: bool


def departments(session: Session) -> list[Department]:
    """Return the departments that have ever hired, ordered by name."""
    rows = session.run(
        f"SELECT id, department FROM departments d WHERE EXISTS (SELECT FROM quarterly_hires h"
        f' WHERE h.department_id = d.id AND {HIRED}) ORDER BY department COLLATE "C", id LIMIT {MAX_DEPARTMENTS}'
    )
    return [{"id": department_id, "department": name} for department_id, name in rows]


def per_quarter(session: Session, scope: Scope) -> list[dict[str, int]]:
    """Return {"year", "q1", …, "q4"} for every year of the scope that has hires, oldest first."""
    return session.records(
        f"SELECT year, {_SUMS} FROM quarterly_hires WHERE year BETWEEN :first AND :last AND {HIRED} AND {OF_DEPARTMENT}"
        " GROUP BY year ORDER BY year",
        **asdict(scope),
    )


def rows(session: Session, table: str) -> RowCount:
    estimate = int(session.scalar("SELECT reltuples FROM pg_class WHERE oid = CAST(:table AS regclass)", table=table))
    if estimate > MAX_COUNTED:
        return RowCount(estimate, is_exact=False)
    return RowCount(int(session.scalar(f'SELECT count(*) FROM "{table}"')), is_exact=True)
