"""Finds the column of each field of an Avro file by its name, as Avro's schema resolution does. The order is free.

If no field has exactly the name of a column, names are compared as in the header of a CSV file: aliases count, and case
does not. The type of a field may be a union with null. A null is valid for Avro, but the rules reject its row if the
column is mandatory. A file may lack columns that rows may leave out. Fields that match no column are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.kind import Conversion, same
from chalicelib.core.kinds.values import ABSENT
from chalicelib.formats.avro_schemas import AvroType, Coding, DecimalType, InvalidSchema, fields_of
from chalicelib.formats.csv_header import MOST_SHOWN, column_at, shown_name

_MOST_IGNORED = 200  # a format lists at most this many names of ignored columns
_PLAIN = {"null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"}
_INTEGERS = {"int", "long"}
_LONGEST = 400  # bytes of a decimal; a longer number is out of range for every kind
_OUT_OF_RANGE = b"\x7f" + bytes(_LONGEST - 1)


@dataclass(frozen=True)
class AvroFields:
    """The fields of a file, and the columns that are read from them.

    `types` and `places` have an item for each field. An item of `places` is the index of the field among the columns
    that are read, or None if the field is ignored. `columns` has the indexes of the columns that are read, in ascending
    order, and `width` is the number of columns of a row.

    `ignored` has the names of the ignored fields. `conversions` has a function for each place whose values must be
    converted, and the value in the stored form that stands for null there: None, or the default of the column.
    """

    types: tuple[AvroType, ...]
    places: tuple[int | None, ...]
    columns: tuple[int, ...]
    width: int
    ignored: tuple[str, ...] = ()
    conversions: Mapping[int, tuple[Conversion, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, schema: bytes, *, is_trusted: bool = False) -> "AvroFields":
        """Match the schema of a file with the columns of `dataset`. Raises LoadError, which names each column that is
        missing and each field that cannot be read, with the types that are possible.

        A trusted file is one of our own restore points. Its nulls may be older than the migration that made a column
        mandatory. This migration gave the column's default to the rows without a value, so the default also stands for
        these nulls.
        """
        try:
            fields = fields_of(schema)
        except InvalidSchema as error:
            raise LoadError(
                f"the Avro schema is not that of {dataset.name}: it is not a valid schema of a record"
            ) from error
        matched, faults = _matched(dataset, [name for name, _ in fields])
        columns = tuple(sorted({at for at in matched if at is not None}))
        places = tuple(None if at is None else columns.index(at) for at in matched)
        conversions: dict[int, tuple[Conversion, Any]] = {}
        for (name, kind), place in zip(fields, places, strict=True):
            if place is None:
                continue
            column = dataset.columns[columns[place]]
            conversion = _conversion(column, kind)
            if conversion is None:
                faults.append(f"{shown_name(name)} is {kind}: declare it as {column.kind.avro_wanted}")
                continue
            null = _for_null(column) if is_trusted and kind.coding is Coding.UNION else None
            if conversion is not same or null is not None:
                conversions[place] = conversion, null
        if faults:
            raise LoadError(f"the Avro schema is not that of {dataset.name}: {'; '.join(faults)}")
        ignored = _shortened(
            [shown_name(name) for (name, _), place in zip(fields, places, strict=True) if place is None]
        )
        types = tuple(kind for _, kind in fields)
        return cls(types, places, columns, len(dataset.columns), ignored, conversions)

    @classmethod
    def of_integers(cls, schema: bytes, names: Sequence[str]) -> "AvroFields":
        """Return the fields of a file of which only those with these names are read. Their values must be integers or
        null. Raises LoadError."""
        try:
            fields = fields_of(schema)
        except InvalidSchema as error:
            raise LoadError("the Avro schema is not a valid schema of a record") from error
        found = {
            name for name, kind in fields if _INTEGERS.issuperset(b.name for b in kind.branches if b.name != "null")
        }
        if lacking := [name for name in names if name not in found]:
            raise LoadError(f"the Avro schema has no integers {', '.join(map(shown_name, lacking))}")
        places = tuple(names.index(name) if name in names else None for name, _ in fields)
        return cls(tuple(kind for _, kind in fields), places, tuple(range(len(names))), len(names))

    def converted(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Convert the values of decoded rows from the types of the file to those of the dataset, and add ABSENT for the
        columns that the file lacks."""
        if not self.conversions and len(self.columns) == self.width:
            return rows
        decoded: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for place, (convert, null) in self.conversions.items():
            decoded[place] = [null if value is None else convert(value) for value in decoded[place]]
        present = dict(zip(self.columns, decoded, strict=True))
        absent = (ABSENT,) * len(rows)
        return list(zip(*(present.get(at, absent) for at in range(self.width)), strict=True))

    def are_plain(self, *, is_trusted: bool = False) -> bool:
        """Return whether fastavro reads all fields safely. Arrays, maps, unions and records are not safe, because their
        values contain counts or choices. In a trusted file, a union of null and a safe type is also safe.

        fastavro accepts a negative number of a union's branch, which only a damaged file has. The checksum of a trusted
        file shows that it is not damaged.
        """
        return all(
            (_is_plain(kind) or (is_trusted and _is_nullable(kind))) and not (kind.is_empty and place is not None)
            for kind, place in zip(self.types, self.places, strict=True)
        )


