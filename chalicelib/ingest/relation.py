"""Defines the rows that a merge takes, and which columns each of them leaves out.

If a row leaves a column out, a stored row keeps its value, and a new row gets the default of the column, or NULL.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from chalicelib.core.dataset import Column, Dataset
from chalicelib.formats.csv_layout import CsvLayout


@dataclass(frozen=True)
class Relation:
    """Rows in SQL. `source` is any expression that can stand in FROM, and has `seq`, the order of the rows.

    `columns` has the names of the dataset's columns that the relation has. All rows leave out the other columns.
    `left_out` has an SQL condition for each of `columns` that some rows may leave out. The condition is true for a row
    that leaves the column out. The column is NULL in such a row. `{row}` in the condition stands for the alias of the
    row.
    """

    source: str
    columns: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def flagged(cls, source: str, columns: Collection[str], may_be_left_out: Iterable[str]) -> "Relation":
        """Return the rows of a source that has a `flag` for each column of `may_be_left_out`."""
        return cls(source, tuple(columns), {name: f"{{row}}.{flag(name)}" for name in may_be_left_out})

    def references(self, dataset: Dataset) -> list[tuple[Column, str]]:
        """Return the columns of the relation that refer to a parent, with the names of the parents."""
        return [(column, parent) for column, parent in dataset.references if column.name in self.columns]

    @classmethod
    def staged(cls, dataset: Dataset, layout: CsvLayout, table: str) -> "Relation":
        """Return the rows of a staging table.

        If the file has a header, all rows have the columns that it names. Without a header, empty fields at the end of
        a record leave out their columns. In a file of corrected rejects, each row names the columns that an empty field
        leaves out.
        """
        present = sorted(at for at in layout.positions if at is not None)
        columns = [dataset.columns[at] for at in present]
        left_out = {}
        for at, column in enumerate(columns):
            if column.may_be_absent and not layout.has_header:
                rest = ", ".join(f"{{row}}.{later.quoted}" for later in columns[at:])
                left_out[column.name] = f"ROW({rest}) IS NULL"
            elif column.may_be_absent and layout.left_out_column:
                named = f"' ' || coalesce({{row}}.{layout.left_out_column}, '') || ' '"
                left_out[column.name] = f"({{row}}.{column.quoted} IS NULL AND strpos({named}, ' {column.name} ') > 0)"
        return cls(table, tuple(column.name for column in columns), left_out)


def flag(column: str) -> str:
    """Return the name of the flag of a column. The flag is true for a row that leaves the column out. It begins with
    `_`, so no column of a dataset has this name."""
    return f"_left_out_{column}"
