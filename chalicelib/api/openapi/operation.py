"""The description of an operation, from which its part of the document is made."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from chalicelib.api.http.parameters import Parameter
from chalicelib.api.openapi.json_schema import Json

JSON, CSV, HTML, CSS, SCRIPT = "application/json", "text/csv", "text/html", "text/css", "text/javascript"


@dataclass(frozen=True)
class Body:
    """A request body. `examples` are valid bodies by name. `binary` are further media types, without a schema."""

    schema: Json
    examples: Mapping[str, Any]
    required: bool = True
    media_type: str = "application/json"
    binary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    `responses` has the meaning and the schema of each response by status. The schema is None if the response has no
    body. `media` are the media types of these responses, `headers` the names of their headers, which
    `responses.OWN_HEADERS` describes. If `ETag` is one of them, a caller that already has the response gets a 304.

    `refusals` are the statuses below 500 of the problems that the operation may return. `refused` has the schemas of
    the problems with further members. The example of a response is that of its schema, changed by the members that
    `examples` has for its status.
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
    csv_example: str = ""  # made from the JSON if it is empty
    headers: tuple[str, ...] = ()
    leads_to_load: bool = False  # its response has the `load_id` of a load
    tells_more: bool = False  # anybody may call it, but a caller with a token sees more
    is_static: bool = False  # it needs neither database nor storage
    any_query: bool = False  # it ignores its query
