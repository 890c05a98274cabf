"""Which field of an Avro file is which column, by Avro's schema resolution: by name, whatever the order.

A field that has not exactly the name of a column is taken as a header would be: by alias, whatever its case. Columns
of integers may be null, and so may texts and instants: the rules then reject the row. Other fields are ignored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.core.datasets import Column, Dataset, Kind
from chalicelib.core.errors import LoadError
from chalicelib.formats.avro_schemas import AvroType, InvalidSchema, fields_of
from chalicelib.formats.csv_header import MOST_SHOWN, column_at, shown_name

_MOST_IGNORED = 200  # names of ignored columns that a format lists
_DAY, _MILLISECOND = 86_400_000_000, 1000  # microseconds
Conversion = Callable[[int], int]
_WANTED = {Kind.ID: "int or long", Kind.TEXT: "string", Kind.INSTANT: "timestamp-micros or timestamp-millis"}
_PLAIN = {"null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"}


def _same(value: int) -> int:
    return value


def _of_milliseconds(value: int) -> int:
    return value * _MILLISECOND


def _of_nanoseconds(value: int) -> int:
    return value // 1000


def _of_days(value: int) -> int:
    return value * _DAY


# The stored types that a column can be read from, as "type logical type", with their conversion.
_READ: dict[Kind, dict[str, Conversion]] = {
    Kind.ID: {"int": _same, "long": _same},
    Kind.TEXT: {"string": _same, "bytes": _same, "string uuid": _same},
    Kind.INSTANT: {
        "int date": _of_days,
        **{
            f"long {local}timestamp-{unit}": conversion
            for local in ("", "local-")
            for unit, conversion in (("millis", _of_milliseconds), ("micros", _same), ("nanos", _of_nanoseconds))
        },
    },
}


@dataclass(frozen=True)
class AvroFields:
    """The fields of a file. `columns` has the index of the column for each of them, None for one that is ignored, whose
    names are in `ignored`. `conversions` has a function for each column whose integers need one."""

    types: tuple[AvroType, ...]
    columns: tuple[int | None, ...]
    ignored: tuple[str, ...]
    conversions: dict[int, Conversion]

    @classmethod
    def of(cls, dataset: Dataset, schema: bytes) -> "AvroFields":
        """Resolve the schema of a file of `dataset`. Raises LoadError, which names each field that is missing or cannot
        be read, with what is wanted."""
        try:
            fields = fields_of(schema)
        except InvalidSchema as error:
            raise LoadError(
                f"the Avro schema is not that of {dataset.name}: it is no valid schema of a record"
            ) from error
        columns, faults = _matched(dataset, [name for name, _ in fields])
        conversions: dict[int, Conversion] = {}
        for (name, kind), at in zip(fields, columns, strict=True):
            if at is None:
                continue
            column = dataset.columns[at]
            conversion = _conversion(column, kind)
            if conversion is None:
                faults.append(f"{shown_name(name)} is {kind}: declare it as {_WANTED[column.kind]}")
            elif conversion is not _same:
                conversions[at] = conversion
        if faults:
            raise LoadError(f"the Avro schema is not that of {dataset.name}: {'; '.join(faults)}")
        ignored = [shown_name(name) for (name, _), at in zip(fields, columns, strict=True) if at is None]
        return cls(tuple(kind for _, kind in fields), tuple(columns), _shortened(ignored), conversions)

    def converted(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Convert the values of rows as stored in the file, which are in the order of the columns."""
        if not self.conversions:
            return rows
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for at, convert in self.conversions.items():
            columns[at] = [None if value is None else convert(value) for value in columns[at]]
        return list(zip(*columns, strict=True))

    @cached_property
    def are_plain(self) -> bool:
        """Whether no field has a count or a choice, so that fastavro can read the file safely."""
        return all(kind.name in _PLAIN for kind in self.types)


def _matched(dataset: Dataset, names: list[str]) -> tuple[list[int | None], list[str]]:
    """Return the column of each field, and what is wrong: columns that no field or several fields stand for."""
    exact = {name: at for at, name in enumerate(dataset.column_names) if name in names}
    aliases = [None if name in exact else column_at(dataset, name) for name in names]
    aliases = [None if at in exact.values() else at for at in aliases]
    columns = [exact.get(name, alias) for name, alias in zip(names, aliases, strict=True)]
    faults = []
    for at, column in enumerate(dataset.columns):
        found = columns.count(at)
        if not found:
            faults.append(f"{column.name} is missing: it has to be {_WANTED[column.kind]}")
        elif found > 1:
            shown = [shown_name(name) for name, place in zip(names, columns, strict=True) if place == at]
            faults.append(f"{column.name} is there {found} times, as {', '.join(shown[:MOST_SHOWN])}")
    if names and len(set(columns) - {None}) < len(dataset.columns):
        shown = [shown_name(name) for name in names[:MOST_SHOWN]]
        faults.append(f"its fields are {', '.join(shown)}{', …' if len(names) > MOST_SHOWN else ''}")
    return columns, faults


def _conversion(column: Column, kind: AvroType) -> Conversion | None:
    """Return how values of a type become those of a column, None if they cannot. Of a union, all branches but null have
    to be read in one way."""
    branches = [branch for branch in kind.branches if branch.name != "null"]
    conversions = {_READ[column.kind].get(str(branch)) for branch in branches}
    return conversions.pop() if len(conversions) == 1 else None


def _shortened(names: list[str]) -> tuple[str, ...]:
    more = len(names) - _MOST_IGNORED
    return (*names[:_MOST_IGNORED], f"and {more} more") if more > 0 else tuple(names)
