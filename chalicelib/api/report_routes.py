"""GET /department/hires/{quarterly,top}[/{year}] and /department/hires/years, as JSON or CSV."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.negotiation import TextResponse, entity_tag, has_already, preferred
from chalicelib.api.http.parameters import Text, WholeNumber, asked, takes
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import Role
from chalicelib.cloud.database import SNAPSHOT, Session
from chalicelib.core.datasets import MAX_ID
from chalicelib.core.errors import Unprocessable
from chalicelib.reports import queries
from chalicelib.services import services

YEAR = WholeNumber("year", "the year of the hires, in UTC", high=queries.LAST, example=2021)
FROM = WholeNumber(
    "from", "the first year of the hires, in UTC", high=queries.LAST, default=queries.FIRST, example=2019
)
TO = WholeNumber(
    "to", "the last year of the hires, itself included", high=queries.LAST, default=queries.LAST, example=2021
)
DEPARTMENT_ID = WholeNumber("department_id", "only hires of this department", high=MAX_ID, example=1)
DEPARTMENT = Text("department", "only hires of the department of this name", example="Staff")
JSON, CSV = "application/json", "text/csv"

routes = Blueprint(__name__)


@routes.route("/department/hires/quarterly/{year}", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(DEPARTMENT_ID, DEPARTMENT)
def hires_per_quarter(year: str) -> Response:
    wanted = YEAR.read(year)
    narrowed = asked(routes.current_request)
    name = f"quarterly-hires-{wanted}"
    return _answer(
        lambda session: queries.quarterly(session, wanted, _department(session, narrowed)), queries.QUARTERLY, name
    )


@routes.route("/department/hires/quarterly", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(FROM, TO, DEPARTMENT_ID, DEPARTMENT)
def hires_per_quarter_between() -> Response:
    narrowed = asked(routes.current_request)
    first, last = _range(narrowed.pop("from"), narrowed.pop("to"))
    return _answer(
        lambda session: queries.quarterly_between(session, first, last, _department(session, narrowed)),
        queries.QUARTERLY_BETWEEN,
        f"quarterly-hires{_named(first, last)}",
    )


@routes.route("/department/hires/top/{year}", content_types=["*/*"])
@needs(Role.READER)
@endpoint
def departments_above_mean(year: str) -> Response:
    wanted = YEAR.read(year)
    return _answer(lambda session: queries.top(session, wanted), queries.TOP, f"top-departments-{wanted}")


@routes.route("/department/hires/top", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(FROM, TO)
def departments_above_mean_between() -> Response:
    ends = asked(routes.current_request)
    first, last = _range(ends["from"], ends["to"])
    name = f"top-departments{_named(first, last)}"
    return _answer(lambda session: queries.top(session, first, last), queries.TOP, name)


@routes.route("/department/hires/years", content_types=["*/*"])
@needs(Role.READER)
@endpoint
def years_with_hires() -> Response:
    return _answer(lambda session: json.dumps({"years": queries.years(session)}), queries.YEARS, "years-with-hires")


def _department(session: Session, asked_for: Mapping[str, Any]) -> int | None:
    """The id of the department that is asked for, by its id or its name. Raises Unprocessable."""
    name, by_id = asked_for.get("department"), asked_for.get("department_id")
    if name is None:
        return by_id
    from chalicelib.reports.departments import id_of

    return id_of(session, name, by_id)


def _range(first: int, last: int) -> tuple[int, int]:
    """The years that are asked for, all of them where no end is named. Raises Unprocessable."""
    if first > last:
        raise Unprocessable("from must not be a later year than to")
    return first, last


def _named(first: int, last: int) -> str:
    """The ends of a range that were named, for a file's name."""
    begin = f"-from-{first}" if first != FROM.default else ""
    return begin + (f"-to-{last}" if last != TO.default else "")


def _answer(report: Callable[[Session], str], columns: tuple[str, ...], name: str) -> Response:
    """The report in the form that is asked for, or 304 where nothing has changed since the caller had it."""
    request = routes.current_request
    form = preferred(request, (JSON, CSV))
    # A proxy may keep it for the one who asked, and asks us each time whether it still holds.
    headers: dict[str, str | list[str]] = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    with services().database.transaction(SNAPSHOT) as session:  # the report, and the version it is of
        tag = entity_tag(queries.version(session), form)
        headers["ETag"] = tag
        if has_already(request, tag):
            return Response("", status_code=304, headers=headers)
        text = report(session)
    headers["Content-Type"] = form
    if form == CSV:
        text = _csv(columns, json.loads(text))
        headers |= {
            "Content-Type": f"{CSV}; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
        }
    return TextResponse(text, headers)


def _csv(columns: tuple[str, ...], report: Any) -> str:
    from chalicelib.formats.csv_export import csv_text

    rows = report if isinstance(report, list) else report["years"]
    return csv_text(columns, ([row[column] for column in columns] for row in rows))
