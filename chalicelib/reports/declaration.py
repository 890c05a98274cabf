"""Defines the parts of a report. From the declaration of a report, other code makes its routes, its part of the OpenAPI
document, its command and its table on the dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

FIRST, LAST = 1, 9999  # the first and the last year that a report accepts


class Figure(Enum):
    """The kind of the values in a column of a report."""

    ID = "a row's id"
    YEAR = "a year, in UTC"
    NAME = "a text that a user sent"
    COUNT = "a number of hires"


@dataclass(frozen=True)
class ReportColumn:
    """A column of a report: `name` is for programs, `label` is its heading on the dashboard. `about` and `example`
    appear in the OpenAPI document.

    No column may hold NULL, because the OpenAPI document promises a value.
    """

    name: str
    figure: Figure
    label: str
    about: str = ""
    example: int | str | None = None


class Span(Enum):
    """Says for which years a caller may ask."""

    YEAR = "year"  # one year, at the end of the path
    RANGE = "range"  # a range of years; the query of the request may give its first and last year
    EVERY = "every"  # all years


@dataclass(frozen=True)
class Variant:
    """A report over one kind of span. `columns` are the columns of the report. The other members describe the report in
    the OpenAPI document.

    Variants with the same columns share a `schema`. `response` says what the client gets, and when the report is empty.
    """

    operation: str
    summary: str
    about: str
    response: str
    schema: str
    columns: tuple[ReportColumn, ...]


@dataclass(frozen=True)
class Scope:
    """The part of the data that a report covers: the years from `first` to `last`, both included, and one department or
    all departments."""

    first: int = FIRST
    last: int = LAST
    department_id: int | None = None


@dataclass(frozen=True, eq=False)  # hashed by identity: a tuple of reports is the key of a cache
class Report:
    """A report: a query whose result is a table.

    The command line and the dashboard call the report `name`. The routes of the report begin with `path`, and the names
    of downloaded files begin with `file`. `title` and `about` describe the report to users. `heading` stands above the
    table on the dashboard.

    `sql` selects the columns of all variants for the years from `:first` to `:last`, and orders the rows. If
    `by_department` is true, a client can ask for a single department. The SQL then also takes `:department_id`, which
    is NULL if the client asks for all departments.

    The JSON is a list of rows. If `member` is not empty, the JSON is an object, and its only member has this name and
    holds the list. If `has_table` is true, the dashboard shows the rows as a table. The sum of the columns `summed`
    then stands at the end of each row.
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
