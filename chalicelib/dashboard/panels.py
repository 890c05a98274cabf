"""Reads the values of each panel, and renders them with the template of the same name.

The function of a panel raises the same errors as the routes of the API. The API has checked the caller's role before it
calls the function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.auth.roles import REJECTED_ROWS, Rights, Role
from chalicelib.core import declarations, schedules
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import NotFound, Unprocessable
from chalicelib.dashboard import charts, figures, kept_panel, pages
from chalicelib.dashboard.load_views import LoadView
from chalicelib.ingest import reject_csv, reject_summary
from chalicelib.ingest.file_names import ENDINGS
from chalicelib.ingest.reject_summary import RejectSummary, Wanted
from chalicelib.loads import history, outcomes
from chalicelib.monitoring import readiness
from chalicelib.reports.declaration import Report
from chalicelib.services import Services

if TYPE_CHECKING:
    from chalicelib.dashboard.point_views import PointView

MAX_REJECTS = 10  # the panel of a load shows at most this many rejects
PAGE = 20
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BUSY, CALM = 1000, 15_000  # ms until a panel is refreshed: BUSY while a load is unfinished, otherwise CALM
OUTCOMES = ("inserted", "updated", "unchanged", "superseded", "rejected")


@dataclass(frozen=True)
class Caller:
    """Has the caller's rights, the checked query parameters of the request, and the reports of the API."""

    rights: Rights
    query: Mapping[str, Any]
    reports: tuple[Report, ...]

    @property
    def may_write(self) -> bool:
        return self.rights.role.includes(Role.WRITER)

    @property
    def may_restore(self) -> bool:
        return self.rights.role.includes(Role.OPERATOR)

    @property
    def may_see_rejects(self) -> bool:
        return REJECTED_ROWS.is_met_by(self.rights)


def rendered(panel: str, parts: Services, caller: Caller) -> str:
    """Return the HTML of one of PANELS. Raises the errors of the panel's function."""
    shown = PANELS[panel](parts, caller)
    if isinstance(shown, str):
        return shown
    return pages.render(f"{panel}.html", viewer=caller, datasets=list(DATASETS.values()), **vars(shown))


def reports(parts: Services, caller: Caller) -> str:
    """Return the HTML of the panel, which may be kept."""
    return kept_panel.rendered(parts.database, caller.query, caller.reports)


_FILTERS = ("dataset", "status", "kind", "source", "with_rejects")


@dataclass(frozen=True)
class LoadsPanel:
    loads: list[LoadView]
    filters: Mapping[str, str]
    cursor: int | None
    is_first: bool
    refresh: int
    statuses: tuple[str, ...] = outcomes.STATUSES
    kinds: tuple[str, ...] = outcomes.KINDS


def loads_panel(parts: Services, caller: Caller) -> LoadsPanel:
    filters = {name: caller.query[name] for name in _FILTERS if name in caller.query}
    with parts.database.session() as session:
        loads = history.listed(
            session,
            filters,
            limit=PAGE + 1,
            before=caller.query.get("cursor"),
            grace=parts.settings.orphan_grace,
        )
    page = [LoadView(**vars(load)) for load in loads[:PAGE]]
    return LoadsPanel(
        page,
        filters,
        cursor=page[-1].id if len(loads) > PAGE else None,
        is_first="cursor" not in caller.query,
        refresh=BUSY if any(load.is_unfinished for load in page) else CALM,
    )


@dataclass(frozen=True)
class LoadPanel:
    load: LoadView
    summary: RejectSummary
    shares: list[charts.Bar]
    code: str | None  # if it is given, only rejects with this code are shown
    csv_name: str  # the name for the CSV file with the rejects
    refresh: int


