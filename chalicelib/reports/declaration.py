"""What a report consists of. Its declaration defines its routes, its part of the OpenAPI document, its command and its
table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

FIRST, LAST = 1, 9999  # the first and the last year that a report accepts


class Figure(Enum):
    """What a column of a report holds."""

    ID = "a row's id"
    YEAR = "a year, in UTC"
    NAME = "a text that a user sent"
    COUNT = "a number of hires"


@dataclass(frozen=True)
class ReportColumn:
    """A column of a report: `name` is for programs, `label` is its heading on the dashboard. `about` and `example`
    appear in the OpenAPI document.

    No column may hold NULL: the document promises a value, and the dashboard shows it.
    """

    name: str
    figure: Figure
    label: str
    about: str = ""
    example: int | str | None = None


class Span(Enum):
    """The years that a caller may ask for."""

    YEAR = "year"  # one year, at the end of the path
    RANGE = "range"  # a range of years; the query may name its ends
    EVERY = "every"  # all years


@dataclass(frozen=True)
class Variant:
    """A report over one kind of span. `columns` are the columns of its rows, the other members describe it in the
    OpenAPI document.

    Variants with the same columns share a `schema`. `response` says what the client gets, and when it is empty.
    """

    operation: str
    summary: str
    about: str
    response: str
    schema: str
    columns: tuple[ReportColumn, ...]


@dataclass(frozen=True)
class Scope:
    """What a report covers: the years from `first` to `last`, both included, and one department or all of them."""

    first: int = FIRST
    last: int = LAST
    department_id: int | None = None


@dataclass(frozen=True, eq=False)  # compared by identity, because parts made from a report are cached
class Report:
    """A report: a query whose result is a table.

    The command line and the dashboard call it `name`. Its routes begin with `path`, the names of its downloads with
    `file`. `title` and `about` describe it to users. `heading` stands above its table on the dashboard.

    `sql` selects the columns of all variants for the years from `:first` to `:last`, and orders the rows. If a report
    is `by_department`, a client can ask for a single department: its SQL also takes `:department_id`, which may be
    NULL.

    The JSON is a list of rows, or an object whose only `member` is that list. If the report `has_table`, the dashboard
    shows the rows as a table. The sum of the columns `summed` then stands at the end of each row.
    """

    name: str
    path: str
    file: str
    title: str
    about: str
    heading: str
    sql: str
    variants: Mapping[Span, Variant]
    by_department: bool = False
    member: str = ""
    has_table: bool = True
    summed: tuple[str, ...] = ()

    def route(self, span: Span) -> str:
        return f"{self.path}/{{year}}" if span is Span.YEAR else self.path
