"""Renders the panel of reports, and keeps its HTML until a dataset changes.

Eight statements and thousands of values make this panel by far the most expensive page. It shows only the datasets, and
no rights of its caller. So each request reads only the version of the datasets while nothing changes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chalicelib.cloud.database import SNAPSHOT, Database
from chalicelib.dashboard import pages, report_panel
from chalicelib.reports import queries
from chalicelib.reports.declaration import Report
from chalicelib.reports.kept_answers import Answer, KeptAnswers

_MOST_BYTES = 4 * 1024 * 1024  # dozens of usual panels
_kept = KeptAnswers(_MOST_BYTES)


class _Shown(NamedTuple):
    """Everything that the panel depends on, besides the datasets. Without hires, the panel shows the present year."""

    reports: tuple[Report, ...]
    first: int | None
    last: int | None
    department_id: int | None
    present_year: int


def rendered(database: Database, query: Mapping[str, Any], reports: tuple[Report, ...]) -> str:
    """Return the HTML of the panel for the query parameters from, to and department_id."""
    years = query.get("from"), query.get("to")
    shown = _Shown(reports, *years, query.get("department_id"), datetime.now(UTC).year)
    with database.session() as session:
        kept = _kept.last(session, shown)
        if kept is not None and kept.version == queries.version(session):
            return kept.text
    # The version is read in the transaction of the panel, so that both belong to the same state of the datasets.
    with database.transaction(SNAPSHOT) as session:
        version = queries.version(session)
        panel = report_panel.read(session, query, reports)
    html = pages.render("reports.html", **vars(panel))
    _kept.keep(session, shown, Answer(version, html))
    return html