def _is_plain(kind: AvroType) -> bool:
    return kind.name in _PLAIN


def _is_nullable(kind: AvroType) -> bool:
    """Return whether a type is a union of null and one plain type."""
    return (
        kind.coding is Coding.UNION
        and len(kind.parts) == 2
        and all(map(_is_plain, kind.parts))
        and ([part.name for part in kind.parts].count("null") == 1)
    )


def _matched(dataset: Dataset, names: list[str]) -> tuple[list[int | None], list[str]]:
    """Return the column of each field, and the faults: columns that match several fields, and columns that match no
    field although no row may leave them out."""
    exact = {name: at for at, name in enumerate(dataset.column_names) if name in names}
    aliases = [None if name in exact else column_at(dataset, name) for name in names]
    aliases = [None if at in exact.values() else at for at in aliases]
    columns = [exact.get(name, alias) for name, alias in zip(names, aliases, strict=True)]
    faults = []
    is_lacking = False
    for at, column in enumerate(dataset.columns):
        found = columns.count(at)
        if not found and not column.may_be_absent:
            is_lacking = True
            faults.append(f"{column.name} is missing: it must be {column.kind.avro_wanted}")
        elif found > 1:
            shown = [shown_name(name) for name, place in zip(names, columns, strict=True) if place == at]
            faults.append(f"{column.name} is named {found} times, as {', '.join(shown[:MOST_SHOWN])}")
    if names and is_lacking:
        shown = [shown_name(name) for name in names[:MOST_SHOWN]]
        faults.append(f"its fields are {', '.join(shown)}{', …' if len(names) > MOST_SHOWN else ''}")
    return columns, faults


def _conversion(column: Column, kind: AvroType) -> Conversion | None:
    """Return the conversion from an Avro type to a column, or None if there is none. All branches of a union, except
    null, must have the same conversion. For an optional column, the type may also be null alone."""
    branches = [branch for branch in kind.branches if branch.name != "null"]
    if not branches and column.optional and kind.branches:
        return same
    conversions = {column.kind.avro_conversion(str(branch), _scale(branch)) for branch in branches}
    conversion = conversions.pop() if len(conversions) == 1 else None
    return _bounded(conversion) if conversion and isinstance(branches[0], DecimalType) else conversion


def _for_null(column: Column) -> Any:
    """Return the stored value that stands for a null of our own restore point: the default of a mandatory column."""
    return None if column.optional or column.default is None else column.kind.stored(column.default)


def _scale(kind: AvroType) -> int:
    return kind.scale if isinstance(kind, DecimalType) else 0


def _bounded(conversion: Conversion) -> Conversion:
    """Return the conversion of decimals for bytes of any length. The work for a number grows faster than its length. So
    a number with too many bytes becomes a shorter number, which is also out of range."""
    return lambda value: conversion(value if len(value) <= _LONGEST else _OUT_OF_RANGE)


def _shortened(names: list[str]) -> tuple[str, ...]:
    more = len(names) - _MOST_IGNORED
    return (*names[:_MOST_IGNORED], f"and {more} more") if more > 0 else tuple(names)
