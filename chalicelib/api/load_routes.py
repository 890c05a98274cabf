"""Handles GET /loads, GET /loads/{id} and GET /loads/{id}/rejects."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs, needs_one_of
from chalicelib.api.http.negotiation import TextResponse, preferred
from chalicelib.api.http.parameters import OneOf, Text, WholeNumber, query_values, takes
from chalicelib.api.http.problems import endpoint
from chalicelib.auth.roles import REJECTED_ROWS, Role
from chalicelib.core import timestamps
from chalicelib.core.answer_size import FirstRecords
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.core.reasons import CODES
from chalicelib.ingest.reject_summary import RejectSummary, Wanted, of_load
from chalicelib.loads import history, outcomes
from chalicelib.loads.history import RejectedFile
from chalicelib.services import services

STATUSES, KINDS = outcomes.STATUSES, outcomes.KINDS
MAX_PAGE = 100
_MAX_LOAD = 2**63 - 1
TRUNCATED = "X-Truncated"  # the header of a CSV file that lacks requested rejects
JSON, CSV = "application/json", "text/csv"

LOAD_ID = WholeNumber("load_id", "the `load_id` in the response to an upload or a restore", high=_MAX_LOAD, example=1)
FILTERS = (
    OneOf("dataset", "only loads of this dataset", allowed=tuple(DATASETS), example="departments"),
    OneOf("status", "only loads with this status", allowed=STATUSES, example="succeeded"),
    OneOf("kind", "only loads of this kind", allowed=KINDS, example="api"),
    Text("source", "only loads whose source contains this text, in upper or lower case", example="department"),
    OneOf("with_rejects", "only loads with rejected rows, or without", allowed=("true", "false"), example="false"),
)
LIMIT = WholeNumber("limit", "how many entries to show at most", high=MAX_PAGE, default=20, example=20)
OF_REJECTS = (
    OneOf("all", "whether to show resolved rejects, too", allowed=("true", "false"), default="false", example="true"),
    OneOf("code", "only rejects with this code", allowed=CODES, example="missing"),
    replace(LIMIT, default=None, about="how many rejects to show at most; the default is 20 as JSON, all as CSV"),
    WholeNumber("cursor", "the `next_cursor` of an earlier response", low=0, high=_MAX_LOAD, example=0),
)
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
    page = FirstRecords(limit)  # fewer than `limit` loads if a response has no room for more
    for load in loads:
        page.add(timestamps.shown(vars(load)))
    more = str(page.records[-1]["id"]) if len(page.records) < len(loads) else None
    return {"loads": page.records, "next_cursor": more}


@routes.route("/loads/{load_id}", content_types=["*/*"])
@needs(Role.READER)
@endpoint
def show_load(load_id: str) -> dict[str, object]:
    wanted = load_id_of(load_id)
    with services().database.session() as session:
        load = history.get(session, wanted, services().settings.orphan_grace)
        counts = history.reject_counts(session, wanted)
    if load is None or counts is None:
        raise NotFound(f"there is no load {wanted}")
    return timestamps.shown({**vars(load), "reasons": counts.reasons})


@routes.route("/loads/{load_id}/rejects", content_types=["*/*"])
@needs_one_of(REJECTED_ROWS)
@endpoint
@takes(*OF_REJECTS)
def show_rejects(load_id: str) -> Response:
    request, wanted = routes.current_request, load_id_of(load_id)
    query, as_csv = query_values(request), preferred(request, (JSON, CSV)) == CSV
    limit = query.get("limit", None if as_csv else LIMIT.default)
    chosen = Wanted(limit, resolved=query["all"] == "true", code=query.get("code"), after=query.get("cursor", 0))
    parts = services()
    with parts.database.session() as session:
        summary = of_load(session, parts.storage.errored, wanted, chosen, parts.settings.orphan_grace)
        file = history.rejected_file(session, wanted) if as_csv else None
    headers: dict[str, str | list[str]] = {"Vary": "Accept, Authorization"}
    if file is None:
        return Response(vars(summary), headers={**headers, "Content-Type": JSON})
    return _csv(summary, file, headers, query)


def _csv(
    summary: RejectSummary, file: RejectedFile, headers: dict[str, str | list[str]], query: Mapping[str, object]
) -> Response:
    """Return rejects as a CSV file. If more rejects follow, the header `Link` has the path of the next part."""
    from chalicelib.ingest import reject_csv

    dataset = DATASETS.get(file.dataset or "")
    if dataset is None:
        raise NotFound(f"load {summary.load_id} has no dataset, and so no rejects")
    name = quote(reject_csv.file_name(dataset, file, summary.load_id))
    headers |= {"Content-Type": f"{CSV}; charset=utf-8", "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    is_full = bool(summary.rejects) and summary.next_cursor is not None  # the next part has the other rejects
    if summary.truncated and not is_full:
        headers[TRUNCATED] = "true"
    if summary.next_cursor is not None:
        following = urlencode({**query, "cursor": summary.next_cursor})
        headers["Link"] = f'</loads/{summary.load_id}/rejects?{following}>; rel="next"'
    return TextResponse(reject_csv.text_of(dataset, file, summary.rejects), headers)


def load_id_of(text: str, what: str = "load") -> int:
    """Return the id in a path as a number. Raises NotFound for a malformed id. `what` is the word of the error message
    for the missing thing, for example "upload"."""
    try:
        return LOAD_ID.read(text)
    except Unprocessable:
        raise NotFound(f"there is no {what} {text[:40]}") from None
