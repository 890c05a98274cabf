"""Declares the datasets that Hireflow stores. No other module declares a dataset or a column.

All code that depends on columns is derived from `DATASETS`: the rules, the pattern of the CSV reader's fast path, the
staging table, the SQLAlchemy metadata, the Avro schema, the routes and their documentation. A new dataset needs one
entry in this module, one migration, and one entry in `cli/datasets.py`.

The order matters: parents come before their children. Backups use the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

MAX_ID = 2_147_483_647
MAX_TEXT = 10_000


class Kind(Enum):
    """The kinds of columns. The value of each member is a Postgres type."""

    ID = "integer"
    TEXT = "text"
    INSTANT = "timestamptz"


@dataclass(frozen=True)
class Column:
    """A mandatory column. `parent` names the dataset whose `id` the column refers to.

    `about` and `example` appear in the documentation. `aliases` are other names for the column in the header of a file.
    """

    name: str
    kind: Kind
    parent: str | None = None
    about: str = ""
    example: int | str = 1
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # compared by identity, which is fast: the check of every row looks a dataset up
class Dataset:
    """A table, and the names under which clients know it.

    `name` is the name of the table and the prefix of its file names. `route` is the singular form that URLs use. The
    first column is always `id`, the primary key.
    """

    name: str
    route: str
    columns: tuple[Column, ...]

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def values(self) -> tuple[Column, ...]:
        """The columns besides the primary key."""
        return self.columns[1:]

    @property
    def references(self) -> tuple[tuple[Column, str], ...]:
        """The column of every foreign key, with the name of the parent dataset."""
        return tuple((c, c.parent) for c in self.columns if c.parent is not None)


def _id(*aliases: str) -> Column:
    return Column("id", Kind.ID, about="primary key", aliases=aliases)


_DEPARTMENT = Column(
    "department",
    Kind.TEXT,
    about="name of the department",
    example="Staff",
    aliases=("department_name", "dept", "dept_name"),
)
_JOB = Column(
    "job", Kind.TEXT, about="name of the job", example="Recruiter", aliases=("job_name", "job_title", "title")
)
_DECLARED = (
    Dataset("departments", "department", (_id("department_id", "dept_id", "department_no"), _DEPARTMENT)),
    Dataset("jobs", "job", (_id("job_id", "job_no"), _JOB)),
    Dataset(
        "hired_employees",
        "hired_employee",
        (
            _id("employee_id", "emp_id", "employee_no"),
            Column(
                "name",
                Kind.TEXT,
                about="name and surname of the employee",
                example="Ada Lund",
                aliases=("employee_name", "emp_name", "employee", "full_name"),
            ),
            Column(
                "datetime",
                Kind.INSTANT,
                about="when the employee was hired: ISO 8601, in UTC unless it has an offset",
                example="2021-07-27T16:02:08Z",
                aliases=("hire_date", "hired_at", "hired_on", "date_hired", "hire_datetime", "date_of_hire"),
            ),
            Column(
                "department_id",
                Kind.ID,
                parent="departments",
                about="the department that hired the employee",
                aliases=("dept_id",),
            ),
            Column("job_id", Kind.ID, parent="jobs", about="the job of the employee", aliases=("job_no",)),
        ),
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DECLARED}


def children(parent: Dataset) -> Iterator[Dataset]:
    """Yield the datasets that have a foreign key to `parent`."""
    for dataset in DATASETS.values():
        if any(name == parent.name for _, name in dataset.references):
            yield dataset
