"""Measures whether a stage that holds a year of data keeps its limits."""

import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from statistics import median
from urllib.parse import urlencode

from chalicelib.core.schedules import SWEEP_MINUTES
from tests.e2e.cloud import Cloud

PAGE, BODY = 1.0, 5_000_000  # seconds and bytes: the goals of a page
SWEEP, BACKUP, VERIFICATION = 180.0, 180.0, 900.0  # seconds
_SAMPLES = 3
_TIMEOUT = 120  # seconds
_SWEEPS = 5


@dataclass(frozen=True)
class Measure:
    """What was measured, and its limit in the same unit."""

    what: str
    value: float
    limit: float
    unit: str = "s"

    @property
    def is_kept(self) -> bool:
        return self.value <= self.limit

    def line(self) -> str:
        shown = f"{self.value:10.3f}" if self.unit == "s" else f"{self.value:10,.0f}"
        return f"{'ok  ' if self.is_kept else 'OVER'} {shown} {self.unit:5} limit {self.limit:>11,.0f}  {self.what}"


def pages(cloud: Cloud) -> Iterator[Measure]:
    """Request every page that shows loads, restore points or the state of the stage."""
    middle, old = _ids(cloud)
    point = cloud.restore_points()[-1]
    filters: tuple[dict[str, str], ...] = (
        {},
        *({"dataset": "jobs"}, {"status": "failed"}, {"status": "running"}, {"status": "skipped"}),
        *({"kind": "csv"}, {"kind": "restore"}, {"with_rejects": "true"}, {"with_rejects": "false"}),
        *({"source": "departments_7"}, {"source": "Nothing"}, {"source": "è"}, {"dataset": "jobs", "kind": "restore"}),
        *({"cursor": str(middle)}, {"cursor": str(old)}),
    )
    for chosen in filters:
        yield from _page(cloud, f"/loads?{urlencode({'limit': '100', **chosen})}")
        yield from _page(cloud, f"/dashboard/loads?{urlencode(chosen)}")
    for path in (f"/loads/{middle}", f"/loads/{middle}/rejects", f"/dashboard/load?id={middle}"):
        yield from _page(cloud, path)
    oldest = _oldest(cloud)
    for path in ("/backups?limit=100", f"/backups?limit=100&cursor={point}", f"/backups?limit=100&cursor={oldest}"):
        yield from _page(cloud, path)
    for path in ("backups", f"backups?point={oldest}", f"restore?point={point}", "health", "reports", "upload"):
        yield from _page(cloud, f"/dashboard/{path}")
    for path in ("/health", "/openapi.json", "/"):
        yield from _page(cloud, path)


def functions(cloud: Cloud) -> Iterator[Measure]:
    """Run the scheduled functions."""
    yield Measure("backup without a change", _timed(lambda: cloud.commands.invoke("backup")), BACKUP)
    cloud.post("/department/upload", {"department": "Sales"})
    yield Measure("backup after a change", _timed(lambda: cloud.commands.invoke("backup")), BACKUP)
    with cloud.reconfigured("backup", timeout=900, BACKUP_RETENTION_DAYS="0.01"):
        yield Measure("backup that deletes 500 restore points", _timed(lambda: cloud.commands.invoke("backup")), BACKUP)
    yield Measure("verification", _timed(lambda: cloud.commands.invoke("verify")), VERIFICATION)
    yield from _sweeps(cloud)


def _sweeps(cloud: Cloud) -> Iterator[Measure]:
    """Sweep some times, which deletes a part of the loads of requests that are too old. Then sweep as after a
    restart."""
    [[newest]] = cloud.sql("SELECT max(id) FROM loads")
    old = _prunable(cloud)
    seconds = [_timed(lambda: cloud.commands.invoke_scheduled("sweep", {})) for _ in range(_SWEEPS)]
    yield Measure("the longest sweep", max(seconds), SWEEP)
    deleted = (old - _prunable(cloud)) / _SWEEPS
    a_day = 24 * 60 / SWEEP_MINUTES
    yield Measure(f"sweeps that delete {old:,} old loads", old / deleted if deleted else inf, a_day, "times")
    restarted = _timed(lambda: cloud.commands.invoke_scheduled("sweep", {"restarted": True}))
    yield Measure("the sweep after a restart", restarted, SWEEP)
    [[caused]] = cloud.sql(f"SELECT count(*) FROM loads WHERE id > {newest}")
    yield Measure("loads that these sweeps have caused", caused, 0, "loads")


def _prunable(cloud: Cloud) -> int:
    [[count]] = cloud.sql(
        "SELECT count(*) FROM loads WHERE kind = 'api' AND finished_at < now() - interval '365 days 1 hour'"
    )
    return int(count)


def _ids(cloud: Cloud) -> tuple[int, int]:
    """Return the id of a load with rejects in the middle of the history, and that of an old load."""
    [[first, last]] = cloud.sql("SELECT min(id), max(id) FROM loads")
    [[middle]] = cloud.sql(f"SELECT min(id) FROM loads WHERE id >= {(first + last) // 2} AND rejected > 0")
    return middle, first + 100


def _oldest(cloud: Cloud) -> str:
    """Return a restore point that is shown on the last page."""
    folders = cloud.s3.get_paginator("list_objects_v2").paginate(
        Bucket=cloud.env["BACKUP_BUCKET"], Prefix="backups/", Delimiter="/"
    )
    names = [prefix["Prefix"].split("/")[1] for page in folders for prefix in page.get("CommonPrefixes", ())]
    return sorted(names)[min(50, len(names) - 1)]


def _page(cloud: Cloud, path: str) -> Iterator[Measure]:
    seconds, size = [], 0
    token = {"Authorization": f"Bearer {cloud.env['API_TOKEN']}"} if cloud.env["API_TOKEN"] else {}
    for _ in range(_SAMPLES):
        request = urllib.request.Request(cloud.env["API_URL"] + path, headers=token)
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            size = len(response.read())
        seconds.append(time.perf_counter() - began)
    yield Measure(path, median(seconds), PAGE)
    if size > BODY // 10:
        yield Measure(path, size, BODY, "bytes")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
