"""GET /openapi.json: the API, described for machines."""

import json
from functools import cache

from chalice.app import Blueprint, Response

from chalicelib.api.problems import endpoint

routes = Blueprint(__name__)


@routes.route("/openapi.json", content_types=["*/*"])
@endpoint
def openapi_document() -> Response:
    return Response(_document(), headers={"Content-Type": "application/json"})


@cache
def _document() -> str:
    """Made when it is first asked for: no other request's cold start pays for it."""
    from chalicelib.api import openapi

    return json.dumps(openapi.document(_anybody), ensure_ascii=False, separators=(",", ":"))


def _anybody(_method: str, _path: str) -> str | None:
    return None
