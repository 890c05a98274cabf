"""Declares the datasets that Hireflow stores. No other module declares a dataset or a column.

All code that depends on columns is derived from `DATASETS`: the rules, the pattern of the CSV reader's fast path, the
staging table, the SQLAlchemy metadata, the Avro schema, the routes and their documentation. A new dataset or a new
column needs one declaration in this module, and one migration. `make migration` writes the migration.

The order matters: parents come before their children. Backups use the same order.
"""

from collections.abc import Iterator
from dataclasses import replace

from chalicelib.core.dataset import Column, Dataset, checked
from chalicelib.core.kinds.table import Kind

_ID = Column("id", Kind.ID, about="primary key")


def _id(*aliases: str) -> Column:
    return replace(_ID, aliases=aliases)


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

DATASETS: dict[str, Dataset] = checked(_DECLARED)


def children(parent: Dataset) -> Iterator[Dataset]:
    """Yield the datasets that have a foreign key to `parent`."""
    for dataset in DATASETS.values():
        if any(name == parent.name for _, name in dataset.references):
            yield dataset
