"""The datasets: name, route and parents. `make migration` writes this file from chalicelib/core/datasets.py."""

DECLARED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("departments", "department", ()),
    ("jobs", "job", ()),
    ("hired_employees", "hired_employee", ("departments", "jobs")),
)
