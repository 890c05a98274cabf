"""What each panel shows: a function that finds it, and the template of the same name.

A panel raises what the routes of the API raise; who may see it has been decided before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.auth.roles import Role
from chalicelib.core import schedules
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.dashboard import charts, figures, pages, report_panel
from chalicelib.ingest import reject_summary
from chalicelib.loads import history, outcomes
from chalicelib.monitoring import readiness
from chalicelib.reports.declaration import Report
from chalicelib.services import Services

MAX_REJECTS = 10  # that are shown with their load
PAGE = 20
BUSY, CALM = 1000, 15_000  # ms until a panel asks again: while something runs, and otherwise
OUTCOMES = ("inserted", "updated", "unchanged", "superseded", "rejected")


@dataclass(frozen=True)
class Caller:
    """Who looks, what they ask for (the query parameters that were sent, read and checked), and the API's reports."""

    role: Role
    asked: Mapping[str, Any]
    reports: tuple[Report, ...]

    @property
    def may_write(self) -> bool:
        return self.role.includes(Role.WRITER)

    @property
    def may_restore(self) -> bool:
        return self.role.includes(Role.OPERATOR)


Found = dict[str, Any]


def rendered(panel: str, parts: Services, caller: Caller) -> str:
    """The HTML of one of PANELS. Raises what its function raises."""
    found = PANELS[panel](parts, caller)
    return pages.render(f"{panel}.html", viewer=caller, datasets=list(DATASETS.values()), **found)


def reports(parts: Services, caller: Caller) -> Found:
    return vars(report_panel.read(parts.database, caller.asked, caller.reports))


def loads_panel(parts: Services, caller: Caller) -> Found:
    filters = {name: caller.asked[name] for name in ("dataset", "status") if name in caller.asked}
    with parts.database.session() as session:
        rows = history.listed(session, filters, limit=PAGE + 1, before=caller.asked.get("cursor"))
    page = [_load(row) for row in rows[:PAGE]]
    return {
        "loads": page,
        "filters": filters,
        "statuses": outcomes.STATUSES,
        "cursor": page[-1]["id"] if len(rows) > PAGE else None,
        "is_first": "cursor" not in caller.asked,
        "refresh": BUSY if any(row["is_unfinished"] for row in page) else CALM,
    }


def load(parts: Services, caller: Caller) -> Found:
    wanted = _wanted(caller, "id")
    with parts.database.session() as session:
        row = history.get(session, wanted)
        if row is None:
            raise NotFound(f"there is no load {wanted}")
        found = reject_summary.of_load(session, parts.storage.errored, wanted, MAX_REJECTS)
    shown = _load(row)
    return {
        "load": shown,
        "found": found,
        "shares": charts.shares([(name, row[name]) for name in OUTCOMES]),
        "refresh": BUSY if shown["is_unfinished"] else CALM,
    }


def upload(_parts: Services, _caller: Caller) -> Found:
    return {}


def backups(parts: Services, caller: Caller) -> Found:
    from chalicelib.backups import manifest

    points, cursor = manifest.listed(parts.storage.backup, PAGE, caller.asked.get("point"))
    return {
        "points": [_point(point) for point in points],
        "cursor": cursor,
        "interval": schedules.minutes_in_words(schedules.BACKUP_MINUTES),
        "refresh": CALM,
    }


def restore(parts: Services, caller: Caller) -> Found:
    from chalicelib.backups import manifest

    point = manifest.get(parts.storage.backup, _wanted(caller, "point"))
    with parts.database.session() as session:
        now = {name: figures.rows(session, name) for name in DATASETS}
    return {"point": _point(point.summary()), "now": now}


def health(parts: Services, _caller: Caller) -> Found:
    checks = readiness.checks(parts.database, parts.storage)
    up = all(state == readiness.OK for state in checks.values())
    last = readiness.last_backup(parts.storage) if checks["backup_bucket"] == readiness.OK else None
    return {
        "checks": checks,
        "up": up,
        "last_backup": last and {**last, "age": timedelta(seconds=last["age_seconds"])},
        "dead_letters": readiness.depth(parts.dead_letters),
        "refresh": CALM,
    }


PANELS: Mapping[str, Callable[[Services, Caller], Found]] = {
    "reports": reports,
    "loads": loads_panel,
    "load": load,
    "upload": upload,
    "backups": backups,
    "restore": restore,
    "health": health,
}


def _wanted(caller: Caller, name: str) -> Any:
    if name not in caller.asked:
        raise Unprocessable(f"{name} is missing")
    return caller.asked[name]


def _load(row: Mapping[str, Any]) -> Found:
    """A load with what a reader wants to know first."""
    began, ended = row["started_at"], row["finished_at"]
    is_unfinished = row["status"] in outcomes.UNFINISHED
    until = datetime.now(UTC) if row["status"] == "running" else ended
    seconds = (until - began).total_seconds() if began and until else None
    return {
        **row,
        "is_unfinished": is_unfinished,
        "name": row["source"].rpartition("/")[2] if row["kind"] != "api" else "API request",
        "seconds": seconds,
        "rate": row["received"] / seconds if seconds and seconds >= 0.05 and row["received"] else None,
    }


def _point(summary: Mapping[str, Any]) -> Found:
    from chalicelib.backups import manifest

    at = datetime.fromisoformat(summary["created_at"])
    tables = summary["tables"].values()
    return {
        **summary,
        "age": datetime.now(UTC) - at,
        "is_ahead": manifest.is_ahead(summary["restore_point"]),
        "rows": sum(table["rows"] for table in tables),
        "bytes": sum(table["bytes"] for table in tables),
    }
