"""Which field of a record is which column, and by what the fields are separated."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import AnyStr, TypeVar

from chalicelib.core.datasets import Dataset
from chalicelib.core.texts import is_blank
from chalicelib.formats.formulas import unguarded

Item = TypeVar("Item")


def _bare(name: str) -> str:
    return name.strip(" \t\"'").casefold()


@dataclass(frozen=True)
class CsvLayout:
    """`positions` has an entry for each field of a record: the index of its column in the dataset, None for a field
    that is ignored. `has_header` is whether the first record names the columns. `has_sep_line` is whether a line such
    as `sep=;` stands before everything else, as Excel writes it.

    `names` are the names in the header. A file of corrected rejects has two more columns: `line` names the reject that
    a record replaces, and `reasons` says why it was rejected.
    """

    delimiter: bytes
    positions: tuple[int | None, ...]
    has_header: bool = False
    has_sep_line: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def by_position(cls, dataset: Dataset, delimiter: bytes = b",") -> "CsvLayout":
        """The layout of a file without a header: all columns of the dataset in their order."""
        return cls(delimiter, tuple(range(len(dataset.columns))))

    @cached_property
    def line_at(self) -> int | None:
        """The field with the line of the reject that a record replaces, None if the file has no such column."""
        return self._ignored_at("line")

    @cached_property
    def is_corrected(self) -> bool:
        """Whether the file contains corrected rejects. Its texts may begin with an apostrophe (`formulas`)."""
        return self._ignored_at("reasons") is not None

    def _ignored_at(self, name: str) -> int | None:
        named = zip(self.names, self.positions, strict=False)
        return next((at for at, (sent, column) in enumerate(named) if column is None and _bare(sent) == name), None)

    @property
    def is_plain(self) -> bool:
        """Whether a record has the columns of the dataset in their order, and nothing else."""
        return self.positions == tuple(range(len(self.positions)))

    def in_order(self, fields: Sequence[Item]) -> list[Item]:
        """The fields of a record in the order of the dataset's columns, without the ignored ones."""
        by_column = {column: field for column, field in zip(self.positions, fields, strict=True) if column is not None}
        return [by_column[column] for column in sorted(by_column)]

    def values(self, fields: Sequence[bytes]) -> tuple[bytes, ...]:
        """The values of a record in the order of the dataset's columns."""
        fields = self.in_order(fields)
        return tuple(map(unguarded, fields) if self.is_corrected else fields)

    def corrected_line(self, fields: Sequence[bytes]) -> str | None:
        """The line of the reject that a record replaces, as it was sent. None if the record names none."""
        line = fields[self.line_at].strip() if self.line_at is not None else b""
        return line.decode() if line.isdigit() else None

    def as_sent(self, values: Sequence[Item]) -> list[Item | None]:
        """Values in the order of the dataset's columns, in the order of the file; None for ignored fields."""
        return [None if column is None else values[column] for column in self.positions]

    @property
    def line_column(self) -> str | None:
        """The column of the staging table for the field `line_at`: ignored fields are numbered from 1."""
        return None if self.line_at is None else f"ignored_{self.positions[: self.line_at].count(None) + 1}"

    def trimmed(self, fields: Sequence[AnyStr]) -> Sequence[AnyStr]:
        """The fields without empty ones beyond the last column."""
        kept = len(fields)
        while kept > len(self.positions) and is_blank(fields[kept - 1]):
            kept -= 1
        return fields[:kept]
