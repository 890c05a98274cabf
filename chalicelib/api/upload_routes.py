"""Handles POST /uploads and DELETE /uploads/{load_id}. The first route returns an upload form, and the second route
cancels an upload whose file was not sent."""

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.problems import endpoint
from chalicelib.api.http.requests import correlation_id, json_body
from chalicelib.api.load_routes import load_id_of
from chalicelib.auth.roles import Role
from chalicelib.ingest.upload_forms import cancel_upload, order_upload
from chalicelib.services import services

routes = Blueprint(__name__)


@routes.route("/uploads", methods=["POST"], content_types=["*/*"])
@needs(Role.WRITER)
@endpoint
def uploads() -> Response:
    request, parts = routes.current_request, services()
    limit, correlated = parts.settings.upload_limit, correlation_id(request)
    ordered = order_upload(parts.database, parts.storage, json_body(request), limit=limit, correlation_id=correlated)
    return Response(vars(ordered), status_code=201)


@routes.route("/uploads/{load_id}", methods=["DELETE"], content_types=["*/*"])
@needs(Role.WRITER)
@endpoint
def cancel(load_id: str) -> Response:
    parts = services()
    cancel_upload(parts.database, parts.storage, load_id_of(load_id, "upload"))
    return Response("", status_code=204)
