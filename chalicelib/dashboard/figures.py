"""What panels show besides reports and loads, read from the summary that triggers keep and from the catalogue."""

from dataclasses import asdict
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.dashboard.charts import QUARTERS
from chalicelib.reports.declaration import Scope
from chalicelib.reports.hires import HIRED, OF_DEPARTMENT

MAX_DEPARTMENTS = 2000  # in the filter
MAX_COUNTED = 1_000_000  # rows; of more than that, nobody waits for the last one
_SUMS = ", ".join(f"CAST(sum({quarter}) AS bigint) AS {quarter}" for quarter in QUARTERS)


def departments(session: Session) -> list[dict[str, Any]]:
    """Departments that ever hired, {"id", "department"}, by name."""
    return session.records(
        f"SELECT id, department FROM departments d WHERE EXISTS (SELECT FROM quarterly_hires h"
        f' WHERE h.department_id = d.id AND {HIRED}) ORDER BY department COLLATE "C", id LIMIT {MAX_DEPARTMENTS}'
    )


def per_quarter(session: Session, scope: Scope) -> list[dict[str, int]]:
    """{"year", "q1", …, "q4"} for every year of the scope with hires, oldest first."""
    return session.records(
        f"SELECT year, {_SUMS} FROM quarterly_hires WHERE year BETWEEN :first AND :last AND {HIRED} AND {OF_DEPARTMENT}"
        " GROUP BY year ORDER BY year",
        **asdict(scope),
    )


def rows(session: Session, table: str) -> tuple[int, bool]:
    """How many rows a table has, and whether that is exact: of a large one it is what Postgres's planner knows."""
    known = int(session.scalar("SELECT reltuples FROM pg_class WHERE oid = CAST(:table AS regclass)", table=table))
    if known > MAX_COUNTED:
        return known, False
    return int(session.scalar(f"SELECT count(*) FROM {table}")), True
