"""Makes the routes of the declared reports: GET on the path of a report, with or without /{year}, as JSON or CSV."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from chalice.app import Blueprint, Chalice, Request, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.negotiation import TextResponse, entity_tag, has_already, preferred
from chalicelib.api.http.parameters import Parameter, Text, WholeNumber, query_values, takes
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import Role
from chalicelib.cloud.database import SNAPSHOT, Session
from chalicelib.core.errors import Unprocessable
from chalicelib.core.value_limits import MAX_ID
from chalicelib.reports import queries
from chalicelib.reports.declaration import FIRST, LAST, Report, ReportColumn, Scope, Span
from chalicelib.reports.kept_answers import Answer, Asked, KeptAnswers
from chalicelib.services import services

YEAR = WholeNumber("year", "the year of the hires, in UTC", high=LAST, example=2021)
FROM = WholeNumber("from", "the first year of the hires, in UTC", high=LAST, default=FIRST, example=2019)
TO = WholeNumber("to", "the last year of the hires, in UTC, included", high=LAST, default=LAST, example=2021)
DEPARTMENT_ID = WholeNumber("department_id", "only hires of this department", high=MAX_ID, example=9001)
DEPARTMENT = Text("department", "only hires of the department with this name", example="Staff")
JSON, CSV = "application/json", "text/csv"
WRONG_ORDER = "`from` must not be later than `to`"

_OF_SPAN: Mapping[Span, tuple[Parameter, ...]] = {Span.YEAR: (YEAR,), Span.RANGE: (FROM, TO), Span.EVERY: ()}
_kept = KeptAnswers()
_REPORT = "report"  # the attribute of a view that has its report


def routes(reports: Iterable[Report]) -> Blueprint:
    """Return the routes of these reports."""
    blueprint = Blueprint(__name__)
    for report in reports:
        for span, variant in report.variants.items():
            view = _view(blueprint, report, span)
            blueprint.route(report.route(span), name=variant.operation, content_types=["*/*"])(view)
    return blueprint


def declared(app: Chalice) -> tuple[Report, ...]:
    """Return the reports of the routes of an app."""
    views = (entry.view_function for methods in app.routes.values() for entry in methods.values())
    return tuple(dict.fromkeys(_declarations(views)))


def parameters(report: Report, span: Span) -> tuple[Parameter, ...]:
    """Return the parameters of a report, in its path and its query."""
    return (*_OF_SPAN[span], *((DEPARTMENT_ID, DEPARTMENT) if report.by_department else ()))


def _declarations(views: Iterable[Callable[..., Any]]) -> Iterator[Report]:
    for view in views:
        report = getattr(view, _REPORT, None)
        if isinstance(report, Report):
            yield report


def _view(blueprint: Blueprint, report: Report, span: Span) -> Callable[..., Response]:
    @needs(Role.READER)
    @endpoint
    @takes(*(parameter for parameter in parameters(report, span) if parameter is not YEAR))
    def view(**in_path: str) -> Response:
        request = blueprint.current_request
        sent = query_values(request) | {name: YEAR.read(text) for name, text in in_path.items()}
        first, last = _years(span, sent)

        def read(session: Session) -> Answer:
            asked = Asked(report, span, Scope(first, last, _department(session, sent)))
            answer = queries.answer(session, asked, _kept.last(session, asked))
            _kept.keep(session, asked, answer)
            return answer

        return _response(request, read, report.variants[span].columns, f"{report.file}{_named(span, first, last)}")

    setattr(view, _REPORT, report)
    return view


def _years(span: Span, sent: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first and the last requested year. Without years in the request, the report covers all years from
    FIRST to LAST. Raises Unprocessable if the first year is later than the last."""
    if span is Span.YEAR:
        return sent["year"], sent["year"]
    first, last = sent.get("from", FIRST), sent.get("to", LAST)
    if first > last:
        raise Unprocessable(WRONG_ORDER)
    return first, last


def _department(session: Session, sent: Mapping[str, Any]) -> int | None:
    """Return the id of the requested department, or None for all departments. A request names a department by its id or
    its name. Raises Unprocessable."""
    name, by_id = sent.get("department"), sent.get("department_id")
    if name is None:
        return by_id
    from chalicelib.reports.departments import id_of

    return id_of(session, name, by_id)


def _named(span: Span, first: int, last: int) -> str:
    """Return the part of a file name for the requested years: the year, or the first and the last year of the range,
    unless they are FIRST and LAST."""
    if span is Span.YEAR:
        return f"-{first}"
    begin = f"-from-{first}" if first != FIRST else ""
    return begin + (f"-to-{last}" if last != LAST else "")


def _response(
    request: Request, read: Callable[[Session], Answer], columns: tuple[ReportColumn, ...], file: str
) -> Response:
    """Return the report as JSON or CSV. Return a 304 if the caller already has the present version of the report."""
    form = preferred(request, (JSON, CSV))
    # The caller may keep the response, but must ask before each use whether the response is still valid.
    headers: dict[str, str | list[str]] = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    with _reading(request) as session:
        if "if-none-match" in request.headers:
            tag = entity_tag(queries.version(session), form)
            if has_already(request, tag):
                return Response("", status_code=304, headers={**headers, "ETag": tag})
        version, text = read(session)
    headers["ETag"] = entity_tag(version, form)
    headers["Content-Type"] = form
    if form == CSV:
        text = _csv(columns, json.loads(text))
        headers |= {
            "Content-Type": f"{CSV}; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{file}.csv"',
        }
    return TextResponse(text, headers)


def _reading(request: Request) -> AbstractContextManager[Session]:
    """Lend a session for a report. If the request names a department, the report needs several statements, which must
    see one snapshot. Any other report needs one statement, which takes a quarter of the time of a transaction."""
    database = services().database
    return database.transaction(SNAPSHOT) if DEPARTMENT.name in query_values(request) else database.session()


def _csv(columns: tuple[ReportColumn, ...], report: Any) -> str:
    from chalicelib.formats.csv_export import csv_text

    rows = report if isinstance(report, list) else next(iter(report.values()))
    names = tuple(column.name for column in columns)
    return csv_text(names, ([row[name] for name in names] for row in rows))
