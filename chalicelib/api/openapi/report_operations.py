"""Describes the operations of the declared reports."""

from chalicelib.api import report_routes
from chalicelib.api.openapi.examples import refusal
from chalicelib.api.openapi.json_schema import ref
from chalicelib.api.openapi.operation import CSV, JSON, Operation
from chalicelib.reports.declaration import Report, Span

_FORMS = (
    " The report is JSON. With `Accept: text/csv`, the report is CSV that is safe to open in a spreadsheet. If"
    " `If-None-Match` has the current `ETag`, the response is a 304."
)
_WRONG_QUERY = {  # an example of the detail of a 422 for each span
    Span.YEAR: refusal(lambda: report_routes.YEAR.read("0")).detail,
    Span.RANGE: report_routes.WRONG_ORDER,
    Span.EVERY: refusal(lambda: report_routes.DEPARTMENT_ID.read("0")).detail,
}


def report_operation(report: Report, span: Span) -> Operation:
    """Return the operation that gets the report for this span: one year, a range of years, or all years."""
    variant, parameters = report.variants[span], report_routes.parameters(report, span)
    return Operation(
        "GET",
        report.route(span),
        variant.operation,
        "reports",
        variant.summary,
        about=variant.about + _FORMS,
        parameters=parameters,
        responses={200: (variant.response, ref(variant.schema))},
        refusals=(422,) if parameters else (),
        examples={422: {"detail": _WRONG_QUERY[span]}} if parameters else {},
        media=(JSON, CSV),
        headers=("ETag", "Cache-Control", "Vary"),
    )
