"""Compares the declared datasets with the tables that the migrations make.

`require_migrations` reads the files of the migrations, so it needs no database and can run before anything changes. It
finds only tables and columns that no migration adds. `require_tables` reads the tables of a database, and finds every
difference.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME = r"""(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?\W*(?:public"?\s*\.\W*)?(\w+)"""
# The beginnings of statements in SQL. The group is the name of the table.
_CREATED = re.compile(rf"create\s+table\W+{_NAME}", re.IGNORECASE)
_ALTERED = re.compile(rf"alter\s+table\W+{_NAME}", re.IGNORECASE)
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
    """Raise ConfigurationError if the migrations in the folder `versions` are not one line, in which each migration
    follows another one. After a merge of two branches, two migrations may follow the same one."""
    followers: dict[str | None, str] = {}
    revisions: dict[str | None, str] = {None: ""}
    for path in sorted(versions.glob("*.py")):
        revision, previous = _revisions(path)
        if other := followers.get(previous):
            raise ConfigurationError(
                f"the migrations {other} and {path.name} both follow {previous or 'no migration'}: give one of them the"
                " next free number in its name and in `revision`, and let its `down_revision` be the number of the"
                " other one"
            )
        followers[previous] = path.name
        if other := revisions.get(revision):
            raise ConfigurationError(
                f"the migrations {other} and {path.name} both have the revision {revision}: give one of them the next"
                " free number in its name and in `revision`"
            )
        revisions[revision] = path.name
    at: str | None = None
    names = {name: revision for revision, name in revisions.items()}
    while at in followers:
        at = names[followers.pop(at)]
    if followers:
        previous, name = followers.popitem()
        is_known = previous in revisions
        raise ConfigurationError(
            f"the migration {name} follows {previous}, "
            + ("which follows it" if is_known else "but no migration has this revision")
            + ": let its `down_revision` be the revision of the migration before it"
        )


def _revisions(path: Path) -> tuple[str, str | None]:
    """Return the revision of a migration, and the one that it follows. Raises ConfigurationError."""
    found: dict[str, object] = {}
    for node in _parsed(path.name, path.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value)):
                found[name] = value
    revision, previous = found.get("revision"), found.get("down_revision", "")
    if not isinstance(revision, str) or not (previous is None or (isinstance(previous, str) and previous)):
        raise ConfigurationError(
            f"the migration {path.name} must set `revision` and `down_revision`, each to one text, as the other"
            " migrations do"
        )
    return revision, previous


def _parsed(name: str, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(
            f"the migration {name} is not valid Python ({error}): mend it, or delete it and run `make migration NAME=…`"
        ) from None


def require_migrations(datasets: Mapping[str, Dataset], versions: Path) -> None:
    """Raise ConfigurationError for the first dataset or column that no migration in the folder `versions` adds, or if a
    migration is not valid Python."""
    sources = {path.name: path.read_text() for path in sorted(versions.glob("*.py"))}
    calls = [call for name, source in sources.items() for call in _calls(name, source)]
    for name, dataset in datasets.items():
        added = [s for source in sources.values() for s in _statements(_CREATED, name, source)]
        columns = {column for call in calls if call.table == name for column in call.columns}
        if not added and not any(call.creates and call.table == name for call in calls):
            raise _no_table(name)
        added += [s for source in sources.values() for s in _statements(_ALTERED, name, source)]
        for column in dataset.column_names:
            if column not in columns and not any(re.search(rf"\b{column}\b", statement) for statement in added):
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
    """Yield the statements of a migration in SQL that create or alter a table. A statement ends with a semicolon."""
    for match in pattern.finditer(source):
        if match[1].casefold() == table:
            end = source.find(";", match.end())
            yield source[match.start() : end if end > 0 else None]


class _Call(NamedTuple):
    """A call of Alembic that creates a table or adds a column, with the names of its columns."""

    creates: bool
    table: str
    columns: tuple[str, ...]


def _calls(name: str, source: str) -> Iterator[_Call]:
    """Yield the calls of Alembic in the migration `name`. Raises ConfigurationError if it is not valid Python."""
    for node in ast.walk(_parsed(name, source)):
        called = _named(node)
        if called and called[0] in ("create_table", "add_column"):
            columns = (inner[1] for inner in map(_named, ast.walk(node)) if inner and inner[0] == "Column")
            yield _Call(called[0] == "create_table", called[1], tuple(columns))


def _named(node: ast.AST) -> tuple[str, str] | None:
    """Return the name of a called method and its first argument, if this is a text."""
    match node:
        case ast.Call(func=ast.Attribute(attr=method), args=[ast.Constant(value=str(first)), *_]):
            return method, first
    return None


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
