"""The reports of the API. Made by `python -m infra.reports` from chalicelib/reports/hires.py: change that."""

from cli.reports import Report

REPORTS = (
    Report(
        name="quarterly",
        title="Hires per department, job and quarter",
        about="Of a year, of a range of years, or of all of them.",
        path="/department/hires/quarterly",
        takes_year=True,
        takes_range=True,
        takes_department=True,
        texts=("department", "job"),
        member="",
    ),
    Report(
        name="top",
        title="Departments that hired more than the mean",
        about="In a year, in a range of years, or in all of them.",
        path="/department/hires/top",
        takes_year=True,
        takes_range=True,
        takes_department=False,
        texts=("department",),
        member="",
    ),
    Report(
        name="years",
        title="Years with hires, newest first",
        about="How many were hired in each, in UTC.",
        path="/department/hires/years",
        takes_year=False,
        takes_range=False,
        takes_department=False,
        texts=(),
        member="years",
    ),
)
