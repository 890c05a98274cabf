"""POST /uploads: a form to send a file with, straight to the landing bucket."""

from chalice.app import Blueprint, Response

from chalicelib.api.problems import endpoint
from chalicelib.api.requests import json_body
from chalicelib.ingest.presigned import order_upload
from chalicelib.services import services

routes = Blueprint(__name__)


@routes.route("/uploads", methods=["POST"])
@endpoint
def uploads() -> Response:
    asked = json_body(routes.current_request)
    parts = services()
    return Response(order_upload(parts.database, parts.storage, asked), status_code=201)
