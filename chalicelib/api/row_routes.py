"""Handles POST /<dataset>/upload and POST /<dataset>/upload/batch."""

from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.problems import endpoint
from chalicelib.api.http.requests import correlation_id, json_body
from chalicelib.auth.roles import Role
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import TooLarge, Unprocessable
from chalicelib.ingest.batch_summary import BatchSummary, summary
from chalicelib.ingest.rows import SentRows, Upload, upload
from chalicelib.services import services

MAX_ROWS = 1000
BROKEN_RULES, NO_ROW_ACCEPTED = "the row breaks the rules", "no row was accepted"
routes = Blueprint(__name__)


def _upload(dataset: Dataset, rows: list[Any], path: str) -> Upload:
    parts = services()
    sent = SentRows(dataset, rows, f"api:/{dataset.route}/{path}", correlation_id(routes.current_request))
    return upload(parts.database, parts.storage, sent, grace=parts.settings.orphan_grace)


def _single(dataset: Dataset) -> Callable[[], Response]:
    @needs(Role.WRITER)
    @endpoint
    def upload_one() -> Response:
        row = json_body(routes.current_request)
        if not isinstance(row, dict):
            raise Unprocessable("the body must be one JSON object with the columns of a row")
        result = _upload(dataset, [row], "upload")
        if result.rejects:
            problems = result.rejects[0].problems
            raise Unprocessable(
                BROKEN_RULES,
                errors=[{"field": p.field, "reason": p.text, "code": p.code} for p in problems],
                extension={"load_id": result.load_id},
            )
        body = {"id": result.ids[0], "outcome": result.outcome, "load_id": result.load_id}
        return Response(body, status_code=201 if result.outcome == "inserted" else 200)

    return upload_one


def _batch(dataset: Dataset) -> Callable[[], BatchSummary]:
    @needs(Role.WRITER)
    @endpoint
    def upload_batch() -> BatchSummary:
        rows = _rows(json_body(routes.current_request))
        result = _upload(dataset, rows, "upload/batch")
        if len(result.rejects) == len(rows):
            raise Unprocessable(NO_ROW_ACCEPTED, extension=summary(result))
        return summary(result)

    return upload_batch


def too_many(rows: int) -> str:
    """Return the detail of the 413 for a batch of `rows` rows."""
    return f"a batch has at most {MAX_ROWS} rows, this batch has {rows}; nothing was stored"


def _rows(body: Any) -> list[Any]:
    """Return the rows of a batch. Raises Unprocessable for a body of another shape, and TooLarge for too many rows."""
    rows = body.get("data") if isinstance(body, dict) and set(body) == {"data"} else None
    if not isinstance(rows, list) or not rows:
        raise Unprocessable(f'the body must be {{"data": [ … ]}} with 1 to {MAX_ROWS} rows')
    if len(rows) > MAX_ROWS:
        raise TooLarge(too_many(len(rows)))
    return rows


for _dataset in DATASETS.values():
    _path = f"/{_dataset.route}/upload"
    routes.route(_path, methods=["POST"], name=f"upload_{_dataset.route}", content_types=["*/*"])(_single(_dataset))
    routes.route(f"{_path}/batch", methods=["POST"], name=f"upload_{_dataset.route}_batch", content_types=["*/*"])(
        _batch(_dataset)
    )
