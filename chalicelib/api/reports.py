"""GET /department/hires/quarterly/{year} and /department/hires/top/{year}, as JSON or CSV."""

import json
from collections.abc import Callable

from chalice.app import Blueprint, Response

from chalicelib.api.negotiation import TextResponse, entity_tag, has_already, preferred
from chalicelib.api.parameters import WholeNumber, asked
from chalicelib.api.problems import endpoint
from chalicelib.database import SNAPSHOT, Session
from chalicelib.datasets import MAX_ID
from chalicelib.reports import QUARTERLY, TOP, quarterly, top, version
from chalicelib.services import services

YEAR = WholeNumber("year", "the year of the hires, in UTC", high=9999, example=2021)
DEPARTMENT_ID = WholeNumber("department_id", "only hires of this department", high=MAX_ID, example=1)
JSON, CSV = "application/json", "text/csv"

routes = Blueprint(__name__)


@routes.route("/department/hires/quarterly/{year}", content_types=["*/*"])
@endpoint
def hires_per_quarter(year: str) -> Response:
    wanted = YEAR.read(year)
    narrowed = asked(routes.current_request, (DEPARTMENT_ID,))
    return _answer(lambda session: quarterly(session, wanted, **narrowed), QUARTERLY, f"quarterly-hires-{wanted}")


@routes.route("/department/hires/top/{year}", content_types=["*/*"])
@endpoint
def departments_above_mean(year: str) -> Response:
    wanted = YEAR.read(year)
    return _answer(lambda session: top(session, wanted), TOP, f"top-departments-{wanted}")


def _answer(report: Callable[[Session], str], columns: tuple[str, ...], name: str) -> Response:
    """The report in the form that is asked for, or 304 where nothing has changed since the caller had it."""
    request = routes.current_request
    form = preferred(request, (JSON, CSV))
    # A proxy may keep it for the one who asked, and asks us each time whether it still holds.
    headers: dict[str, str | list[str]] = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    with services().database.transaction(SNAPSHOT) as session:  # the report, and the version it is of
        tag = entity_tag(version(session), form)
        headers["ETag"] = tag
        if has_already(request, tag):
            return Response("", status_code=304, headers=headers)
        text = report(session)
    headers["Content-Type"] = form
    if form == CSV:
        text = _csv(columns, text)
        headers |= {
            "Content-Type": f"{CSV}; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
        }
    return TextResponse(text, headers)


def _csv(columns: tuple[str, ...], text: str) -> str:
    from chalicelib.exports import csv_text

    return csv_text(columns, ([row[column] for column in columns] for row in json.loads(text)))
