"""The one declaration of what Hireflow stores.

Everything that depends on a table's shape is made from `DATASETS`: CSV and API rules, the fast path's
pattern, the staging table, SQLAlchemy metadata, the Avro schema, routes and documentation. A new
dataset costs one entry here and one migration.

Order matters: parents come before their children, which is also the order of backups.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

MAX_ID = 2_147_483_647
MAX_TEXT = 10_000


class Kind(Enum):
    """What a column holds, with its Postgres type."""

    ID = "integer"
    TEXT = "text"
    INSTANT = "timestamptz"


@dataclass(frozen=True)
class Column:
    """A mandatory column; `parent` names the dataset whose `id` it refers to, `example` is for readers.

    `aliases` are other names for it in the header of a file.
    """

    name: str
    kind: Kind
    parent: str | None = None
    about: str = ""
    example: int | str = 1
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # by identity: what is made from a dataset is cached, and looked up for every row
class Dataset:
    """A table and everything the outside world calls it.

    `name` is the table and the prefix of its files, `route` the singular used in URLs. The first
    column is always the `id`, the primary key.
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
        """(column, parent dataset) of every foreign key."""
        return tuple((c, c.parent) for c in self.columns if c.parent is not None)


def _id(*aliases: str) -> Column:
    return Column("id", Kind.ID, about="primary key", aliases=aliases)


_DECLARED = (
    Dataset(
        "departments",
        "department",
        (
            _id("department_id", "dept_id", "department_no"),
            Column(
                "department",
                Kind.TEXT,
                about="name of the department",
                example="Staff",
                aliases=("department_name", "dept", "dept_name"),
            ),
        ),
    ),
    Dataset(
        "jobs",
        "job",
        (
            _id("job_id", "job_no"),
            Column(
                "job",
                Kind.TEXT,
                about="name of the job",
                example="Recruiter",
                aliases=("job_name", "job_title", "title"),
            ),
        ),
    ),
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
                about="when they were hired, ISO 8601, UTC unless it has an offset",
                example="2021-07-27T16:02:08Z",
                aliases=("hire_date", "hired_at", "hired_on", "date_hired", "hire_datetime", "date_of_hire"),
            ),
            Column(
                "department_id", Kind.ID, parent="departments", about="the department hired for", aliases=("dept_id",)
            ),
            Column("job_id", Kind.ID, parent="jobs", about="the job hired for", aliases=("job_no",)),
        ),
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DECLARED}


def children(parent: Dataset) -> Iterator[Dataset]:
    """Datasets with a foreign key to `parent`."""
    for dataset in DATASETS.values():
        if any(name == parent.name for _, name in dataset.references):
            yield dataset
