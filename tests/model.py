"""A simple model of what files, requests and restores do to the tables. It shares no code with the product.

The model follows the contract: If a row leaves a column out, a stored row keeps its value, and a new row gets the
default or NULL. NULL is stored only in an optional column. A row waits for parents that do not exist.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.core.dataset import Column, Dataset
from tests.values import meaning

INVALID: Final = object()  # stands for a value that the rules refuse
Said = Mapping[str, Any]  # a row as it was sent: a value for each column that it does not leave out; None is null
Row = dict[str, Any]


@dataclass
class Counted:
    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(vars(self).values())


@dataclass
class Model:
    """The rows of each dataset by id, and the rows that wait for parents, by dataset and id."""

    datasets: Mapping[str, Dataset]
    tables: dict[str, dict[int, Row]] = field(default_factory=dict)
    waiting: dict[tuple[str, int], Said] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = {name: {} for name in self.datasets}

    def rows(self, dataset: Dataset) -> list[tuple[Any, ...]]:
        table = self.tables[dataset.name]
        return [tuple(table[row_id][name] for name in dataset.column_names) for row_id in sorted(table)]

    def load(self, dataset: Dataset, rows: Iterable[Said], *, may_wait: bool = True) -> Counted:
        """Load rows, of which no two have the same id unless all are valid. Return the counts of the load."""
        counted, accepted = Counted(), dict[int, Said]()
        for said in rows:
            counted.received += 1
            if self._is_broken(dataset, said):
                counted.rejected += 1
            elif not self._has_parents(dataset, said):
                counted.rejected += 1
                if may_wait:
                    self.waiting[dataset.name, said["id"]] = said
            else:
                counted.superseded += said["id"] in accepted
                accepted[said["id"]] = said
        for row_id, said in accepted.items():
            self.waiting.pop((dataset.name, row_id), None)
            outcome = self._merge(dataset, said)
            setattr(counted, outcome, getattr(counted, outcome) + 1)
        self._heal()
        return counted

    def _is_broken(self, dataset: Dataset, said: Said) -> bool:
        for column in dataset.columns:
            value = said.get(column.name) if column.name in said or not column.may_be_absent else _LEFT_OUT
            if value is INVALID or (value is None and not column.optional):
                return True
        return False

    def _has_parents(self, dataset: Dataset, said: Said) -> bool:
        return all(
            said.get(column.name) is None or said[column.name] in self.tables[parent]
            for column, parent in dataset.references
        )

    def _merge(self, dataset: Dataset, said: Said) -> str:
        table, row_id = self.tables[dataset.name], said["id"]
        known = table.get(row_id)
        table[row_id] = {**(known or {c.name: _default(c) for c in dataset.columns}), **said}
        if known is None:
            return "inserted"
        return "unchanged" if known == table[row_id] else "updated"

    def _heal(self) -> None:
        """Load the waiting rows whose parents have come. Parents come before their children."""
        for dataset in self.datasets.values():
            of_dataset = [key for key in self.waiting if key[0] == dataset.name]
            for key in of_dataset:
                if self._has_parents(dataset, self.waiting[key]):
                    self._merge(dataset, self.waiting.pop(key))


_LEFT_OUT: Final = object()


def _default(column: Column) -> Any:
    return None if column.default is None else meaning(column, str(column.default))
