"""Checks the tables of a restore point: ids must be unique, and parents must exist.

Memory holds only the ids of the rows, one bit for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib.backups.manifest import TableFile

MOST_NAMED = 10  # faults of one kind that are reported by id; further faults are only counted
_PAGE = 16  # the number of low bits of an id that give its place in a page


class Content:
    """Reads the ids and references of one table, and collects the number of rows, the ids and the faults. `parents` has
    the ids of the tables that were read before, by their names."""

    def __init__(self, parents: "dict[str, Ids]") -> None:
        self.ids, self.rows = Ids(), 0
        self._ids_of = parents
        self._parents: list[tuple[int, Ids, Faults]] = []
        self._repeated = Faults("id {} occurs more than once")

    def begin(self, references: Mapping[str, str]) -> None:
        """Set the references of the table: the name of each column with the name of its parent. In each row, they
        follow the id in this order."""
        # Foreign keys to a parent table that could not be read are not checked: the fault of the parent table is
        # reported already.
        self._parents = [
            (at, self._ids_of[parent], Faults(f"{name} {{}} is not among the {parent} of the snapshot"))
            for at, (name, parent) in enumerate(references.items(), 1)
            if parent in self._ids_of
        ]

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Read the rows of a block: a sequence of ids, and a sequence of values for each reference. None is null."""
        self.rows += len(columns[0])
        for row_id in columns[0]:
            if self.ids.add(row_id):
                self._repeated.add(row_id)
        for at, ids, orphans in self._parents:
            for parent in set(columns[at]):
                if parent is not None and parent not in ids:
                    orphans.add(parent)

    def differences(self, recorded: TableFile) -> Iterator[str]:
        """Yield all faults of the table. `recorded` is its entry in the manifest."""
        if self.rows != recorded.rows:
            yield f"the file has {self.rows} rows, the manifest says {recorded.rows}"
        for faults in (self._repeated, *(orphans for _, _, orphans in self._parents)):
            yield from faults.texts()


class Faults:
    """Collects faults of one kind. The ids of the first few faults are kept, and further faults are only counted."""

    def __init__(self, template: str) -> None:
        self._template, self._seen, self._more = template, set[int](), 0

    def add(self, value: int) -> None:
        if value in self._seen:
            return
        if len(self._seen) < MOST_NAMED:
            self._seen.add(value)
        else:
            self._more += 1

    def texts(self) -> Iterator[str]:
        yield from (self._template.format(value) for value in sorted(self._seen))
        if self._more:
            yield f"{self._template.format('…')} (more than {MOST_NAMED} such ids)"


class Ids:
    """Stores a set of integers as bits, in pages of 8 KiB. All possible ids take 256 MB. Ids without large gaps take
    little memory, because only pages with ids exist."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, value: int) -> bool:
        """Add a value. Return whether the set had the value before."""
        page = self._pages.get(value >> _PAGE)
        if page is None:
            page = self._pages[value >> _PAGE] = bytearray(1 << _PAGE - 3)
        byte, bit = (value & (1 << _PAGE) - 1) >> 3, 1 << (value & 7)
        if page[byte] & bit:
            return True
        page[byte] |= bit
        return False

    def __contains__(self, value: int) -> bool:
        page = self._pages.get(value >> _PAGE)
        return page is not None and bool(page[(value & (1 << _PAGE) - 1) >> 3] & 1 << (value & 7))
