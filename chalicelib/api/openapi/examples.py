"""Makes an example for a schema from the examples of its parts."""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.api.openapi.json_schema import TIME, Json
from chalicelib.core.errors import HireflowError


def example(schema: Json, components: Mapping[str, Json]) -> Any:
    """Return the first of the schema's own `examples`. Without `examples`, make an example from the parts of the
    schema.

    An object that is made in this way has all its members except those of special cases, and a list has one item. A
    number is the least allowed number. Raises LookupError for a text whose schema declares neither an example nor the
    allowed values.
    """
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example(components[schema["$ref"].rpartition("/")[2]], components)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], components)
    return _of_type(schema, components)


def _is_special(schema: Json, name: str) -> bool:
    """Return whether a member of an object is present only in a special case, for example `truncated`: it may be left
    out, and has only one value."""
    return "const" in schema["properties"][name] and name not in schema.get("required", ())


def refusal(check: Callable[[], object]) -> HireflowError:
    """Return the error that the function `check` raises. Examples thus have the same texts as the errors of the code.
    Raises LookupError if `check` raises no error."""
    try:
        check()
    except HireflowError as error:
        return error
    raise LookupError("the check raises no error, so there is no example of its error")


def _of_type(schema: Json, components: Mapping[str, Json]) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind  # if a schema has two types, the second is null
    if kind == "object":
        shown = {name: part for name, part in schema.get("properties", {}).items() if not _is_special(schema, name)}
        return {name: example(part, components) for name, part in shown.items()}
    if kind == "array":
        return [example(schema["items"], components)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if schema.get("format") == "date-time":
        return TIME
    raise LookupError(f"the schema has no example: {schema}")
