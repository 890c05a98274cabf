"""GET /department/hires/quarterly/{year} and /department/hires/top/{year}."""

from chalice.app import Blueprint, Response

from chalicelib.api.parameters import WholeNumber, asked
from chalicelib.api.problems import endpoint
from chalicelib.datasets import MAX_ID
from chalicelib.reports import quarterly, top
from chalicelib.services import services

YEAR = WholeNumber("year", "the year of the hires, in UTC", high=9999, example=2021)
DEPARTMENT_ID = WholeNumber("department_id", "only hires of this department", high=MAX_ID, example=1)

routes = Blueprint(__name__)


def _json(text: str) -> Response:
    return Response(text, headers={"Content-Type": "application/json"})


@routes.route("/department/hires/quarterly/{year}", content_types=["*/*"])
@endpoint
def hires_per_quarter(year: str) -> Response:
    wanted = YEAR.read(year)
    narrowed = asked(routes.current_request, (DEPARTMENT_ID,))
    with services().database.session() as session:
        return _json(quarterly(session, wanted, **narrowed))


@routes.route("/department/hires/top/{year}", content_types=["*/*"])
@endpoint
def departments_above_mean(year: str) -> Response:
    wanted = YEAR.read(year)
    with services().database.session() as session:
        return _json(top(session, wanted))
