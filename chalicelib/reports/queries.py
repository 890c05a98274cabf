"""Reads a report from the database, either as JSON text that Postgres makes, or as its first rows."""

import json
from dataclasses import asdict
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.core.answer_size import MAX_ANSWER, fits
from chalicelib.core.errors import Unprocessable
from chalicelib.reports.declaration import Figure, Report, ReportColumn, Scope, Span
from chalicelib.reports.hires import ACTIVE
from chalicelib.reports.kept_answers import Answer, Asked

_SEPARATOR = 3  # the JSON text has at least 3 bytes between two rows
# The version of a row of `dataset_state` is a counter. The transaction that has written the row (xmin) shows that the
# row comes from a backup, with which counters may go back. Each deployment updates the row of `deployment`, after its
# migrations.
_VERSION = (
    "SELECT concat(string_agg(concat_ws('=', dataset, version, xmin), ' ' ORDER BY dataset), ' ',"
    " (SELECT xmin FROM deployment)) FROM dataset_state"
)


def version(session: Session) -> str:
    """Return a text that changes whenever a dataset changes, and with each deployment. In a transaction that began with
    SNAPSHOT, the text and the reports that are read belong to the same state of the datasets."""
    return str(session.scalar(_VERSION))


def as_json(session: Session, report: Report, span: Span, scope: Scope) -> str:
    """Return the JSON text of `answer`, which may raise Unprocessable."""
    return answer(session, Asked(report, span, scope)).text


def answer(session: Session, asked: Asked, kept: Answer | None = None) -> Answer:
    """Return the `version` and the report as JSON. One statement reads both, so they belong to the same state of the
    datasets, even without a transaction. If the version is that of the `kept` answer, return this answer.

    The JSON text has the rows of the report as a list of objects with the columns of the variant. If the report has a
    `member`, the text is an object with that list.

    Raises Unprocessable if the text would be too large for a response.
    """
    report, span, scope = asked
    columns = report.variants[span].columns
    names = [f"octet_length({_quoted(column)})" for column in columns if column.figure is Figure.NAME]
    row_bytes = " + ".join([str(_bytes_beside_names(columns)), *names])
    # Postgres runs a query in parentheses only if it needs the result. `r` is materialized, so that Postgres makes no
    # text if the rows are too large.
    [[version_read, text]] = session.run(
        f"WITH v (version) AS MATERIALIZED ({_VERSION}), r AS MATERIALIZED ({limited(report, span)})"
        " SELECT version, CASE WHEN version IS DISTINCT FROM :kept THEN (SELECT CASE"
        f" WHEN coalesce(sum({row_bytes}), 0) <= {MAX_ANSWER}"
        " THEN (SELECT CAST(coalesce(json_agg(shown.*), '[]') AS text)"
        f" FROM (SELECT {', '.join(map(_quoted, columns))} FROM r) shown) END FROM r) END FROM v",
        kept=kept and kept.version,
        **asdict(scope),
    )
    if kept and kept.version == version_read:
        return kept
    if text is None or not fits(text):
        raise Unprocessable(_too_large(report, span, scope))
    whole = json.dumps({report.member: json.loads(text)}, ensure_ascii=False) if report.member else str(text)
    return Answer(str(version_read), whole)


def first_rows(
    session: Session, report: Report, span: Span, scope: Scope, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return the first rows of a report, with the columns of its variant. Without a limit, return all rows."""
    names = ", ".join(map(_quoted, report.variants[span].columns))
    return session.records(
        f"SELECT {names} FROM ({report.sql}) AS report LIMIT CAST(:limit AS bigint)", limit=limit, **asdict(scope)
    )


def mean_hired(session: Session, first: int, last: int) -> float | None:
    """Return the mean of the report TOP: hires divided by departments that hired. Returns None if nobody was hired."""
    mean = session.scalar(f"{ACTIVE} SELECT avg(hired) FROM active", first=first, last=last)
    return None if mean is None else float(mean)


def limited(report: Report, span: Span) -> str:
    """Return the report's SQL, limited to `most_rows`."""
    return f"SELECT * FROM ({report.sql}) AS report LIMIT {most_rows(report, span)}"


def most_rows(report: Report, span: Span) -> int:
    """Return how many rows of a report are read at most. This is one row more than a response can hold."""
    return MAX_ANSWER // _bytes_beside_names(report.variants[span].columns) + 1


def _quoted(column: ReportColumn) -> str:
    """Quote a column name, because it may be an SQL keyword: without quotes, `user` is the current database user."""
    return f'"{column.name}"'


def _bytes_beside_names(columns: tuple[ReportColumn, ...]) -> int:
    """Return the smallest possible size of a row in JSON, with empty names and numbers of one digit, in bytes."""
    least = {column.name: "" if column.figure is Figure.NAME else 0 for column in columns}
    return len(json.dumps(least, separators=(",", ":"))) + _SEPARATOR


def _too_large(report: Report, span: Span, scope: Scope) -> str:
    """Return the error for a report that is too large. The error says how to request a smaller report."""
    years = {Span.YEAR: f" for {scope.first}", Span.RANGE: f" for {scope.first} to {scope.last}", Span.EVERY: ""}
    narrower = ["?department_id="] if report.by_department else []
    if span is Span.RANGE:
        narrower.append("a narrower range of years, ?from= and ?to=")
    hint = f": narrow it with {' or with '.join(narrower)}" if narrower else ""
    return f"the report{years[span]} is larger than {MAX_ANSWER / 1e6:g} MB{hint}"
