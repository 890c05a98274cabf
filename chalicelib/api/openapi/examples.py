"""An example of what a schema describes, put together from the examples of its parts."""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.api.openapi.json_schema import TIME, Json
from chalicelib.core.errors import HireflowError


def example(schema: Json, components: Mapping[str, Json]) -> Any:
    """The first of the schema's own `examples`, or one made of its parts: an object has all its
    members, a list one item, and a number is the least that is allowed.

    Raises LookupError for a text that declares neither an example nor its values.
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


def refusal(check: Callable[[], object]) -> HireflowError:
    """The error that a check raises, for an example that says what the code says. Raises LookupError if it passes."""
    try:
        check()
    except HireflowError as error:
        return error
    raise LookupError("the check passes: it is no example of a refusal")


def _of_type(schema: Json, components: Mapping[str, Json]) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind  # the other one is null
    if kind == "object":
        return {name: example(part, components) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema["items"], components)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if schema.get("format") == "date-time":
        return TIME
    raise LookupError(f"no example of {schema}")
