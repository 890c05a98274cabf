"""Reads the schema of a table in a restore point. The table need not be a dataset of this release."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.formats import avro


@dataclass(frozen=True)
class TableSchema:
    """The schema of a table. `declared` is its Avro schema, as `formats.avro.schema` makes it."""

    declared: Mapping[str, Any]

    @classmethod
    def of(cls, declared: Any) -> "TableSchema":
        """Return the schema. Raises ValueError if `declared` is not the Avro schema of a record whose first field is an
        id."""
        if not isinstance(declared, dict) or not isinstance(declared.get("fields"), list):
            raise ValueError("it has a malformed schema of a table")
        fields = declared["fields"]
        if not fields or not all(
            isinstance(f, dict) and isinstance(f.get("name"), str) and "type" in f for f in fields
        ):
            raise ValueError("it has a malformed schema of a table")
        if "references" in fields[0] or not all(isinstance(f.get("references", ""), str) for f in fields):
            raise ValueError("it has a malformed reference of a table")
        if (fields[0]["name"], fields[0]["type"]) != ("id", "int"):
            raise ValueError("its first field must be id, of the type int")
        return cls(declared)

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> "TableSchema":
        return cls(avro.schema(dataset))

    @classmethod
    def of_file(cls, header: bytes) -> "TableSchema":
        """Return the schema in the header of an Avro file. Raises ValueError."""
        try:
            return cls.of(json.loads(header))
        except RecursionError as error:
            raise ValueError("it has a malformed schema of a table") from error

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The Avro type of each column. The descriptions of the columns are not part of it."""
        return {field["name"]: field["type"] for field in self.declared["fields"]}

    @cached_property
    def references(self) -> dict[str, str]:
        """The table to which each reference refers, by the name of the column."""
        return {field["name"]: field["references"] for field in self.declared["fields"] if "references" in field}
