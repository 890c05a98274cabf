"""The operations of the declared reports."""

from chalicelib.api import report_routes
from chalicelib.api.openapi.json_schema import ref
from chalicelib.api.openapi.operation import CSV, JSON, Operation
from chalicelib.reports.declaration import FIRST, LAST, Report, Span

_FORMS = (
    " JSON, or with `Accept: text/csv` CSV that is safe to open in a spreadsheet; 304 where `If-None-Match` has the"
    " `ETag` of now."
)
_DETAILS = {  # of the answer to years that make no sense
    Span.YEAR: {422: f"year must be a whole number from {FIRST} to {LAST}"},
    Span.RANGE: {422: report_routes.WRONG_ORDER},
    Span.EVERY: {},
}


def report_operation(report: Report, span: Span) -> Operation:
    """GET the report over such a span."""
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
        details=_DETAILS[span],
        media=(JSON, CSV),
        headers=("ETag", "Cache-Control", "Vary"),
    )
