"""What the document knows of one operation."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from chalicelib.api.http.parameters import Parameter
from chalicelib.api.openapi.json_schema import Json

JSON, CSV, HTML, CSS, SCRIPT = "application/json", "text/csv", "text/html", "text/css", "text/javascript"


@dataclass(frozen=True)
class Body:
    """`examples` are bodies that work, by name; `binary` other media types, whose bodies have no schema."""

    schema: Json
    examples: Mapping[str, Any]
    required: bool = True
    media_type: str = "application/json"
    binary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """`answers` are what its answers mean and their schemas, by status; None is for an answer without a body. `media`
    are the types that they come as, and `headers` the names of those that come with them (`responses.TOLD` knows what
    they mean). One with an `ETag` is not sent again (304) to a caller who has it.

    `refusals` are the statuses below 500 of the problems it may answer with, `refused` the schemas of those that
    say more than others, and `details` examples of what they say where it is not what most operations do.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    _: KW_ONLY
    answers: Mapping[int, tuple[str, Json | None]]
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    refusals: tuple[int, ...] = ()
    refused: Mapping[int, Json] = field(default_factory=dict)
    details: Mapping[int, str] = field(default_factory=dict)
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    leads_to_load: bool = False  # its answer has the `load_id` of a load
    tells_more: bool = False  # to readers, though anybody may call it
    is_static: bool = False  # it needs neither database nor storage
    any_query: bool = False  # it ignores its query
