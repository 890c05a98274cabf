"""Compares the tables of a database with the metadata. `make migration` and tests use this module."""

from collections.abc import Iterable

from alembic.autogenerate import produce_migrations
from alembic.operations.ops import DropConstraintOp, DropIndexOp, DropTableOp, MigrateOperation, ModifyTableOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text


def context_of(connection: Connection) -> MigrationContext:
    """Return the context in which Alembic compares a database with metadata, and renders operations."""
    return MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})


def differences(connection: Connection, metadata: MetaData) -> list[MigrateOperation]:
    """Return the operations that turn the tables of the database into the tables of the metadata. Alembic compares
    neither check constraints nor the names of keys."""
    found = produce_migrations(context_of(connection), metadata).upgrade_ops
    every: list[MigrateOperation] = []
    for operation in found.ops if found else ():
        every += operation.ops if isinstance(operation, ModifyTableOps) else [operation]
    return every


def made_by_hand(connection: Connection, differences: Iterable[MigrateOperation]) -> list[MigrateOperation]:
    """Return the differences that drop what no declaration can make: tables that are no datasets, and the indexes and
    unique constraints of datasets. A hand-written migration has made them, and they stay."""
    datasets = {*connection.execute(text("SELECT dataset FROM dataset_state")).scalars()}
    found: list[MigrateOperation] = []
    for operation in differences:
        match operation:
            case DropTableOp(table_name=table):
                is_ours = table in datasets
            case DropIndexOp(table_name=table) | DropConstraintOp(table_name=table, constraint_type="unique"):
                is_ours = table not in datasets
            case _:
                is_ours = True
        if not is_ours:
            found.append(operation)
    return found


def columns(connection: Connection) -> dict[str, list[str]]:
    """Return the names of the columns of each table, in the order in which they were added."""
    tables = inspect(connection)
    return {name: [column["name"] for column in tables.get_columns(name)] for name in tables.get_table_names()}
