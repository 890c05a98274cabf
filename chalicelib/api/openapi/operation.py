"""What the document knows of one operation."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from chalicelib.api.http.parameters import Parameter
from chalicelib.api.openapi.json_schema import Json

JSON, CSV, HTML, CSS, SCRIPT = "application/json", "text/csv", "text/html", "text/css", "text/javascript"


@dataclass(frozen=True)
class Body:
    """`examples` are valid bodies by name. `binary` are further media types, whose bodies have no schema."""

    schema: Json
    examples: Mapping[str, Any]
    required: bool = True
    media_type: str = "application/json"
    binary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """`answers` are the meanings and schemas of its answers by status, without a schema for one that has no body.
    `media` are their media types, `headers` the names of their headers, which `responses.OWN_HEADERS` describes. If
    `ETag` is one of them, a caller who has the answer gets a 304.

    `refusals` are the statuses below 500 of the problems that it may answer with. `refused` has the schemas of those
    with members of their own. `examples` has, by status, the members of an example that are not those of the schema's.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    _: KW_ONLY
    responses: Mapping[int, tuple[str, Json | None]]
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    refusals: tuple[int, ...] = ()
    refused: Mapping[int, Json] = field(default_factory=dict)
    examples: Mapping[int, Json] = field(default_factory=dict)
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    leads_to_load: bool = False  # its answer has the `load_id` of a load
    tells_more: bool = False  # anybody may call it, but it tells readers more
    is_static: bool = False  # it needs neither database nor storage
    any_query: bool = False  # it ignores its query
