"""GET /loads, /loads/{id} and /loads/{id}/rejects."""

import json

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.parameters import OneOf, WholeNumber, query_values, takes
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import Role
from chalicelib.core import timestamps
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.ingest.reject_summary import of_load
from chalicelib.loads import history, outcomes
from chalicelib.services import services

STATUSES, KINDS = outcomes.STATUSES, outcomes.KINDS
MAX_PAGE = 100
_MAX_LOAD = 2**63 - 1

LOAD_ID = WholeNumber("load_id", "the `load_id` in the response to an upload or a restore", high=_MAX_LOAD, example=1)
FILTERS = (
    OneOf("dataset", "only loads of this dataset", allowed=tuple(DATASETS), example="departments"),
    OneOf("status", "only loads with this status", allowed=STATUSES, example="succeeded"),
    OneOf("kind", "only loads of this kind", allowed=KINDS, example="api"),
)
LIMIT = WholeNumber("limit", "how many entries to show at most", high=MAX_PAGE, default=20, example=20)
CURSOR = WholeNumber("cursor", "the `next_cursor` of an earlier response", high=_MAX_LOAD, example=1000)

routes = Blueprint(__name__)


@routes.route("/loads", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(*FILTERS, LIMIT, CURSOR)
def list_loads() -> dict[str, object]:
    filters = query_values(routes.current_request)
    limit, before = filters.pop("limit"), filters.pop("cursor", None)
    grace = services().settings.orphan_grace
    with services().database.session() as session:
        loads = history.listed(session, filters, limit=limit + 1, before=before, grace=grace)
    page = loads[:limit]
    more = str(page[-1].id) if len(loads) > limit else None
    return {"loads": [timestamps.shown(vars(load)) for load in page], "next_cursor": more}


@routes.route("/loads/{load_id}", content_types=["*/*"])
@needs(Role.READER)
@endpoint
def show_load(load_id: str) -> dict[str, object]:
    wanted = load_id_of(load_id)
    with services().database.session() as session:
        load = history.get(session, wanted, services().settings.orphan_grace)
    if load is None:
        raise NotFound(f"there is no load {wanted}")
    return timestamps.shown(vars(load))


@routes.route("/loads/{load_id}/rejects", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(LIMIT)
def show_rejects(load_id: str) -> Response:
    wanted, limit = load_id_of(load_id), query_values(routes.current_request)["limit"]
    parts = services()
    with parts.database.session() as session:
        summary = of_load(session, parts.storage.errored, wanted, limit)
    # Anybody with the URL may read the file, so no cache may keep the response. ASCII escapes would make it larger.
    return Response(
        json.dumps(vars(summary), ensure_ascii=False),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )


def load_id_of(text: str, what: str = "load") -> int:
    """Parse the id of `what` in a path. Raises NotFound."""
    try:
        return LOAD_ID.read(text)
    except Unprocessable:
        raise NotFound(f"there is no {what} {text[:40]}") from None
