"""Declares what an operation of the API takes and returns. The OpenAPI document is made from these declarations."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from chalicelib.api.http.parameters import Parameter
from chalicelib.api.openapi.json_schema import Json

JSON, CSV, HTML, CSS, SCRIPT = "application/json", "text/csv", "text/html", "text/css", "text/javascript"


@dataclass(frozen=True)
class Body:
    """Describes a request body. `examples` are valid bodies by name. `binary` are further media types, which have no
    schema."""

    schema: Json
    examples: Mapping[str, Any]
    required: bool = True
    media_type: str = "application/json"
    binary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """Describes an operation of the API.

    `responses` has the meaning and the schema of each response by status. The schema is None if the response has no
    body. `media` are the media types of these responses. `headers` are the names of the headers of these responses,
    which `responses.OWN_HEADERS` describes. If `headers` has `ETag`, a caller that already has the response gets a 304.

    `refusals` are the statuses below 500 of the problems that the operation may return. `refused` has the schemas of
    problems that have more members than other problems, by status. A response has the example of its schema. If
    `examples` has members for the status of the response, these members replace the members of that example.
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
    csv_example: str = ""  # if it is empty, the example in CSV is made from the example in JSON
    headers: tuple[str, ...] = ()
    leads_to_load: bool = False  # whether the response has the `load_id` of a load
    tells_more: bool = False  # whether a caller with a token sees more than other callers
    is_static: bool = False  # whether the operation needs neither database nor storage
    any_query: bool = False  # whether the operation ignores its query
