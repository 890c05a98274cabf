"""GET /openapi.json: the API, described for machines."""

import json
from functools import cache

from chalice.app import Blueprint, Response

from chalicelib.api.access import needed
from chalicelib.api.problems import endpoint
from chalicelib.services import services

routes = Blueprint(__name__)


@routes.route("/openapi.json", content_types=["*/*"])
@endpoint
def openapi_document() -> Response:
    return Response(_document(), headers={"Content-Type": "application/json"})


@cache
def _document() -> str:
    """Made when it is first asked for: no other request's cold start pays for it."""
    from chalicelib.api import openapi

    return json.dumps(openapi.document(_role_of), ensure_ascii=False, separators=(",", ":"))


def _role_of(method: str, path: str) -> str | None:
    """Nobody needs one where the stage does not ask for tokens."""
    role = needed(method, path) if services().settings.authentication else None
    return role and role.value
