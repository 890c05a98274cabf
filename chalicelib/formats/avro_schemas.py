"""Parses the schemas of Avro files, and finds how each type is encoded. See the Avro 1.12 specification.

Schemas come from senders, so they are not trusted. A schema is converted into a tree of a few codings. Types that take
no bytes are removed from records. Therefore the work of reading a value is limited by the number of its bytes.
"""

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from chalicelib.formats.avro_codecs import MAX_BLOCK

_DEEPEST = 64  # the most levels of a schema
_UNION = "union"
_MOST_DIGITS = 1000  # digits of a decimal; more are not read as a decimal
_PRIMITIVE_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class InvalidSchema(ValueError):
    """The JSON is not an Avro schema."""


class Coding(Enum):
    """How a value is encoded."""

    FIXED = "a fixed number of bytes"
    VARINT = "a zig-zag varint"
    BYTES = "a length, and as many bytes as it says"
    RECORD = "one value of each part"
    UNION = "the number of a part, and a value of this part"
    ARRAY = "blocks of values; the type has one part, that of the values"


@dataclass(eq=False, slots=True)
class AvroType:
    """A type of a schema. `name` is Avro's name of the type, and `logical` is the name of its logical type, or "".

    `size` is the number of bytes of the coding FIXED. `parts` are the types inside this type. A record has no parts
    whose values take no bytes. `is_complete` is false while the fields of a record are being parsed; a record may
    contain itself, so its type can be used before it is complete.
    """

    coding: Coding
    name: str
    logical: str = ""
    size: int = 0
    parts: "list[AvroType]" = field(default_factory=list)
    is_complete: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether a value takes no bytes."""
        if self.coding is Coding.RECORD:
            return self.is_complete and not self.parts
        return self.coding is Coding.FIXED and not self.size

    @property
    def branches(self) -> "list[AvroType]":
        """The types that a value may have: the parts of a union, or only this type."""
        return self.parts if self.name == _UNION else [self]

    def __str__(self) -> str:
        if self.name == _UNION:
            return f"a union of {', '.join(map(str, self.parts[:5]))}{', …' if len(self.parts) > 5 else ''}"
        return f"{self.name} {self.logical}" if self.logical else self.name


@dataclass(eq=False, slots=True)
class DecimalType(AvroType):
    """The type of decimals. `scale` is the number of their digits after the point."""

    scale: int = 0


def fields_of(text: bytes) -> list[tuple[str, AvroType]]:
    """Return the names and types of the fields of a file's record. Raises InvalidSchema."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSchema from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise InvalidSchema
    return _Parser().record(schema, "", 0)[1]


