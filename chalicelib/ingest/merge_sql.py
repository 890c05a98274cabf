"""Makes the SQL that merges a relation into the table of a dataset. In all parts, `t` is the table, and `w` are the new
rows.

If all rows leave a column out, no statement names the column: an update keeps its values, and Postgres gives new rows
its default. If only some rows leave a column out, the rows have a flag for this column. For a row with this flag, an
update keeps the value of the table, and an insert takes the default of the declaration.
"""

from dataclasses import dataclass
from functools import cached_property

from chalicelib.core.dataset import Column, Dataset
from chalicelib.ingest.relation import Relation, flag

IS_NEW, IS_DIFFERENT = "_is_new", "_is_different"  # columns of `compared_rows`; no column of a dataset begins with `_`


@dataclass(frozen=True)
class MergeSql:
    """The parts of the statements. `columns` has the columns of the relation besides the primary key."""

    dataset: Dataset
    relation: Relation

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.dataset.values if column.name in self.relation.columns)

    @cached_property
    def last_rows(self) -> str:
        """A query for the last row of every id."""
        flags = [
            f"{condition.format(row='s')} AS {flag(column)}" for column, condition in self.relation.left_out.items()
        ]
        source = f"(SELECT * FROM {self.relation.source}) s" if flags else self.relation.source
        names = ", ".join((self._names, *flags))
        return f"SELECT DISTINCT ON (id) {names} FROM {source} WHERE id IS NOT NULL ORDER BY id, seq DESC"

    @property
    def differ(self) -> str:
        """The condition that a new row differs from the row in the table."""
        if not self.columns:
            return "false"
        old, new = ", ".join(f"t.{c.quoted}" for c in self.columns), ", ".join(map(self._updated, self.columns))
        return f"({old}) IS DISTINCT FROM ({new})"

    @cached_property
    def compared_rows(self) -> str:
        """A query for the last row of every id. It also says of each row whether the table has none with its id, and
        whether the table has another row with its id."""
        return (
            f"SELECT w.*, t.id IS NULL AS {IS_NEW}, t.id = w.id AND {self.differ} AS {IS_DIFFERENT}"
            f" FROM ({self.last_rows}) w LEFT JOIN {self.dataset.table} t ON t.id = w.id"
        )

    @property
    def is_new(self) -> str:
        """The condition that the table has no row with the id of a new row."""
        return f"NOT EXISTS (SELECT FROM {self.dataset.table} t WHERE t.id = w.id)"

    def update(self, rows: str, is_different: str | None = None) -> str:
        """Return the statement that updates the rows that differ. `rows` are the new rows: the name of a query, or a
        query in parentheses. `is_different` is the condition that they differ, if it is known already."""
        # A statement must assign at least one value. If the relation has only ids, no row differs.
        assignments = ", ".join(f"{c.quoted} = {self._updated(c)}" for c in self.columns) or "id = t.id"
        is_different = is_different or self.differ
        return f"UPDATE {self.dataset.table} t SET {assignments} FROM {rows} w WHERE t.id = w.id AND {is_different}"

    def insert(self, rows: str) -> str:
        """Return the statement that inserts all new rows. `rows` is as in `update`."""
        values = ", ".join(("id", *map(self._inserted, self.columns)))
        return f"INSERT INTO {self.dataset.table} ({self._names}) SELECT {values} FROM {rows} w"

    @property
    def _names(self) -> str:
        return ", ".join(("id", *(column.quoted for column in self.columns)))

    def _updated(self, column: Column) -> str:
        """Return the value that a stored row gets."""
        if column.name not in self.relation.left_out:
            return f"w.{column.quoted}"
        return f"CASE WHEN w.{flag(column.name)} THEN t.{column.quoted} ELSE w.{column.quoted} END"

    def _inserted(self, column: Column) -> str:
        """Return the value that a new row gets. A row that leaves a column out has NULL in this column."""
        if column.name not in self.relation.left_out or column.default is None:
            return column.quoted
        return f"CASE WHEN w.{flag(column.name)} THEN {column.default_sql} ELSE w.{column.quoted} END"
