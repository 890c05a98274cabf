"""The reports that there are, all about hires. A new one is a declaration here, at the end of `REPORTS`.

All read the summary that triggers keep (`quarterly_hires`), so they cost the same however many employees there are.
Names are ordered by byte (COLLATE "C"): the same on every server.
"""

from chalicelib.reports.declaration import Figure, Report, ReportColumn, Span, Variant

HIRED = "(q1 > 0 OR q2 > 0 OR q3 > 0 OR q4 > 0)"  # of a row of the summary: deletions leave zeros behind
# Of a row of the summary: it is about the department that is asked for, if one is.
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
    about="Of a year, of a range of years, or of all of them.",
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
            "Every department and job with a hire in that UTC year, ordered by their names (by bytes).",
            "the report; empty for a year without hires",
            "QuarterlyHires",
            (DEPARTMENT, JOB, *_QUARTERS),
        ),
        Span.RANGE: Variant(
            "report_quarterly_hires_between",
            "Hires per year, department, job and quarter",
            "Every department and job with a hire, for each of the years, these included; without an end from the first"
            " or to the last one there is. Ordered by year, then by names (by bytes).",
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
    about="In a year, in a range of years, or in all of them.",
    heading="Departments above the mean",
    has_table=False,  # but a chart of its own
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
            "The mean is of the departments that hired in that UTC year. Most first, ties by `id`.",
            "the report; empty for a year without hires",
            "TopDepartments",
            _OF_A_DEPARTMENT,
        ),
        Span.RANGE: Variant(
            "report_top_departments_between",
            "Departments that hired more than the mean over several years",
            "The hires of all the years together, these included, compared with the mean of the departments that hired"
            " in them. Most first, ties by `id`.",
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
    about="How many were hired in each, in UTC.",
    heading="By year",
    member="years",
    has_table=False,  # but the choice of years
    sql="""
        SELECT year, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires
        WHERE year BETWEEN :first AND :last
        GROUP BY year HAVING sum(q1 + q2 + q3 + q4) > 0 ORDER BY year DESC
    """,
    variants={
        Span.EVERY: Variant(
            "report_years",
            "Years with hires, newest first",
            "How many were hired in each, in UTC.",
            "the years; empty where nobody was hired yet",
            "YearsWithHires",
            (YEAR, HIRES),
        ),
    },
)
REPORTS = (QUARTERLY, TOP, YEARS)
