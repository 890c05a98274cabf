"""The two reports, as JSON made by the database.

Both read the summary that triggers keep (`quarterly_hires`), so they cost the same however many
employees there are. Names are ordered by byte (COLLATE "C"): the same on every server.
"""

from chalicelib.database import Session
from chalicelib.errors import Unprocessable

QUARTERLY = ("department", "job", "q1", "q2", "q3", "q4")
TOP = ("id", "department", "hired")
MAX_BODY = 5_000_000  # bytes; Lambda answers with 6 MB at most

_QUARTERLY = """
    SELECT d.department, j.job, h.q1, h.q2, h.q3, h.q4
    FROM quarterly_hires h JOIN departments d ON d.id = h.department_id JOIN jobs j ON j.id = h.job_id
    WHERE h.year = :year AND (h.q1 > 0 OR h.q2 > 0 OR h.q3 > 0 OR h.q4 > 0) {narrowed}
    ORDER BY d.department COLLATE "C", j.job COLLATE "C", d.id, j.id
"""
_BYTES_BESIDE_NAMES = 57  # a row's keys, quotes and counts, at the least

_TOP = """
    WITH hired AS (
        SELECT department_id AS id, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires
        WHERE year = :year GROUP BY department_id
    ), active AS (SELECT * FROM hired WHERE hired > 0)
    SELECT a.id, d.department, a.hired FROM active a JOIN departments d USING (id)
    WHERE a.hired > (SELECT avg(hired) FROM active)
    ORDER BY a.hired DESC, a.id
"""


def version(session: Session) -> str:
    """Another one after every change of a dataset; in a transaction that began with SNAPSHOT, that of the
    reports in it."""
    return str(session.scalar("SELECT string_agg(dataset || '=' || version, ' ' ORDER BY dataset) FROM dataset_state"))


def quarterly(session: Session, year: int, department_id: int | None = None) -> str:
    """`[{"department", "job", "q1", "q2", "q3", "q4"}]` for every department and job with a hire that year.

    Raises Unprocessable where the text would pass 5 MB.
    """
    narrowed = "" if department_id is None else "AND h.department_id = :department_id"
    params = {"year": year} if department_id is None else {"year": year, "department_id": department_id}
    text = session.scalar(
        f"WITH r AS MATERIALIZED ({_QUARTERLY.format(narrowed=narrowed)})"  # of too many rows no text is made
        " SELECT CASE WHEN coalesce(sum(octet_length(department) + octet_length(job) + :beside), 0) <= :most"
        " THEN (SELECT CAST(coalesce(json_agg(r), '[]') AS text) FROM r) END FROM r",
        beside=_BYTES_BESIDE_NAMES,
        most=MAX_BODY,
        **params,
    )
    if text is not None and len(text.encode()) <= MAX_BODY:
        return str(text)
    raise Unprocessable(f"the report for {year} is larger than 5 MB: narrow it with ?department_id=")


def top(session: Session, year: int) -> str:
    """`[{"id", "department", "hired"}]`: departments that hired more than the mean of those that hired."""
    return str(session.scalar(f"SELECT CAST(coalesce(json_agg(r), '[]') AS text) FROM ({_TOP}) r", year=year))
