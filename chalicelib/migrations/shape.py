"""Compares the declared datasets with the tables that the migrations make.

`require_migrations` reads the files of the migrations, so it needs no database and can run before anything changes. It
finds only tables and columns that no migration adds. `require_tables` reads the tables of a database, and finds every
difference.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME = r"""(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?\W*(?:public\W+)?(\w+)"""
# Each pattern matches the beginning of an SQL statement or of a call of Alembic. The group is the name of the table.
_CREATED = re.compile(rf"create[ _]table\W+{_NAME}", re.IGNORECASE)
_ALTERED = re.compile(rf"(?:alter\s+table|op\.add_column\W)\W*{_NAME}", re.IGNORECASE)
_PREVIOUS = re.compile(r"""^down_revision\b[^=]*= *["'](\w+)["']""", re.MULTILINE)
_SQL_TYPES = {"timestamptz": "timestamp with time zone"}
_DO = "run `make migration NAME=…`, which writes one"


class StoredColumn(NamedTuple):
    """A column of a table in the database. `sql_type` is written as Postgres's format_type does."""

    name: str
    sql_type: str
    may_be_null: bool
    has_default: bool

    @classmethod
    def of(cls, column: Column) -> "StoredColumn":
        """Return what a declared column should be in the database."""
        sql_type = column.kind.sql.replace(" ", "")
        return cls(column.name, _SQL_TYPES.get(sql_type, sql_type), column.optional, column.default is not None)

    def __str__(self) -> str:
        default = "with a default" if self.has_default else "without a default"
        return f"{self.sql_type}, {'optional' if self.may_be_null else 'mandatory'}, {default}"


def require_one_line(versions: Path) -> None:
    """Raise ConfigurationError if two migrations in the folder `versions` follow the same one, as after a merge of two
    branches."""
    followers: dict[str, str] = {}
    for path in sorted(versions.glob("*.py")):
        for previous in _PREVIOUS.findall(path.read_text()):
            if other := followers.get(previous):
                raise ConfigurationError(
                    f"the migrations {other} and {path.name} both follow {previous}: give one of them the next free"
                    " number in its name and in `revision`, and let its `down_revision` be the number of the other one"
                )
            followers[previous] = path.name


def require_migrations(datasets: Mapping[str, Dataset], versions: Path) -> None:
    """Raise ConfigurationError for the first dataset or column that no migration in the folder `versions` adds."""
    sources = [path.read_text() for path in sorted(versions.glob("*.py"))]
    for name, dataset in datasets.items():
        added = [statement for source in sources for statement in _statements(_CREATED, name, source)]
        if not added:
            raise _no_table(name)
        added += [statement for source in sources for statement in _statements(_ALTERED, name, source)]
        for column in dataset.column_names:
            if not any(re.search(rf"\b{column}\b", statement) for statement in added):
                raise _no_column(name, column)


def require_tables(datasets: Mapping[str, Dataset], connection: "Connection", *, later: str = "") -> None:
    """Raise ConfigurationError for the first difference between the declared datasets and the tables. `later` is the
    revision of the tables if a later release has made them. Such tables need only have the declared columns, with their
    types."""
    for name, dataset in datasets.items():
        stored = {column.name: column for column in _stored(name, connection)}
        if not stored:
            raise _not_in_later(later, f"the table {name} is missing") if later else _no_table(name)
        for declared in map(StoredColumn.of, dataset.columns):
            found = stored.get(declared.name)
            if later:
                _require_readable(later, name, declared, found)
                continue
            if found is None:
                raise _no_column(name, declared.name)
            if found != declared:
                raise ConfigurationError(
                    f"datasets.py declares the column {declared.name} of {name} as {declared}, but in the database it"
                    f" is {found}, and no migration changes it: {_DO}"
                )
        if not later:
            _require_same_columns(dataset, [*stored], name)


def _require_readable(later: str, table: str, declared: StoredColumn, found: StoredColumn | None) -> None:
    if found is None:
        raise _not_in_later(later, f"the column {declared.name} of {table} is missing")
    if found.sql_type != declared.sql_type:
        raise _not_in_later(
            later, f"the column {declared.name} of {table} is {found.sql_type} instead of {declared.sql_type}"
        )


def _require_same_columns(dataset: Dataset, stored: Sequence[str], table: str) -> None:
    for column in stored:
        if column not in dataset.column_names:
            raise ConfigurationError(
                f"the table {table} has the column {column}, which datasets.py does not declare, and no migration drops"
                f" it: declare it, or {_DO}"
            )
    if [*stored] != [*dataset.column_names]:
        raise ConfigurationError(
            f"datasets.py declares the columns of {table} in another order than the table has: declare them as"
            f" {', '.join(stored)}"
        )


def _stored(table: str, connection: "Connection") -> Iterator[StoredColumn]:
    from sqlalchemy import text

    for row in connection.execute(text(_COLUMNS), {"table": table}):
        yield StoredColumn(*row)


_COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, atthasdef FROM pg_attribute
    WHERE attrelid = to_regclass(format('public.%I', CAST(:table AS text))) AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
"""


def _statements(pattern: re.Pattern[str], table: str, source: str) -> Iterator[str]:
    """Yield the statements of a migration that create or alter a table. A statement ends with a semicolon, or with the
    bracket that closes its first bracket."""
    for match in pattern.finditer(source):
        if match[1].casefold() == table:
            end = source.find(";", match.end())
            of_alembic = source.startswith("op.", match.start()) or source.startswith("op.", match.start() - 3)
            yield source[match.start() : _closing(source, match.start()) if of_alembic else end if end > 0 else None]


def _closing(source: str, start: int) -> int:
    """Return the index after the bracket that closes the first one after `start`."""
    depth = 0
    for index in range(source.index("(", start), len(source)):
        depth += {"(": 1, ")": -1}.get(source[index], 0)
        if depth == 0:
            return index + 1
    return len(source)


def _no_table(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"datasets.py declares {name}, but no migration creates the table {name}: {_DO} (CONTRIBUTING.md, Add a"
        " dataset)"
    )


def _no_column(table: str, column: str) -> ConfigurationError:
    return ConfigurationError(
        f"datasets.py declares the column {column} of {table}, but no migration adds it: {_DO} (CONTRIBUTING.md, Add an"
        " optional column)"
    )


def _not_in_later(later: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the database has the revision {later}, which this checkout does not have, and {what} there: bring the"
        f" migrations up to {later} back, or deploy the later release again"
    )
