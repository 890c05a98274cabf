"""What a report is. One declaration makes its routes, its part of the OpenAPI document, its command and its table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

FIRST, LAST = 1, 9999  # the years there are


class Figure(Enum):
    """What a column of a report holds."""

    ID = "a row's id"
    YEAR = "a year, in UTC"
    NAME = "text that somebody wrote"
    COUNT = "a number of hires"


@dataclass(frozen=True)
class ReportColumn:
    """`name` is for programs, `label` heads the column on the dashboard; `about` and `example` are for readers.

    No row may have NULL in a column: the document promises a value, and the dashboard shows one.
    """

    name: str
    figure: Figure
    label: str
    about: str = ""
    example: int | str | None = None


class Span(Enum):
    """The years that a caller may ask for."""

    YEAR = "year"  # one, which the path ends with
    RANGE = "range"  # all of a range, whose ends the query may name
    EVERY = "every"  # all that there are


@dataclass(frozen=True)
class Variant:
    """A report over one kind of span: `columns` are those of its rows, the rest is for the OpenAPI document.

    Variants whose rows are the same share a `schema`. `answer` says what a caller gets, and when that is empty.
    """

    operation: str
    summary: str
    about: str
    response: str
    schema: str
    columns: tuple[ReportColumn, ...]


@dataclass(frozen=True)
class Scope:
    """What a report is asked for: the years from `first` to `last`, both included, and one department or all."""

    first: int = FIRST
    last: int = LAST
    department_id: int | None = None


@dataclass(frozen=True, eq=False)  # by identity: an app may have several, and what is made from them is cached
class Report:
    """A question with a table for an answer.

    `name` is what the command line and the dashboard call it, `path` begins its routes, `file` the names of its
    downloads. `title` and `about` describe it to people, `heading` stands above its table on the dashboard.

    `sql` selects the columns of all variants, in the order of the rows, for the years from `:first` to `:last`. A
    report `by_department` can be narrowed to one: its SQL takes `:department_id` as well, which may be NULL.

    JSON is a list of rows, or an object with the list as its only `member`. The dashboard shows the rows as a table if
    it `has_table`, with the sum of the columns `summed` at the end of each row.
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
