"""POST /uploads/check: reports what a load of a file would do."""

from chalice.app import Blueprint, Response

from chalicelib.api.http.access import needs
from chalicelib.api.http.parameters import Declaration, OneOf, query_values, takes
from chalicelib.api.http.problems import endpoint
from chalicelib.api.http.requests import media_type, raw_body
from chalicelib.api.load_routes import LIMIT
from chalicelib.auth.roles import Role
from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Declarations
from chalicelib.core.errors import LoadError, Unprocessable, UnsupportedMedia
from chalicelib.services import services

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
AVRO = "application/avro"
CSV, *BINARY = MEDIA_TYPES = ("text/csv", "application/gzip", XLSX, AVRO, "application/octet-stream")
SMALLER = "; many times more rows fit as application/gzip"
DATASET = OneOf(
    "dataset", "the dataset of the rows in the file", allowed=tuple(DATASETS), example="departments", required=True
)

DECLARED = (
    Declaration("encoding", "the encoding of the file, if it is not UTF-8 or UTF-16", example="windows-1252"),
    Declaration("delimiter", "the character between two fields of the file", example="comma"),
    Declaration("dates", "the order of day and month in dates: 27/07/2021 (dmy) or 07/27/2021 (mdy)", example="dmy"),
    Declaration("max-rejected", "the most rows that may be rejected: a count, or a share", example="5%"),
    Declaration("corrects", "the id of the load whose corrected rejects are in the file", example="1"),
)

routes = Blueprint(__name__)


@routes.route("/uploads/check", methods=["POST"], content_types=["*/*"])
@needs(Role.WRITER)
@endpoint
@takes(DATASET, LIMIT, *DECLARED)
def check_file() -> Response:
    from chalicelib.ingest.dryrun import dry_run  # here, so that only this route loads the code that reads files

    request = routes.current_request
    is_called_avro = media_type(request, MEDIA_TYPES) == AVRO
    if (coding := str(request.headers.get("content-encoding", "identity"))).strip().lower() != "identity":
        raise UnsupportedMedia(f"send gzip as application/gzip, without Content-Encoding: {coding[:60]}")
    wanted = query_values(request)
    body = raw_body(request, or_else=SMALLER)
    dataset, limit = DATASETS[wanted.pop("dataset")], wanted.pop("limit")
    try:
        declared = Declarations.of(wanted)
        outcome = dry_run(
            services().database, dataset, body, limit=limit, declared=declared, is_called_avro=is_called_avro
        )
    except LoadError as error:  # the file cannot be loaded
        raise Unprocessable(error.detail) from error
    shown = {
        "dataset": dataset.name,
        "status": outcome.status,
        "error": outcome.error,
        "format": outcome.format,
        "notices": outcome.notices,
        **vars(outcome.counts),
        "waiting": outcome.waiting,
        "reasons": outcome.reasons,
        "rejects": outcome.rejects,
        "truncated": len(outcome.rejects) < min(limit, outcome.counts.rejected),
    }
    return Response(shown, headers={"Content-Type": "application/json"})
