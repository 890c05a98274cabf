"""Describes the operations for browsers, and the operations that show the state of the service."""

from collections.abc import Iterator

from chalicelib.api import dashboard_routes, docs_routes
from chalicelib.api.openapi.json_schema import ref
from chalicelib.api.openapi.operation import CSS, HTML, SCRIPT, Operation
from chalicelib.api.openapi.service_schemas import DATABASE_AWAY, DOCUMENT, FILE, PAGE

_OF_FILES = ("X-Content-Type-Options", "ETag", "Cache-Control")


def pages() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/",
        "get_dashboard",
        "dashboard",
        "The dashboard",
        about="The page itself has no data. Its script requests panels with the token of the user who signs in.",
        responses={200: ("the page", PAGE)},
        media=(HTML,),
        headers=("Content-Security-Policy", *_OF_FILES),
        any_query=True,
        is_static=True,
    )
    yield Operation(
        "GET",
        "/dashboard/{panel}",
        "get_dashboard_panel",
        "dashboard",
        "A panel of the dashboard, as an HTML fragment",
        about="The dashboard shows these panels. Programs should use the other operations, which return JSON.",
        parameters=(dashboard_routes.PANEL, *dashboard_routes.QUERY),
        responses={200: ("the panel", {"type": "string", "examples": ["<h1>Loads</h1>"]})},
        refusals=(404, 422),
        examples={404: {"detail": "there is no panel loading"}, 422: {"detail": "id is missing"}},
        media=(HTML,),
        headers=("Cache-Control", "X-Content-Type-Options"),
    )


def service() -> Iterator[Operation]:
    yield Operation(
        "GET",
        "/health",
        "get_health",
        "service",
        "Check whether the platform works",
        about="On a stage with authentication, a caller without a token sees only the `status`, which may be 5 seconds"
        " old. While the database cannot look up a token, a caller with a token sees only `status` and `detail`.",
        tells_more=True,
        responses={
            200: ("the database works and all buckets can be reached", ref("Health")),
            503: ("the database or a bucket is unavailable", {**ref("Health"), "examples": [DATABASE_AWAY]}),
        },
        examples={503: {"detail": "s3://hireflow-backup cannot be reached"}},
    )
    yield Operation(
        "HEAD",
        "/health",
        "head_health",
        "service",
        "Check whether the platform works; the response has a status and no body",
        responses={200: ("the database works and all buckets can be reached", None)},
    )
    yield Operation(
        "GET",
        "/openapi.json",
        "get_openapi",
        "service",
        "This document",
        responses={200: ("an OpenAPI 3.1 document", DOCUMENT)},
        is_static=True,
    )
    yield Operation(
        "GET",
        "/docs",
        "get_docs",
        "service",
        "A page for reading this document and trying the operations",
        media=(HTML,),
        headers=("Content-Security-Policy", *_OF_FILES),
        responses={200: ("the page", PAGE)},
        any_query=True,
        is_static=True,
    )
    yield Operation(
        "GET",
        "/docs/{asset}",
        "get_docs_asset",
        "service",
        "A file that the page of this document loads",
        parameters=(docs_routes.ASSET, docs_routes.VERSION),
        media=(CSS, SCRIPT),
        headers=_OF_FILES,
        responses={200: ("the file", FILE)},
        refusals=(404,),
        examples={404: {"detail": "there is no file docs.txt"}},
        is_static=True,
    )
