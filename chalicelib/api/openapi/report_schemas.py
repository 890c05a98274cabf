"""Makes the schemas of the declared reports."""

from collections.abc import Iterable

from chalicelib.api.openapi.json_schema import Json, closed, count, text
from chalicelib.core.value_limits import MAX_ID
from chalicelib.reports.declaration import FIRST, LAST, Figure, Report, ReportColumn, Variant


def report_schemas(reports: Iterable[Report]) -> dict[str, Json]:
    """Return the schemas of all variants of the reports, by name."""
    return {variant.schema: _response(report, variant) for report in reports for variant in report.variants.values()}


def _response(report: Report, variant: Variant) -> Json:
    rows: Json = {"type": "array", "items": closed({column.name: _column(column) for column in variant.columns})}
    return closed({report.member: rows}) if report.member else rows


def _column(column: ReportColumn) -> Json:
    if column.figure is Figure.COUNT:
        return count(about=column.about, example=int(column.example or 0))
    description = {"description": column.about} if column.about else {}
    if column.figure is Figure.NAME:
        return text(str(column.example), **description)
    first, last = (FIRST, LAST) if column.figure is Figure.YEAR else (1, MAX_ID)
    examples = {} if column.example is None else {"examples": [column.example]}
    return {"type": "integer", "minimum": first, "maximum": last, **description, **examples}
