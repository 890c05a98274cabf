"""POST /<dataset>/backup/restore and GET /backups."""

from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.problems import endpoint
from chalicelib.api.requests import json_body, query, whole_number
from chalicelib.datasets import DATASETS, Dataset
from chalicelib.errors import NotFound, Unprocessable
from chalicelib.services import services

MAX_PAGE = 100
routes = Blueprint(__name__)


def _restore(dataset: Dataset) -> Callable[[], Response]:
    @endpoint
    def restore() -> Response:
        from chalicelib.backups.restore import order_restore

        restore_point = _restore_point(json_body(routes.current_request, optional=True))
        parts = services()
        return Response(order_restore(parts.database, parts.storage, dataset, restore_point), status_code=202)

    return restore


def _restore_point(body: Any) -> str | None:
    """The restore point that was asked for, None for the newest. Raises Unprocessable, NotFound."""
    if body is None:
        return None
    if not isinstance(body, dict) or set(body) - {"restore_point"}:
        raise Unprocessable('the body must be empty or {"restore_point": "20210727T160208.123456Z"}')
    name = body.get("restore_point")
    if name is not None and not isinstance(name, str):
        raise NotFound("a restore point is named like 20210727T160208.123456Z")
    return name


for _dataset in DATASETS.values():
    for _name in (_dataset.route, _dataset.name):
        routes.route(f"/{_name}/backup/restore", methods=["POST"], name=f"restore_{_name}", content_types=["*/*"])(
            _restore(_dataset)
        )


@routes.route("/backups")
@endpoint
def backups() -> dict[str, Any]:
    from chalicelib.backups import manifest

    asked = query(routes.current_request)
    limit = whole_number("limit", asked.get("limit", "20"), 1, MAX_PAGE)
    before = asked.get("cursor")
    if before is not None and not manifest.is_name(before):
        raise Unprocessable("cursor must be the next_cursor of an earlier answer")
    found, cursor = manifest.page(services().storage.backup, limit=limit, before=before)
    return {"backups": [restore_point.summary() for restore_point in found], "next_cursor": cursor}
