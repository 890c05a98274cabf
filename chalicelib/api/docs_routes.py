"""Handles GET /openapi.json and GET /docs. Programs read the OpenAPI document of the API. On the page /docs, users read
the document and try the operations."""

import json
from functools import cache, partial
from pathlib import Path

from chalice.app import Blueprint, Response

from chalicelib.api.http import vendored, web_files
from chalicelib.api.http.access import needed, public
from chalicelib.api.http.parameters import OneOf, Text, query_values, takes, takes_anything
from chalicelib.api.http.problems import endpoint
from chalicelib.api.http.web_files import Asset
from chalicelib.api.report_routes import declared
from chalicelib.auth.roles import Need
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.reports.declaration import Report
from chalicelib.services import services

_STATIC = Path(__file__).with_name("static")


def _ours(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def _theirs(name: str) -> str:
    return vendored.located(f"{vendored.SWAGGER_UI}/dist/{name}").read_text(encoding="utf-8")


# A browser receives 1.9 MB of files on its first visit, because the files are not compressed. A function can return a
# compressed body only as base64, and API Gateway decodes it only for clients that send an Accept header.
ASSETS = {
    name: Asset(media, partial(read, name))
    for name, media, read in (
        ("swagger-ui-bundle.js", "text/javascript", _theirs),
        ("swagger-ui.css", "text/css", _theirs),
        ("docs.js", "text/javascript", _ours),
        ("docs.css", "text/css", _ours),
    )
}
ASSET = OneOf("asset", "the name of the file", allowed=tuple(ASSETS), example="docs.js")
VERSION = Text("v", "the version of the file; a browser may keep the current version", example="1")

routes = Blueprint(__name__)


@routes.route("/openapi.json", content_types=["*/*"])
@public
@endpoint
def openapi_document() -> Response:
    return Response(_document(declared(routes.current_app)), headers={"Content-Type": "application/json"})


@routes.route("/docs", content_types=["*/*"])
@public
@endpoint
@takes_anything
def docs_page() -> Response:
    return web_files.page(routes.current_request, _page(web_files.root(routes.current_request)))


@routes.route("/docs/{asset}", content_types=["*/*"])
@public
@endpoint
@takes(VERSION)
def docs_asset(asset: str) -> Response:
    try:
        wanted = ASSETS[ASSET.read(asset)]
    except Unprocessable:
        raise NotFound(f"there is no file {asset[:40]}") from None
    sent = query_values(routes.current_request)
    return web_files.asset(routes.current_request, wanted, sent.get("v"))


@cache
def _page(root: str) -> str:
    html = _ours("docs.html").replace("{root}", root)
    for name, asset in ASSETS.items():
        html = html.replace(f"{{{name}}}", asset.version)
    return html


@cache
def _document(reports: tuple[Report, ...]) -> str:
    """Return the document as JSON. The first request for the document builds the document, so that cold starts for
    other requests are not slower."""
    from chalicelib.api.openapi import document

    return json.dumps(document.document(_need_of, reports), ensure_ascii=False, separators=(",", ":"))


def _need_of(method: str, path: str) -> Need | None:
    """Return what a route needs. On a stage without authentication, no route needs a role."""
    return needed(routes.current_app, method, path) if services().settings.authentication else None
