"""Which field of a record is which column, and by what the fields are separated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from chalicelib.core.datasets import Dataset

Item = TypeVar("Item")


@dataclass(frozen=True)
class CsvLayout:
    """`positions` has an entry for each field of a record: the index of its column in the dataset, None for a field
    that is ignored. `has_header` is whether the first record names the columns. `has_sep_line` is whether a line such
    as `sep=;` stands before everything else, as Excel writes it."""

    delimiter: bytes
    positions: tuple[int | None, ...]
    has_header: bool = False
    has_sep_line: bool = False

    @classmethod
    def by_position(cls, dataset: Dataset, delimiter: bytes = b",") -> "CsvLayout":
        """The layout of a file without a header: all columns of the dataset in their order."""
        return cls(delimiter, tuple(range(len(dataset.columns))))

    @property
    def is_plain(self) -> bool:
        """Whether a record has the columns of the dataset in their order, and nothing else."""
        return self.positions == tuple(range(len(self.positions)))

    def in_order(self, fields: Sequence[Item]) -> list[Item]:
        """The fields of a record in the order of the dataset's columns, without the ignored ones."""
        by_column = {column: field for column, field in zip(self.positions, fields, strict=True) if column is not None}
        return [by_column[column] for column in sorted(by_column)]

    def as_sent(self, values: Sequence[Item]) -> list[Item | None]:
        """Values in the order of the dataset's columns, in the order of the file; None for ignored fields."""
        return [None if column is None else values[column] for column in self.positions]

    def trimmed(self, fields: Sequence[bytes]) -> Sequence[bytes]:
        """The fields without empty ones beyond the last column."""
        kept = len(fields)
        while kept > len(self.positions) and not fields[kept - 1].strip():
            kept -= 1
        return fields[:kept]
