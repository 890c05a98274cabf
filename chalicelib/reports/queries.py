"""The reports, as JSON made by the database: of one year, or of a range of years with both its ends.

All read the summary that triggers keep (`quarterly_hires`), so they cost the same however many
employees there are. Names are ordered by byte (COLLATE "C"): the same on every server.
"""

from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.core.errors import Unprocessable

QUARTERLY = ("department", "job", "q1", "q2", "q3", "q4")
QUARTERLY_BETWEEN = ("year", *QUARTERLY)
TOP = ("id", "department", "hired")
YEARS = ("year", "hired")
FIRST, LAST = 1, 9999  # the years there are
MAX_BODY = 5_000_000  # bytes; Lambda answers with 6 MB at most

_BYTES_BESIDE_NAMES = 57  # a row's keys, quotes and counts, at the least
_MOST_ROWS = MAX_BODY // _BYTES_BESIDE_NAMES + 1  # one more than can fit: the others are not looked at

HIRED = "(q1 > 0 OR q2 > 0 OR q3 > 0 OR q4 > 0)"  # of a row of the summary: deletions leave zeros behind

_QUARTERLY = f"""
    SELECT h.year, d.department, j.job, h.q1, h.q2, h.q3, h.q4
    FROM quarterly_hires h JOIN departments d ON d.id = h.department_id JOIN jobs j ON j.id = h.job_id
    WHERE h.year BETWEEN :first AND :last AND {HIRED}{{narrowed}}
    ORDER BY h.year, d.department COLLATE "C", j.job COLLATE "C", d.id, j.id
    LIMIT {_MOST_ROWS}
"""

_ACTIVE = """
    WITH hired AS (
        SELECT department_id AS id, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires
        WHERE year BETWEEN :first AND :last GROUP BY department_id
    ), active AS (SELECT * FROM hired WHERE hired > 0)
"""
_TOP = f"""
    {_ACTIVE}
    SELECT a.id, d.department, a.hired FROM active a JOIN departments d USING (id)
    WHERE a.hired > (SELECT avg(hired) FROM active)
    ORDER BY a.hired DESC, a.id
"""
_YEARS = """
    SELECT year, sum(q1 + q2 + q3 + q4) AS hired FROM quarterly_hires
    GROUP BY year HAVING sum(q1 + q2 + q3 + q4) > 0 ORDER BY year DESC
"""


def version(session: Session) -> str:
    """Another one after every change of a dataset; in a transaction that began with SNAPSHOT, that of the
    reports in it."""
    return str(session.scalar("SELECT string_agg(dataset || '=' || version, ' ' ORDER BY dataset) FROM dataset_state"))


def quarterly(session: Session, year: int, department_id: int | None = None) -> str:
    """`[{"department", "job", "q1", "q2", "q3", "q4"}]` for every department and job with a hire that year.

    Raises Unprocessable where the text would pass 5 MB.
    """
    text = _quarterly(session, QUARTERLY, year, year, department_id)
    if text is None:
        raise Unprocessable(f"the report for {year} is larger than 5 MB: narrow it with ?department_id=")
    return text


def quarterly_between(session: Session, first: int, last: int, department_id: int | None = None) -> str:
    """`[{"year", "department", "job", "q1", "q2", "q3", "q4"}]`: the same for each of the years, in their order.

    Raises Unprocessable where the text would pass 5 MB.
    """
    text = _quarterly(session, QUARTERLY_BETWEEN, first, last, department_id)
    if text is None:
        raise Unprocessable(
            f"the report for {first} to {last} is larger than 5 MB: narrow it with ?department_id= or with a"
            " narrower range of years, ?from= and ?to="
        )
    return text


def _quarterly(
    session: Session, columns: tuple[str, ...], first: int, last: int, department_id: int | None
) -> str | None:
    """None where the text would pass 5 MB."""
    narrowed, params = of_department(department_id)
    text = session.scalar(
        f"WITH r AS MATERIALIZED ({_QUARTERLY.format(narrowed=narrowed)})"  # of too many rows no text is made
        " SELECT CASE WHEN coalesce(sum(octet_length(department) + octet_length(job) + :beside), 0) <= :most"
        " THEN (SELECT CAST(coalesce(json_agg(shown), '[]') AS text)"
        f" FROM (SELECT {', '.join(columns)} FROM r) shown) END FROM r",
        beside=_BYTES_BESIDE_NAMES,
        most=MAX_BODY,
        first=first,
        last=last,
        **params,
    )
    return str(text) if text is not None and len(text.encode()) <= MAX_BODY else None


def top(session: Session, first: int, last: int | None = None) -> str:
    """`[{"id", "department", "hired"}]`: departments that hired more, in all the years together, than the mean
    of those that hired in them. Without `last` it is of the year `first`."""
    sql = f"SELECT CAST(coalesce(json_agg(r), '[]') AS text) FROM ({_TOP}) r"
    return str(session.scalar(sql, first=first, last=first if last is None else last))


def mean_hired(session: Session, first: int, last: int) -> float | None:
    """The mean that `top` compares with; None where nobody was hired."""
    mean = session.scalar(f"{_ACTIVE} SELECT avg(hired) FROM active", first=first, last=last)
    return None if mean is None else float(mean)


def years(session: Session) -> list[dict[str, Any]]:
    """`[{"year", "hired"}]`: the years with hires, newest first, and how many."""
    return session.records(_YEARS)


def of_department(department_id: int | None) -> tuple[str, dict[str, Any]]:
    """The condition that narrows a query of the summary, and its parameter; nothing for None."""
    return (
        ("", {}) if department_id is None else (" AND department_id = :department_id", {"department_id": department_id})
    )


def first_rows(
    session: Session, first: int, last: int, department_id: int | None = None, *, limit: int
) -> list[dict[str, Any]]:
    """The first rows of `quarterly_between`, for who wants to show a few."""
    narrowed, params = of_department(department_id)
    report = _QUARTERLY.format(narrowed=narrowed)
    return session.records(f"SELECT * FROM ({report}) r LIMIT :limit", first=first, last=last, limit=limit, **params)
