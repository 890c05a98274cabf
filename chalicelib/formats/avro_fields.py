"""Finds the column of each field of an Avro file by its name, as Avro's schema resolution does. The order is free.

If no field has exactly the name of a column, names are compared as in the header of a CSV file: aliases count, and case
does not. The type of a field may be a union with null. A null is valid for Avro, but the rules reject its row. Fields
that match no column are ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.kind import Conversion, same
from chalicelib.formats.avro_schemas import AvroType, InvalidSchema, fields_of
from chalicelib.formats.csv_header import MOST_SHOWN, column_at, shown_name

_MOST_IGNORED = 200  # a format lists at most this many names of ignored columns
_PLAIN = {"null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"}


@dataclass(frozen=True)
class AvroFields:
    """The fields of a file. `types` and `columns` have an item for each field. An item of `columns` is the index of the
    column, or None if the field is ignored.

    `ignored` has the names of the ignored fields. `conversions` has a function for each column whose integers must be
    converted.
    """

    types: tuple[AvroType, ...]
    columns: tuple[int | None, ...]
    ignored: tuple[str, ...]
    conversions: dict[int, Conversion]

    @classmethod
    def of(cls, dataset: Dataset, schema: bytes) -> "AvroFields":
        """Match the schema of a file with the columns of `dataset`. Raises LoadError, which names each column that is
        missing and each field that cannot be read, with the types that are possible."""
        try:
            fields = fields_of(schema)
        except InvalidSchema as error:
            raise LoadError(
                f"the Avro schema is not that of {dataset.name}: it is not a valid schema of a record"
            ) from error
        columns, faults = _matched(dataset, [name for name, _ in fields])
        conversions: dict[int, Conversion] = {}
        for (name, kind), at in zip(fields, columns, strict=True):
            if at is None:
                continue
            column = dataset.columns[at]
            conversion = _conversion(column, kind)
            if conversion is None:
                faults.append(f"{shown_name(name)} is {kind}: declare it as {column.kind.avro_wanted}")
            elif conversion is not same:
                conversions[at] = conversion
        if faults:
            raise LoadError(f"the Avro schema is not that of {dataset.name}: {'; '.join(faults)}")
        ignored = [shown_name(name) for (name, _), at in zip(fields, columns, strict=True) if at is None]
        return cls(tuple(kind for _, kind in fields), tuple(columns), _shortened(ignored), conversions)

    def converted(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Convert the values of rows from the types of the file to those of the dataset. The values of a row are in the
        order of the columns."""
        if not self.conversions:
            return rows
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for at, convert in self.conversions.items():
            columns[at] = [None if value is None else convert(value) for value in columns[at]]
        return list(zip(*columns, strict=True))

    @cached_property
    def are_plain(self) -> bool:
        """Whether all fields have types without counts and choices: no arrays, maps, unions and records. fastavro reads
        only such files safely."""
        return all(kind.name in _PLAIN for kind in self.types)


def _matched(dataset: Dataset, names: list[str]) -> tuple[list[int | None], list[str]]:
    """Return the column of each field, and the faults: columns that match no field, or several fields."""
    exact = {name: at for at, name in enumerate(dataset.column_names) if name in names}
    aliases = [None if name in exact else column_at(dataset, name) for name in names]
    aliases = [None if at in exact.values() else at for at in aliases]
    columns = [exact.get(name, alias) for name, alias in zip(names, aliases, strict=True)]
    faults = []
    for at, column in enumerate(dataset.columns):
        found = columns.count(at)
        if not found:
            faults.append(f"{column.name} is missing: it must be {column.kind.avro_wanted}")
        elif found > 1:
            shown = [shown_name(name) for name, place in zip(names, columns, strict=True) if place == at]
            faults.append(f"{column.name} is named {found} times, as {', '.join(shown[:MOST_SHOWN])}")
    if names and len(set(columns) - {None}) < len(dataset.columns):
        shown = [shown_name(name) for name in names[:MOST_SHOWN]]
        faults.append(f"its fields are {', '.join(shown)}{', …' if len(names) > MOST_SHOWN else ''}")
    return columns, faults


def _conversion(column: Column, kind: AvroType) -> Conversion | None:
    """Return the conversion from an Avro type to a column, or None if there is none. All branches of a union, except
    null, must have the same conversion."""
    branches = [branch for branch in kind.branches if branch.name != "null"]
    conversions = {column.kind.avro_readable.get(str(branch)) for branch in branches}
    return conversions.pop() if len(conversions) == 1 else None


def _shortened(names: list[str]) -> tuple[str, ...]:
    more = len(names) - _MOST_IGNORED
    return (*names[:_MOST_IGNORED], f"and {more} more") if more > 0 else tuple(names)