class _Parser:
    """Parses a schema. Remembers its named types, because a schema may refer to an earlier type by its name."""

    def __init__(self) -> None:
        self._named: dict[str, AvroType] = {}

    def type(self, schema: Any, space: str, depth: int) -> AvroType:
        """Parse a type. `space` is the current name space, and `depth` is the number of types around this type."""
        if depth > _DEEPEST:
            raise InvalidSchema
        if isinstance(schema, str):
            return self._by_name(schema, space)
        if isinstance(schema, list):
            return _union([self.type(branch, space, depth + 1) for branch in schema])
        if not isinstance(schema, dict):
            raise InvalidSchema
        kind = schema.get("type")
        if kind in ("record", "error"):
            return self.record(schema, space, depth)[0]
        if kind in ("enum", "fixed"):
            return self._plain_named(schema, str(kind), space)
        if kind == "array":
            return AvroType(Coding.ARRAY, "array", parts=[self.type(schema.get("items"), space, depth + 1)])
        if kind == "map":
            entry = [AvroType(Coding.BYTES, "string"), self.type(schema.get("values"), space, depth + 1)]
            return AvroType(Coding.ARRAY, "map", parts=[_record([part for part in entry if not part.is_empty])])
        return _with_logical_type(self.type(kind, space, depth + 1), schema)

    def record(self, schema: dict[str, Any], space: str, depth: int) -> tuple[AvroType, list[tuple[str, AvroType]]]:
        """Parse a record. Returns the type, and the names and types of its fields."""
        record = AvroType(Coding.RECORD, "record", is_complete=False)
        space = self._define(schema, record, space)
        fields: list[tuple[str, AvroType]] = []
        for declared in _list(schema.get("fields")):
            if not isinstance(declared, dict) or not isinstance(declared.get("name"), str):
                raise InvalidSchema
            fields.append((declared["name"], self.type(declared.get("type"), space, depth + 1)))
        record.parts = [kind for _, kind in fields if not kind.is_empty]
        record.is_complete = True
        return _unwrapped(record), fields

    def _plain_named(self, schema: dict[str, Any], kind: str, space: str) -> AvroType:
        if kind == "enum":
            named = AvroType(Coding.VARINT, kind)
        else:
            size = schema.get("size")
            if type(size) is not int or not 0 <= size <= MAX_BLOCK:
                raise InvalidSchema
            named = AvroType(Coding.FIXED, kind, size=size)
        self._define(schema, named, space)
        return _with_logical_type(named, schema)

    def _define(self, schema: dict[str, Any], named: AvroType, space: str) -> str:
        """Remember a type under its full name. Returns the name space of the type."""
        name, own_space = schema.get("name"), schema.get("namespace", space)
        if not isinstance(name, str) or not isinstance(own_space, str):
            raise InvalidSchema
        full = _full_name(name, own_space)
        if full in self._named:
            raise InvalidSchema
        self._named[full] = named
        return full.rpartition(".")[0]

    def _by_name(self, name: str, space: str) -> AvroType:
        if name in _PRIMITIVE_SIZES:
            return AvroType(Coding.FIXED, name, size=_PRIMITIVE_SIZES[name])
        if name in ("int", "long"):
            return AvroType(Coding.VARINT, name)
        if name in ("string", "bytes"):
            return AvroType(Coding.BYTES, name)
        found = self._named.get(_full_name(name, space)) or self._named.get(name)
        if found is None:
            raise InvalidSchema
        return found


def _union(branches: list[AvroType]) -> AvroType:
    if any(branch.name == _UNION for branch in branches):
        raise InvalidSchema
    return AvroType(Coding.UNION, _UNION, parts=branches)


def _record(parts: list[AvroType]) -> AvroType:
    return _unwrapped(AvroType(Coding.RECORD, "record", parts=parts))


def _unwrapped(record: AvroType) -> AvroType:
    """Give a record with one part the coding of this part. Otherwise, many nested records with one part each would take
    much work for few bytes."""
    if len(record.parts) == 1 and record.parts[0].is_complete:
        [part] = record.parts
        record.coding, record.size, record.parts = part.coding, part.size, part.parts
    return record


def _with_logical_type(kind: AvroType, schema: dict[str, Any]) -> AvroType:
    """Return the type with the logical type of its schema. The specification demands to ignore a logical type that is
    unknown, or that does not fit the type."""
    logical = schema.get("logicalType")
    if not isinstance(logical, str) or kind.name not in _LOGICAL.get(logical, ()):
        return kind
    if logical != "decimal":
        return AvroType(kind.coding, kind.name, logical, kind.size, kind.parts)
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= _MOST_DIGITS:
        return kind
    return DecimalType(kind.coding, kind.name, logical, kind.size, scale=scale)


_INSTANTS = [f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos")]
_LOGICAL: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_INSTANTS, ("long",)),
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "decimal": ("bytes", "fixed"),
    "big-decimal": ("bytes",),
    "duration": ("fixed",),
    "uuid": ("string", "fixed"),
}


def _full_name(name: str, space: str) -> str:
    return f"{space}.{name}" if space and "." not in name else name


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidSchema
    return value
