"""GET /department/hires/quarterly/{year} and /department/hires/top/{year}."""

from chalice.app import Blueprint, Response

from chalicelib.api.problems import endpoint
from chalicelib.api.requests import query, whole_number
from chalicelib.datasets import MAX_ID
from chalicelib.reports import quarterly, top
from chalicelib.services import services

routes = Blueprint(__name__)


def _json(text: str) -> Response:
    return Response(text, headers={"Content-Type": "application/json"})


@routes.route("/department/hires/quarterly/{year}")
@endpoint
def hires_per_quarter(year: str) -> Response:
    wanted = _year(year)
    department = query(routes.current_request).get("department_id")
    department_id = None if department is None else whole_number("department_id", department, 1, MAX_ID)
    with services().database.session() as session:
        return _json(quarterly(session, wanted, department_id))


@routes.route("/department/hires/top/{year}")
@endpoint
def departments_above_mean(year: str) -> Response:
    wanted = _year(year)
    with services().database.session() as session:
        return _json(top(session, wanted))


def _year(text: str) -> int:
    return whole_number("year", text, 1, 9999)
