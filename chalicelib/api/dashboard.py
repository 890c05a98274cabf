"""GET / and GET /dashboard/{panel}: the page that anybody may load, and what it shows to whom."""

import os
from dataclasses import replace

from chalice.app import Blueprint, Response

from chalicelib.api import pages as site
from chalicelib.api.access import caller_role
from chalicelib.api.history import CURSOR, FILTERS, LOAD_ID
from chalicelib.api.parameters import OneOf, WholeNumber, asked, takes, takes_anything
from chalicelib.api.problems import endpoint
from chalicelib.api.reports import DEPARTMENT_ID, FROM, TO
from chalicelib.api.restores import CURSOR as RESTORE_POINT
from chalicelib.errors import NotFound
from chalicelib.services import services
from chalicelib.settings import Settings

ID = WholeNumber("id", "panel `load`: which one", high=LOAD_ID.high, example=1)
POINT = replace(RESTORE_POINT, name="point", about="panel `restore`: which one; `backups`: only older ones")
NAMES = ("reports", "loads", "load", "upload", "backups", "restore", "health")
PANEL = OneOf("panel", "what to show", allowed=NAMES, example="reports")
# Of the reports' panel, which shows the newest year where none is chosen.
YEARS = (replace(FROM, default=None), replace(TO, default=None))
QUERY = (*YEARS, DEPARTMENT_ID, *FILTERS, CURSOR, ID, POINT)
_PANEL: dict[str, str | list[str]] = {
    "Content-Type": "text/html; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}

routes = Blueprint(__name__)


@routes.route("/", content_types=["*/*"])
@endpoint
@takes_anything
def page() -> Response:
    from chalicelib.dashboard import pages

    settings = services().settings
    policy = {
        **site.SAME_ORIGIN,
        "script-src": f"'{pages.asset_hash('page.js')}'",
        "style-src": f"'{pages.asset_hash('page.css')}'",
        "connect-src": " ".join(["'self'", *_upload_origins(settings)]),
    }
    html = pages.render("page.html", authentication=settings.authentication)
    return site.page(routes.current_request, html, policy)


@routes.route("/dashboard/{panel}", content_types=["*/*"])
@endpoint
@takes(*QUERY)
def panel(panel: str) -> Response:
    from chalicelib.dashboard import panels

    if panel not in NAMES:
        raise NotFound(f"there is no panel {panel[:40]}")
    request = routes.current_request
    caller = panels.Caller(caller_role(request), asked(request))
    return Response(panels.rendered(panel, services(), caller), headers=_PANEL)


def _upload_origins(settings: Settings) -> list[str]:
    """Where the forms of presigned uploads lead, besides our own origin: as botocore makes it of bucket and region."""
    if settings.s3_public_url:
        scheme, _, rest = settings.s3_public_url.partition("://")
        return [f"{scheme}://{rest.partition('/')[0]}"]
    region = os.environ.get("AWS_REGION", "us-east-1")
    return [f"https://{settings.landing_bucket}.s3.{region}.amazonaws.com"]
