"""Handles POST /<dataset>/backup/restore and GET /backups."""

from collections.abc import Callable

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.parameters import Parameter, query_values, takes
from chalicelib.api.http.problems import endpoint
from chalicelib.api.http.requests import correlation_id, json_body
from chalicelib.api.load_routes import LIMIT
from chalicelib.auth.roles import Role
from chalicelib.core import restore_point_names
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.services import services


class RestorePointName(Parameter):
    def read(self, text: str) -> str:
        if not restore_point_names.is_name(text):
            raise Unprocessable(f"{self.name} must be the next_cursor of an earlier response")
        return text

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": restore_point_names.PATTERN}


WRONG_BODY = f'the body must be empty or {{"restore_point": "{restore_point_names.EXAMPLE}"}}'
CURSOR = RestorePointName("cursor", "the `next_cursor` of an earlier response", example=restore_point_names.EXAMPLE)

routes = Blueprint(__name__)


def _restore(dataset: Dataset) -> Callable[[], Response]:
    @needs(Role.OPERATOR)
    @endpoint
    def restore() -> Response:
        from chalicelib.backups.restore import order_restore

        request, parts = routes.current_request, services()
        restore_point = _restore_point(json_body(request, optional=True))
        ordered = order_restore(
            parts.database, parts.storage, dataset, restore_point, correlation_id=correlation_id(request)
        )
        return Response(vars(ordered), status_code=202)

    return restore


def _restore_point(body: object) -> str | None:
    """Return the name of the requested restore point. Return None if the request names no restore point, which means
    the newest one.

    Raises Unprocessable for a body of another shape, and NotFound for a name that is not a text."""
    if body is None:
        return None
    if not isinstance(body, dict) or set(body) - {"restore_point"}:
        raise Unprocessable(WRONG_BODY)
    name = body.get("restore_point")
    if name is not None and not isinstance(name, str):
        raise NotFound(restore_point_names.RULE)
    return name


for _dataset in DATASETS.values():
    for _name in (_dataset.route, _dataset.name):
        routes.route(f"/{_name}/backup/restore", methods=["POST"], name=f"restore_{_name}", content_types=["*/*"])(
            _restore(_dataset)
        )


@routes.route("/backups", content_types=["*/*"])
@needs(Role.READER)
@endpoint
@takes(LIMIT, CURSOR)
def backups() -> dict[str, object]:
    from chalicelib.backups import manifest

    page = query_values(routes.current_request)
    points, cursor = manifest.listed(services().storage.backup, page["limit"], page.get("cursor"))
    return {"backups": [point.to_json() for point in points], "next_cursor": cursor}
