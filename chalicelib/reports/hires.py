"""Declares all reports. To add a report, declare it in this module and append it to `REPORTS`.

Every report reads the summary `quarterly_hires`. Triggers keep this summary up to date, so a report never reads the
employees, however many there are. Names are ordered by byte (COLLATE "C"), so that the order is the same on every
server.
"""

from chalicelib.reports.declaration import Figure, Report, ReportColumn, Span, Variant

# The columns of datasets that the reports and the triggers of the summary read. They are mandatory.
COLUMNS_READ = {
    "departments": ("department",),
    "jobs": ("job",),
    "hired_employees": ("datetime", "department_id", "job_id"),
}
# A condition on a row of the summary: the row has hires. If employees are deleted, their row of the summary stays, and
# may have only zeros.
HIRED = "(q1 > 0 OR q2 > 0 OR q3 > 0 OR q4 > 0)"
# A condition on a row of the summary: the row belongs to the requested department, or no department is requested.
OF_DEPARTMENT = "(CAST(:department_id AS integer) IS NULL OR department_id = :department_id)"
ACTIVE = """
    WITH hired AS (
        SELECT department_id AS id, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires
        WHERE year BETWEEN :first AND :last GROUP BY department_id
    ), active AS (SELECT * FROM hired WHERE hired > 0)
"""

YEAR = ReportColumn("year", Figure.YEAR, "Year", example=2021)
DEPARTMENT = ReportColumn("department", Figure.NAME, "Department", example="Staff")
JOB = ReportColumn("job", Figure.NAME, "Job", example="Recruiter")
HIRES = ReportColumn("hired", Figure.COUNT, "Hired", example=6)
_QUARTERS = tuple(
    ReportColumn(f"q{n}", Figure.COUNT, f"Q{n}", f"hires in quarter {n}", example=n % 4) for n in range(1, 5)
)
_OF_A_DEPARTMENT = (ReportColumn("id", Figure.ID, "Id"), DEPARTMENT, HIRES)

QUARTERLY = Report(
    name="quarterly",
    path="/department/hires/quarterly",
    file="quarterly-hires",
    title="Hires per department, job and quarter",
    about="For one year, for a range of years, or for all years.",
    heading="By department and job",
    by_department=True,
    summed=tuple(column.name for column in _QUARTERS),
    sql=f"""
        SELECT h.year, d.department, j.job, h.q1, h.q2, h.q3, h.q4
        FROM quarterly_hires h JOIN departments d ON d.id = h.department_id JOIN jobs j ON j.id = h.job_id
        WHERE h.year BETWEEN :first AND :last AND {HIRED} AND {OF_DEPARTMENT}
        ORDER BY h.year, d.department COLLATE "C", j.job COLLATE "C", d.id, j.id
    """,
    variants={
        Span.YEAR: Variant(
            "report_quarterly_hires",
            "Hires per department, job and quarter",
            "Every department and job with a hire in that UTC year, ordered by their names (byte by byte).",
            "the report; empty for a year without hires",
            "QuarterlyHires",
            (DEPARTMENT, JOB, *_QUARTERS),
        ),
        Span.RANGE: Variant(
            "report_quarterly_hires_between",
            "Hires per year, department, job and quarter",
            "Every department and job with a hire, for each year from `from` to `to`, both included. Without `from`,"
            " the report begins with the first year. Without `to`, the report ends with the last year. The rows are"
            " ordered by year, then by names (byte by byte).",
            "the report; empty for years without hires",
            "QuarterlyHiresByYear",
            (YEAR, DEPARTMENT, JOB, *_QUARTERS),
        ),
    },
)
TOP = Report(
    name="top",
    path="/department/hires/top",
    file="top-departments",
    title="Departments that hired more than the mean",
    about="In one year, in a range of years, or in all years.",
    heading="Departments above the mean",
    has_table=False,  # the dashboard shows it as a chart
    sql=f"""
        {ACTIVE}
        SELECT a.id, d.department, a.hired FROM active a JOIN departments d USING (id)
        WHERE a.hired > (SELECT avg(hired) FROM active)
        ORDER BY a.hired DESC, a.id
    """,
    variants={
        Span.YEAR: Variant(
            "report_top_departments",
            "Departments that hired more than the mean",
            "The mean counts only departments that hired in that UTC year. Departments with more hires come first."
            " Departments with the same number of hires are ordered by `id`.",
            "the report; empty for a year without hires",
            "TopDepartments",
            _OF_A_DEPARTMENT,
        ),
        Span.RANGE: Variant(
            "report_top_departments_between",
            "Departments that hired more than the mean over several years",
            "The report adds up the hires of each department from `from` to `to`, both years included. It compares the"
            " sums with the mean of the departments that hired in these years. Departments with more hires come first."
            " Departments with the same number of hires are ordered by `id`.",
            "the report; empty for years without hires",
            "TopDepartments",
            _OF_A_DEPARTMENT,
        ),
    },
)
YEARS = Report(
    name="years",
    path="/department/hires/years",
    file="years-with-hires",
    title="Years with hires, newest first",
    about="How many people were hired in each year, in UTC.",
    heading="By year",
    member="years",
    has_table=False,  # the dashboard offers these years in its filter
    sql="""
        SELECT year, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires
        WHERE year BETWEEN :first AND :last
        GROUP BY year HAVING sum(q1 + q2 + q3 + q4) > 0 ORDER BY year DESC
    """,
    variants={
        Span.EVERY: Variant(
            "report_years",
            "Years with hires, newest first",
            "How many people were hired in each year, in UTC.",
            "the years; empty if nobody was hired yet",
            "YearsWithHires",
            (YEAR, HIRES),
        ),
    },
)
REPORTS = (
    QUARTERLY,
    TOP,
    YEARS,
)
