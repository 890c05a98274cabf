"""GET /loads and /loads/{id}."""

from datetime import UTC, datetime
from typing import Any

from chalice.app import Blueprint

from chalicelib import loads
from chalicelib.api.problems import endpoint
from chalicelib.api.requests import one_of, query, whole_number
from chalicelib.datasets import DATASETS
from chalicelib.errors import NotFound, Unprocessable
from chalicelib.services import services

MAX_PAGE = 100
MAX_LOAD = 2**63 - 1
STATUSES = ("queued", "running", *loads.FINAL)
routes = Blueprint(__name__)


@routes.route("/loads")
@endpoint
def list_loads() -> dict[str, Any]:
    asked = query(routes.current_request)
    limit = whole_number("limit", asked.get("limit", "20"), 1, MAX_PAGE)
    allowed = {"dataset": tuple(DATASETS), "status": STATUSES}
    filters = {name: one_of(name, asked[name], values) for name, values in allowed.items() if name in asked}
    before = whole_number("cursor", asked["cursor"], 1, MAX_LOAD) if "cursor" in asked else None
    with services().database.session() as session:
        rows = loads.listed(session, filters, limit=limit + 1, before=before)
    page = rows[:limit]
    more = str(page[-1]["id"]) if len(rows) > limit else None
    return {"loads": [_shown(row) for row in page], "next_cursor": more}


@routes.route("/loads/{load_id}")
@endpoint
def show_load(load_id: str) -> dict[str, Any]:
    try:
        wanted = whole_number("id", load_id, 1, MAX_LOAD)
    except Unprocessable:
        raise NotFound(f"there is no load {load_id[:40]}") from None
    with services().database.session() as session:
        row = loads.get(session, wanted)
    if row is None:
        raise NotFound(f"there is no load {wanted}")
    return _shown(row)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
