"""Defines what a dataset is: a table with columns, and the names under which clients know it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import Broken, InvalidDeclaration, Missing, Value, as_text
from chalicelib.core.texts import bare_name

# The most columns of a dataset. A workbook has as many. With more columns, the pattern for clean lines of a CSV file
# would take seconds to compile.
MOST_COLUMNS = 200
_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
# Every table of Postgres has columns with the names of this set, except for two: `seq` is the number of a staged row,
# and `restore_point` is the partition key of the tables in Athena.
_RESERVED = frozenset({"restore_point", "seq", "oid", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
# A CSV file of rejects has columns of its own with these names. It could not be loaded if a column had one of them.
_OF_REJECTS = frozenset({"line", "reasons", "raw", "leftout"})
_NUMBER = re.compile(r"[+\d.]*")  # in a header, no name is a number or empty
# The first parts of the paths of the routes that do not belong to a dataset.
_ROUTES = frozenset({"backups", "dashboard", "docs", "health", "loads", "uploads"})
_OF_STAGING = re.compile("ignored_[0-9]+")  # the columns of staging tables for ignored fields


@dataclass(frozen=True)
class Column:
    """A column of a dataset. `parent` names the dataset whose `id` the column refers to.

    An `optional` column may be NULL. A row may leave a column out if the column is optional or has a `default`. Then a
    stored row keeps its value, and a new row gets the default, or NULL if there is no default.

    `about` and `example` appear in the documentation. `aliases` are other names for the column in the header of a file.
    `default` and `example` are written as in a request: "2026-01-05" for a date, "0.5" for a decimal. The attribute
    `default` has the checked form of the kind. Raises InvalidDeclaration.
    """

    name: str
    kind: Kind
    parent: str | None = None
    about: str = ""
    example: Value | None = None
    aliases: tuple[str, ...] = ()
    optional: bool = False
    default: Value | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidDeclaration(f"{self.name!r} is not a name of a column: {_RULE}")
        self._require_names_for_headers()
        if self.name in _RESERVED or _OF_STAGING.fullmatch(self.name):
            raise InvalidDeclaration(
                f"{self.name!r} cannot be the name of a column, because Postgres or Hireflow has a column of its own"
                " with this name: choose another name"
            )
        self._require_types()
        if self.parent is not None and self.kind is not Kind.ID:
            raise InvalidDeclaration(f"{self.name} refers to {self.parent}: its kind must be Kind.ID")
        if self.parent is not None and self.default is not None:
            raise InvalidDeclaration(
                f"{self.name} refers to {self.parent} and has a default: leave out the default, because the row to"
                " which it refers may not exist"
            )
        if self.example is None:
            object.__setattr__(self, "example", self.kind.example)
        if self.example is not None:
            self._checked("example", self.example)
        if self.default is not None:
            object.__setattr__(self, "default", self._checked("default", self.default))

    def _require_types(self) -> None:
        """Raise InvalidDeclaration for mistakes that only a type checker would find otherwise."""
        given: tuple[tuple[str, object], ...] = (("example", self.example), ("default", self.default))
        kind: object = self.kind
        aliases: object = self.aliases
        if not isinstance(kind, Kind):
            raise InvalidDeclaration(
                f"the kind of {self.name} is not a kind: write, for example, Kind.TEXT or Kind.decimal(12, 2)"
            )
        if isinstance(aliases, str):
            raise InvalidDeclaration(f"the aliases of {self.name} must be a tuple: write ({aliases!r},) with a comma")
        for what, value in given:
            if value is not None and not isinstance(value, str | int | float):
                raise InvalidDeclaration(
                    f"the {what} of {self.name} must be a text, a number or a boolean: write it as in a request, and a"
                    " date as a text"
                )

    def _require_names_for_headers(self) -> None:
        """Raise InvalidDeclaration if a name or an alias cannot stand in a header, or means something else there."""
        for name in (self.name, *self.aliases):
            if bare_name(name) in _OF_REJECTS:
                raise InvalidDeclaration(f"{name!r} is a name in files of rejects: choose another name or alias")
            if _NUMBER.fullmatch(bare_name(name)):
                raise InvalidDeclaration(
                    f"{name!r} cannot be an alias of {self.name}: an alias needs a letter or a sign"
                )

    def _checked(self, what: str, value: Value) -> Value:
        try:
            return self.kind.check(value)
        except Broken as error:
            raise InvalidDeclaration(f"the {what} {value!r} of {self.name} {error}") from None
        except Missing:
            raise InvalidDeclaration(f"the {what} of {self.name} is empty: leave it out") from None

    @property
    def may_be_absent(self) -> bool:
        """Whether a row may leave the column out."""
        return self.optional or self.default is not None

    @property
    def quoted(self) -> str:
        """The name in SQL. It is quoted, because it may be a word of SQL."""
        return f'"{self.name}"'

    @property
    def default_text(self) -> str | None:
        """The default as a text that a file may contain and that Postgres can convert to the type of the column. It is
        None if there is no default."""
        return None if self.default is None else as_text(self.default)

    @property
    def default_sql(self) -> str:
        """The default in SQL: NULL, or a quoted text."""
        text = self.default_text
        return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


_RULE = "use at most 40 lower-case letters, digits and underscores, and begin with a letter"


@dataclass(frozen=True, eq=False)  # compared by identity, because this is fast and the check of every row looks one up
class Dataset:
    """A table, and the names under which clients know it.

    `name` is the name of the table and the prefix of its file names. `route` is the singular form that URLs use. The
    first column is always `id`, the primary key. Columns that a row may leave out come after all other columns.
    Raises InvalidDeclaration.
    """

    name: str
    route: str
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        self._require_names()
        first, *others = self.columns or (None,)
        if first is None or first.name != "id" or first.kind is not Kind.ID or first.parent or first.may_be_absent:
            raise InvalidDeclaration(f'the first column of {self.name} must be Column("id", Kind.ID)')
        if not others:
            raise InvalidDeclaration(f"{self.name} needs a column besides its id")
        if len(self.columns) > MOST_COLUMNS:
            raise InvalidDeclaration(
                f"{self.name} declares more than {MOST_COLUMNS} columns: split it into two datasets"
            )
        names = [column.name for column in self.columns]
        for name in names:
            if names.count(name) > 1:
                raise InvalidDeclaration(f"{self.name} declares the column {name} twice")
        self._require_names_for_headers()
        for before, column in zip(self.columns, others, strict=False):
            if before.may_be_absent and not column.may_be_absent:
                raise InvalidDeclaration(
                    f"{self.name}: {column.name} is mandatory and has no default, so it must stand before"
                    f" {before.name}, which a row may leave out. If {column.name} is new in the table, leave it at the"
                    " end, and declare it with optional=True or with a default"
                )
            if column.parent == self.name:
                raise InvalidDeclaration(
                    f"{self.name}: {column.name} refers to {self.name} itself: it must refer to another dataset"
                )

    def _require_names(self) -> None:
        for name in (self.name, self.route):
            if not _NAME.fullmatch(name):
                raise InvalidDeclaration(f"{name!r} is not a name of a dataset: {_RULE}")
            # Postgres looks for tables such as pg_class in its own schema first.
            if name in _ROUTES or name.startswith("pg_"):
                owner = "Hireflow has a route of its own" if name in _ROUTES else "Postgres has tables of its own"
                raise InvalidDeclaration(
                    f"{name!r} cannot be the name of a dataset, because {owner} with such a name: choose another name"
                )

    def _require_names_for_headers(self) -> None:
        """Raise InvalidDeclaration if the header of a file could mean two columns by the same name."""
        in_headers: dict[str, str] = {}
        for column in self.columns:
            for name in (column.name, *column.aliases):
                other = in_headers.setdefault(bare_name(name), column.name)
                if other != column.name:
                    raise InvalidDeclaration(
                        f"{self.name}: in the header of a file, {name} would mean both {other} and {column.name}:"
                        " choose another name or alias"
                    )

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def table(self) -> str:
        """The name of the table in SQL. It is quoted, because it may be a word of SQL."""
        return f'"{self.name}"'

    @cached_property
    def fewest(self) -> int:
        """The number of columns that no row may leave out. They come before all other columns."""
        return sum(not column.may_be_absent for column in self.columns)

    @property
    def values(self) -> tuple[Column, ...]:
        """The columns besides the primary key."""
        return self.columns[1:]

    @property
    def references(self) -> tuple[tuple[Column, str], ...]:
        """The column of every foreign key, with the name of the parent dataset."""
        return tuple((c, c.parent) for c in self.columns if c.parent is not None)


def checked(datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    """Return the datasets by name, in the same order. Raises InvalidDeclaration if a name is used twice, or if a parent
    is not declared before its children."""
    by_name: dict[str, Dataset] = {}
    taken: set[str] = set()
    declared = tuple(datasets)
    names = {dataset.name for dataset in declared}
    for dataset in declared:
        for name in {dataset.name, dataset.route}:
            if name in taken:
                raise InvalidDeclaration(f"two datasets have the name {name}: choose another name")
            taken.add(name)
        for column, parent in dataset.references:
            if parent not in names:
                raise InvalidDeclaration(
                    f"{dataset.name}: {column.name} refers to {parent!r}, which is not a dataset: the parent must be"
                    f" one of {', '.join(by_name) or 'the datasets above'}"
                )
            if parent not in by_name:
                raise InvalidDeclaration(
                    f"{dataset.name}: {column.name} refers to {parent}: declare {parent} above {dataset.name}"
                )
        by_name[dataset.name] = dataset
    return by_name
