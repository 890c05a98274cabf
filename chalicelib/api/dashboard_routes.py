"""Handles GET / and GET /dashboard/{panel}. Anybody may load the page of the dashboard. Its panels need a token."""

from dataclasses import replace

from chalice.app import Blueprint, Response

from chalicelib.api import backup_routes
from chalicelib.api.http import web_files
from chalicelib.api.http.access import caller_rights, needs, public
from chalicelib.api.http.parameters import OneOf, WholeNumber, query_values, takes, takes_anything
from chalicelib.api.http.problems import endpoint
from chalicelib.api.load_routes import CURSOR, FILTERS, LOAD_ID
from chalicelib.api.report_routes import DEPARTMENT_ID, FROM, TO, declared
from chalicelib.auth.roles import Role
from chalicelib.core.errors import NotFound
from chalicelib.core.reasons import CODES
from chalicelib.services import services

ID = WholeNumber("id", "panel `load`: the id of the load", high=LOAD_ID.high, example=1)
POINT = replace(
    backup_routes.CURSOR,
    name="point",
    about="panel `restore`: the restore point to show; panel `backups`: only restore points older than this one",
)
NAMES = ("reports", "loads", "load", "upload", "backups", "restore", "health")
PANEL = OneOf("panel", "the panel to show", allowed=NAMES, example="reports")
# Here, these parameters have no default value. If a request has neither of them, the panel of reports shows the newest
# year.
YEARS = (replace(FROM, default=None), replace(TO, default=None))
CODE = OneOf("code", "panel `load`: show only rejects with this code", allowed=CODES, example="missing")
QUERY = (*YEARS, DEPARTMENT_ID, *FILTERS, CURSOR, ID, CODE, POINT)
_PANEL: dict[str, str | list[str]] = {"Content-Type": "text/html; charset=utf-8"}

routes = Blueprint(__name__)


@routes.route("/", content_types=["*/*"])
@public
@endpoint
@takes_anything
def page() -> Response:
    from chalicelib.dashboard import pages

    parts = services()
    policy = {
        **web_files.SAME_ORIGIN,
        "script-src": f"'{pages.asset_hash('page.js')}'",
        "style-src": f"'{pages.asset_hash('page.css')}'",
        "connect-src": f"'self' {parts.storage.form_origin()}",
    }
    html = pages.render("page.html", authentication=parts.settings.authentication)
    return web_files.page(routes.current_request, html, policy)


@routes.route("/dashboard/{panel}", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(*QUERY)
def panel(panel: str) -> Response:
    from chalicelib.dashboard import panels

    if panel not in NAMES:
        raise NotFound(f"there is no panel {panel[:40]}")
    request = routes.current_request
    caller = panels.Caller(caller_rights(request), query_values(request), declared(routes.current_app))
    return Response(panels.rendered(panel, services(), caller), headers=_PANEL)
