"""Decides which differences between the declared datasets and the tables a migration may remove.

For some minutes after a migration, the functions of the previous release still run. So a migration must not remove
anything that they need. A migration deletes values only if the command names their column or table (`DROP`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Numeric
from sqlalchemy.dialects.postgresql.base import PGDialect

from chalicelib.core.dataset import Column, Dataset
from chalicelib.reports.hires import COLUMNS_READ
from infra.errors import CloudError
from infra.migration.operations import Call

_OLD_NAME = "declare the old name again; the header of a file may use other names of a column (aliases)"
Columns = Mapping[str, Sequence[str]]  # the columns of each table in the database, in the order of the table


class Steps:
    """Collects the operations of a migration, and the words that say what they do.

    `datasets` are the declared datasets. `existing` has the columns of the tables in the database. `dropped` has the
    tables and columns (`table.column`) that the migration may drop.
    """

    def __init__(self, datasets: Mapping[str, Dataset], existing: Columns, dropped: Iterable[str] = ()) -> None:
        self._datasets, self._existing, self._dropped = datasets, existing, set(dropped)
        self.operations: list[MigrateOperation] = []
        self.words: list[str] = []
        self._last: list[MigrateOperation] = []  # drops come last, because other tables may refer to them

    @property
    def about(self) -> str:
        """Return sentences that say what the migration does."""
        return " ".join(f"{words}." for words in self.words if words)

    def take(self, differences: Iterable[MigrateOperation]) -> None:
        """Add the operations for these differences. Raises CloudError for the first difference that no migration may
        make, and for a name in `dropped` that is still declared or does not exist."""
        self._require_columns_of_reports()
        for difference in differences:
            self._take(difference)
        self.operations += self._last
        if unused := sorted(self._dropped):
            raise CloudError(
                f"DROP={unused[0]}: datasets.py must not declare it any more, and the database must have it. Write a"
                " column as TABLE.COLUMN"
            )
        for dataset in self._datasets.values():
            self._require_order(dataset)

    def _take(self, difference: MigrateOperation) -> None:
        match difference:
            case ops.CreateTableOp():
                self._create(difference)
            case ops.AddColumnOp():
                self._add(difference)
            case ops.AlterColumnOp():
                self._alter(difference)
            case ops.DropColumnOp():
                self._drop_column(difference)
            case ops.DropTableOp():
                self._drop_table(difference)
            case ops.CreateForeignKeyOp():
                self._refer(difference)
            case _:
                self._do(f"Changes a key or an index ({type(difference).__name__})", difference)

    def _do(self, words: str, *operations: MigrateOperation) -> None:
        self.words.append(words)
        self.operations += operations

    def _declared(self, table: str, column: str) -> Column | None:
        """Return the declared column, or None if the table is an internal one."""
        dataset = self._datasets.get(table)
        return next((c for c in dataset.columns if c.name == column), None) if dataset else None

    def _create(self, operation: ops.CreateTableOp) -> None:
        name = operation.table_name
        if name in self._datasets:
            self._do(f"Adds the dataset {name}", operation, Call("track_changes", name))
        else:
            self._do(f"Adds the table {name}", operation)

    def _add(self, operation: ops.AddColumnOp) -> None:
        table, name = operation.table_name, operation.column.name
        declared = self._declared(table, name)
        if declared and not declared.may_be_absent:
            kept = self._datasets[table].column_names
            undeclared = [column for column in self._existing.get(table, ()) if column not in kept]
            renamed = f". If you have renamed {undeclared[0]}, {_OLD_NAME}" if undeclared else ""
            raise CloudError(
                f"{table}: the new column {name} is mandatory and has no default, but the rows in the table have no"
                f" value for it. Declare {name} with optional=True or with a default{renamed}"
            )
        self._do(f"Adds the column {name} to {table}", operation)

    def _alter(self, operation: ops.AlterColumnOp) -> None:
        table, name = operation.table_name, operation.column_name
        declared = self._declared(table, name)
        if operation.modify_type is not None and not _is_wider(operation.existing_type, operation.modify_type):
            raise CloudError(
                f"{table}: the column {name} is {_shown(operation.existing_type)} in the database, but"
                f" {_shown(operation.modify_type)} in datasets.py. The kind of a column cannot change, because the"
                " previous release could not read it. Declare a new column with another name, and load its values"
            )
        if declared and operation.modify_nullable is False:
            self._require_values(declared, operation)
        else:
            self._do(f"Changes the column {name} of {table}", operation)

    def _require_values(self, declared: Column, operation: ops.AlterColumnOp) -> None:
        table = operation.table_name
        check = "fill_nulls" if declared.default is not None else "require_values"
        self._do(f"Makes the column {declared.name} of {table} mandatory", Call(check, table, declared.name), operation)
        # The rows without a value get the default, so the default must be there first.
        if declared.default is not None and operation.modify_server_default is not False:
            default = ops.AlterColumnOp(
                table,
                declared.name,
                existing_type=operation.existing_type,
                existing_nullable=True,
                modify_server_default=operation.modify_server_default,
            )
            self.operations.insert(-2, default)
            operation.existing_server_default = operation.modify_server_default
            operation.modify_server_default = False

    def _refer(self, operation: ops.CreateForeignKeyOp) -> None:
        table, [column, *_] = str(operation.source_table), operation.local_cols
        if column in self._existing.get(table, ()):
            raise CloudError(
                f"{table}: {column} refers to {operation.referent_table} in datasets.py, but not in the database. A"
                " column that has values cannot begin to refer to a dataset, because the previous release does not"
                " check the references. Declare a new column with this parent, and load its values"
            )
        self._do("", operation)

    def _drop_column(self, operation: ops.DropColumnOp) -> None:
        table, name = operation.table_name, operation.column_name
        self._require_permission(f"{table}.{name}", f"the column {name} of {table}")
        self._do(f"Drops the column {name} of {table}")
        self._last.append(operation)

    def _drop_table(self, operation: ops.DropTableOp) -> None:
        name = operation.table_name
        self._require_permission(name, f"the table {name}")
        self._do(f"Drops the dataset {name}")
        self._last += [operation, Call("forget_dataset", name)]

    def _require_permission(self, name: str, what: str) -> None:
        if name not in self._dropped:
            raise CloudError(
                f"the database has {what}, but datasets.py does not declare it. A migration that drops it deletes its"
                " values, and the previous release fails until the deployment has replaced it. If you have renamed it,"
                f" {_OLD_NAME}. If you want to drop it, add DROP={name} to the command"
            )
        self._dropped.discard(name)

    def _require_columns_of_reports(self) -> None:
        """Raise CloudError if a column that the reports read is not declared, or is optional."""
        for table, names in COLUMNS_READ.items():
            for name in names:
                column = self._declared(table, name)
                if column is None or column.optional:
                    raise CloudError(
                        f"{table}: the reports read the column {name}, so datasets.py must declare it, and it must be"
                        " mandatory. To do without it, first change the reports (chalicelib/reports) and the triggers"
                        " of quarterly_hires, in a migration of your own"
                    )

    def _require_order(self, dataset: Dataset) -> None:
        """Raise CloudError if the order of the existing columns is not the declared order. It must stay, because a file
        without a header names no columns."""
        kept = [name for name in self._existing.get(dataset.name, ()) if name in dataset.column_names]
        if list(dataset.column_names[: len(kept)]) != kept:
            raise CloudError(
                f"{dataset.name}: declare the columns in the order of the table: {', '.join(kept)}. Declare new columns"
                " after them. Files without a header name no columns, so the order must stay"
            )


def _is_wider(existing: object, declared: object) -> bool:
    """Return whether the declared type only allows more digits before the point."""
    return (
        isinstance(existing, Numeric)
        and isinstance(declared, Numeric)
        and existing.scale == declared.scale
        and (existing.precision or 0) < (declared.precision or 0)
    )


def _shown(sql_type: Any) -> str:
    """Return a type of SQLAlchemy as SQL."""
    dialect: Any = PGDialect  # it has no types
    return str(sql_type.compile(dialect=dialect())).lower()
