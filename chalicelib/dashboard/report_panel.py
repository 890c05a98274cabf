"""Reads the panel of reports. The panel has two charts, and a table for every report that declares a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.dashboard import charts, figures
from chalicelib.reports import queries
from chalicelib.reports.declaration import Figure, Report, ReportColumn, Scope, Span
from chalicelib.reports.hires import TOP, YEARS

# A table has at most this many rows, and a download has all rows. A chart has at most this many departments or years.
MAX_ROWS = 200


@dataclass(frozen=True)
class Download:
    """Describes a report that the user can download as CSV or JSON. `address` is relative to the root of the API.
    `file` is the name of the file without its ending."""

    report: str
    address: str
    file: str


@dataclass(frozen=True)
class Table:
    """Has the first rows of a report. `rows` is None if the user has chosen several years, and the report can show only
    one year."""

    report: Report
    columns: tuple[ReportColumn, ...]
    rows: Sequence[Mapping[str, Any]] | None
    is_cut: bool
    download: Download

    @property
    def cells(self) -> list[tuple[str, bool, bool]]:
        """The columns as the template shows them: the name, and whether the values are numbers of hires or names. The
        template makes a thousand cells, so it calls no macro for each of them."""
        return [(c.name, c.figure is Figure.COUNT, c.figure is Figure.NAME) for c in self.columns]

    def sum_of(self, row: Mapping[str, Any]) -> int:
        return sum(int(row[name]) for name in self.report.summed)


@dataclass(frozen=True)
class ReportsPanel:
    """Has the values that the template uses. The form offers `years` to the user. `hired` is the number of hires in the
    chart."""

    years: list[int]
    first: int
    last: int
    departments: list[figures.Department]
    department_id: int | None
    columns: list[charts.Bar]
    columns_are_cut: bool
    hired: int
    bars: list[charts.Bar]
    bars_are_cut: bool
    mean: float | None
    mean_at: float | None
    top: Download
    tables: list[Table]
    columns_height: int = charts.COLUMNS_HEIGHT
    row_height: int = charts.ROW_HEIGHT
    most_rows: int = MAX_ROWS


def read(session: Session, query: Mapping[str, Any], reports: Iterable[Report]) -> ReportsPanel:
    """Read the panel for the query parameters from, to and department_id. If the query has no year, the panel shows the
    newest year with hires. The session is in a transaction that began with SNAPSHOT."""
    department_id = query.get("department_id")
    years = [row["year"] for row in queries.first_rows(session, YEARS, Span.EVERY, Scope(), limit=MAX_ROWS)]
    newest = years[0] if years else datetime.now(UTC).year
    first = query.get("from") or query.get("to") or newest
    scope = Scope(first, max(first, query.get("to") or first), department_id)
    by_quarter = figures.per_quarter(session, scope)
    above_mean = queries.first_rows(session, TOP, Span.RANGE, scope, limit=MAX_ROWS + 1)
    mean = queries.mean_hired(session, scope.first, scope.last)
    tables = [_table(session, report, scope) for report in reports if report.has_table]
    departments = figures.departments(session)
    bars, mean_at = charts.rows(above_mean[:MAX_ROWS], mean)
    return ReportsPanel(
        years=sorted({scope.first, scope.last, *years}, reverse=True),
        first=scope.first,
        last=scope.last,
        departments=departments,
        department_id=department_id,
        columns=charts.columns(by_quarter[-MAX_ROWS:]),
        columns_are_cut=len(by_quarter) > MAX_ROWS,
        hired=sum(row[quarter] for row in by_quarter for quarter in charts.QUARTERS),
        bars=bars,
        bars_are_cut=len(above_mean) > MAX_ROWS,
        mean=mean,
        mean_at=mean_at,
        top=_download(TOP, scope),
        tables=tables,
    )


def _table(session: Session, report: Report, scope: Scope) -> Table:
    span = _shown_span(report, scope)
    columns = report.variants[span].columns
    download = _download(report, scope)
    if span is Span.YEAR and scope.first != scope.last:
        return Table(report, columns, None, False, download)
    rows = queries.first_rows(session, report, span, scope, limit=MAX_ROWS + 1)
    return Table(report, columns, rows[:MAX_ROWS], len(rows) > MAX_ROWS, download)


def _shown_span(report: Report, scope: Scope) -> Span:
    """Return the span of the report's variant to show. If the user has chosen one year, prefer the variant without a
    column of years."""
    order = (Span.YEAR, Span.RANGE, Span.EVERY) if scope.first == scope.last else (Span.RANGE, Span.EVERY, Span.YEAR)
    return next(span for span in order if span in report.variants)


def _download(report: Report, scope: Scope) -> Download:
    address, query, years = report.path.removeprefix("/"), [], ""
    if Span.RANGE in report.variants:
        query += [f"from={scope.first}", f"to={scope.last}"]
    elif Span.YEAR in report.variants:
        address += f"/{scope.first}"
    if Span.EVERY not in report.variants:
        years = f"-{scope.first}" if scope.first == scope.last else f"-{scope.first}-to-{scope.last}"
    if report.by_department and scope.department_id is not None:
        query.append(f"department_id={scope.department_id}")
    return Download(report.name, f"{address}?{'&'.join(query)}" if query else address, f"{report.file}{years}")