def load(parts: Services, caller: Caller) -> LoadPanel:
    wanted, code = _wanted(caller, "id"), caller.query.get("code")
    with parts.database.session() as session:
        row = history.get(session, wanted, parts.settings.orphan_grace)
        if row is None:
            raise NotFound(f"there is no load {wanted}")
        chosen = Wanted(MAX_REJECTS, code=code) if caller.may_see_rejects else None
        summary = reject_summary.of_load(session, parts.storage.errored, wanted, chosen, parts.settings.orphan_grace)
        file = history.rejected_file(session, wanted)
    view = LoadView(**vars(row))
    csv_name = reject_csv.file_name(DATASETS[row.dataset], file, wanted) if row.dataset else ""
    shares = charts.shares([(name, getattr(row, name)) for name in OUTCOMES])
    return LoadPanel(view, summary, shares, code, csv_name, BUSY if view.is_unfinished else CALM)


@dataclass(frozen=True)
class UploadPanel:
    """The values from which a user may choose: the endings of files, and the values of declarations. `templates` has
    the media types of the templates, by the endings of their URLs. The script of the page sends the files."""

    endings: tuple[str, ...] = ENDINGS
    encodings: tuple[str, ...] = declarations.ENCODINGS
    delimiters: tuple[str, ...] = tuple(declarations.DELIMITERS)
    templates: Mapping[str, str] = field(default_factory=lambda: {"xlsx": _XLSX, "csv": "text/csv"})


def upload(_parts: Services, _caller: Caller) -> UploadPanel:
    return UploadPanel()


@dataclass(frozen=True)
class BackupsPanel:
    points: list["PointView"]
    cursor: str | None
    interval: str = schedules.minutes_in_words(schedules.BACKUP_MINUTES)
    refresh: int = CALM


def backups(parts: Services, caller: Caller) -> BackupsPanel:
    from chalicelib.backups import manifest
    from chalicelib.dashboard.point_views import PointView

    points, cursor = manifest.listed(parts.storage.backup, PAGE, caller.query.get("point"))
    return BackupsPanel([PointView(**vars(point)) for point in points], cursor)


@dataclass(frozen=True)
class RestorePanel:
    """Shows a restore point, and the number of rows that each table has now."""

    point: "PointView"
    now: Mapping[str, figures.RowCount]


def restore(parts: Services, caller: Caller) -> RestorePanel:
    from chalicelib.backups import manifest
    from chalicelib.dashboard.point_views import PointView

    point = manifest.get(parts.storage.backup, _wanted(caller, "point")).summary()
    with parts.database.session() as session:
        now = {name: figures.rows(session, name) for name in DATASETS}
    return RestorePanel(PointView(**vars(point)), now)


@dataclass(frozen=True)
class HealthPanel:
    checks: readiness.Checks
    last_backup: readiness.LastBackup | None
    backup_age: timedelta | None
    dead_letters: int | None
    dead_letters_age: timedelta | None  # None if they were counted a short time ago
    refresh: int = CALM


def health(parts: Services, _caller: Caller) -> HealthPanel:
    checks = readiness.checks(parts.database, parts.storage)
    is_reachable = checks.states["backup_bucket"] == readiness.OK
    last = readiness.last_backup(readiness.newest_backup(parts.storage)) if is_reachable else None
    age = timedelta(seconds=last.age_seconds) if last else None
    measured = readiness.depth(parts.measured_queue)
    old = timedelta(seconds=measured.age) if measured and measured.age > readiness.STALE else None
    return HealthPanel(checks, last, age, measured.depth if measured else None, old)


Panel = LoadsPanel | LoadPanel | UploadPanel | BackupsPanel | RestorePanel | HealthPanel
PANELS: Mapping[str, Callable[[Services, Caller], Panel | str]] = {
    "reports": reports,
    "loads": loads_panel,
    "load": load,
    "upload": upload,
    "backups": backups,
    "restore": restore,
    "health": health,
}


def _wanted(caller: Caller, name: str) -> Any:
    if name not in caller.query:
        raise Unprocessable(f"{name} is missing")
    return caller.query[name]
