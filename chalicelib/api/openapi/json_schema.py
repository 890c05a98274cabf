"""Makes parts of JSON Schemas with short function calls. Also has the parts that several schemas share."""

from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.core import correlation, restore_point_names
from chalicelib.core.datasets import DATASETS

Json = dict[str, Any]
MAX_LONG = 2**63 - 1
TIME = "2021-07-27T16:02:08.123456Z"


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Mapping[str, Json], *, optional: tuple[str, ...] = (), **more: Any) -> Json:
    """Return the schema of an object with these members and no others. All members except `optional` are required."""
    required = [name for name in properties if name not in optional]
    kept = {"required": required} if required else {}
    return {"type": "object", **more, "properties": dict(properties), **kept, "additionalProperties": False}


def together(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the `dependentRequired` of a schema whose members `names` must all be present or all be absent."""
    every = set(names)
    return {name: sorted(every - {name}) for name in sorted(every)}


def count(high: int = MAX_LONG, about: str = "", example: int = 0) -> Json:
    description = {"description": about} if about else {}
    return {"type": "integer", "minimum": 0, "maximum": high, **description, "examples": [example]}


def text(example: str, **more: Any) -> Json:
    return {"type": "string", "examples": [example], **more}


def or_null(schema: Json, **more: Any) -> Json:
    schema = {**schema, **more}
    if "enum" in schema:
        return {**schema, "type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


LOAD_ID: Json = {
    "type": "integer",
    "format": "int64",
    "minimum": 1,
    "maximum": MAX_LONG,
    "description": "the id of the load that records this request, see `/loads/{load_id}`",
    "examples": [7],
}
RESTORE_POINT: Json = {
    "type": "string",
    "pattern": restore_point_names.PATTERN,
    "description": "a UTC time; the restore point holds every change that was committed before this time",
    "examples": [restore_point_names.EXAMPLE],
}
CORRELATION_ID: Json = {"type": "string", "pattern": f"^{correlation.PATTERN}$", "examples": ["import-2021-07-27"]}
A_TIME = text(TIME, format="date-time")
COLUMNS = list(dict.fromkeys(column.name for dataset in DATASETS.values() for column in dataset.columns))
DATASET: Json = {"type": "string", "enum": list(DATASETS)}
STATUS_URL = text("/loads/7", pattern="^/loads/[1-9][0-9]*$")
