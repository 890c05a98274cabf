"""The reports of the API. `python -m infra.reports` writes this file from chalicelib/reports/hires.py: change that."""

from cli.reports import Report

REPORTS = (
    Report(
        name="quarterly",
        title="Hires per department, job and quarter",
        about="For one year, for a range of years, or for all years.",
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
        about="In one year, in a range of years, or in all years.",
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
        about="How many people were hired in each year, in UTC.",
        path="/department/hires/years",
        takes_year=False,
        takes_range=False,
        takes_department=False,
        texts=(),
        member="years",
    ),
)
