"""`make up`, then the story of a hiring-data platform in five scenes."""

import io
import os
import sys
import time
from collections.abc import Callable, Sequence

from chalicelib.core.schedules import SWEEP_MINUTES
from cli.output import Output
from cli.statuses import FINAL
from cli.tables import Cell
from infra.commandline import report
from infra.demo.platform import Platform
from infra.demo.show import Live, Row, cell, heading, rejects_by_reason, say
from infra.errors import CloudError
from infra.local.commands import commands
from infra.progress import Progress
from infra.sample import File, Sample, sample
from infra.venv import ROOT

_LOADING, _HEALING = 120, 60 * SWEEP_MINUTES + 60  # seconds; a scheduled sweep heals what a crash left
_POLL = 0.25
_RENAMED = 3  # the department that is changed and restored
_YEAR = 2021
_FLEXIBLE = ("department", "job")


def run() -> None:
    """Raises CloudError."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # rejected rows hold characters that a terminal may not have
    progress = Progress(report)
    stage = commands(os.environ.get("STAGE") or "local", ROOT, progress.say)
    heading("Starting the cloud and deploying")
    with progress.running():
        stage.up()
    tell(Platform(stage), sample())


def tell(platform: Platform, files: Sample) -> None:
    loads = load_files(platform, files)
    show_loads(loads)
    show_rejects(platform, loads)
    restore_a_change(platform)
    show_reports(platform)
    say_where_to_look(platform)


def load_files(platform: Platform, files: Sample) -> list[Row]:
    """Employees first, whose departments and jobs are not there yet; returns the loads, checked."""
    heading("Uploading CSV files, employees before their departments and jobs")
    [early] = _load(platform, [files.early])
    parents = _load(platform, files.parents)
    loads = [_resolved(platform, early), *parents, *_load(platform, files.late)]
    for file, load in zip(files.files, loads, strict=True):
        check(file, load)
    return loads


def _load(platform: Platform, files: Sequence[File]) -> list[Row]:
    """Upload files together and wait until the load of each has ended."""
    before = platform.newest_load()
    sources = [platform.upload(file) for file in files]
    names = [file.key.removeprefix("sample/") for file in files]
    found: dict[str, Row] = {}

    def state() -> str:
        recent = platform.get("/loads?limit=100")["loads"]
        found.update({load["source"]: load for load in recent if load["id"] > before})
        return ", ".join(
            f"{name}: {found[source]['status'] if source in found else 'uploaded'}"
            for name, source in zip(names, sources, strict=True)
        )

    def received() -> str:
        return f"{sum(found[source]['received'] for source in sources if source in found)} rows "

    def ended() -> bool:
        return all(source in found and found[source]["status"] in FINAL for source in sources)

    _wait(state, received, ended, _LOADING)
    return [found[source] for source in sources]


def _resolved(platform: Platform, early: Row) -> Row:
    """Wait until what was rejected for want of a parent has been loaded."""
    latest = dict(early)
    if not early["rejected"]:
        return latest  # their parents are there already: this is not the first demo

    def state() -> str:
        latest.update(platform.get(f"/loads/{early['id']}"))
        return f"{latest['rejected']} rejected rows were waiting for their parents: {_loaded(latest)}"

    _wait(state, str, lambda: latest["resolved"] >= latest["rejected"], _HEALING)
    return latest


def _loaded(load: Row) -> str:
    return "all of them loaded" if load["resolved"] >= load["rejected"] else f"{load['resolved']} loaded"


def _wait(state: Callable[[], str], detail: Callable[[], str], ended: Callable[[], bool], seconds: float) -> None:
    deadline, progress = time.monotonic() + seconds, Live()
    try:
        while True:
            shown = state()
            progress.show(shown, detail())
            if ended():
                return
            if time.monotonic() > deadline:
                raise CloudError(f"not done within {seconds} seconds: {shown}")
            time.sleep(_POLL)
    finally:
        progress.end()


def check(file: File, load: Row) -> None:
    """What came of a file must be what was planted in it."""
    if load["status"] != "succeeded":
        raise CloudError(f"load {load['id']} of {file.key} {load['status']}: {load['error']}")
    counted = (load["received"], load["rejected"] - load["resolved"])
    planted = (file.received, len(file.rejects))
    if counted != planted:
        raise CloudError(
            f"load {load['id']} of {file.key}: received {counted[0]} and refused {counted[1]} rows,"
            f" the file holds {planted[0]} and {planted[1]} broken ones"
        )


def show_loads(loads: list[Row]) -> None:
    heading("The loads (GET /loads)")
    for load in loads:
        say(f"  load {load['id']} is of {load['source'].rpartition('sample/')[2]}")
    counts = ("received", "inserted", "updated", "unchanged", "superseded", "rejected", "resolved")
    rows = [[name, *(load[name] for load in loads)] for name in counts]
    _table(("rows", *(f"load {load['id']}" for load in loads)), rows)
    say("  received = inserted + updated + unchanged + superseded (the same id again, later) + rejected;")
    say("  resolved: of the rejected ones, loaded once their department and job had come.")


def show_rejects(platform: Platform, loads: list[Row]) -> None:
    heading("The rejected rows (errored bucket), by reason")
    rejects: list[Row] = []
    for load in loads:
        if load["rejected"] > load["resolved"]:
            rejects += platform.rejects(load["errored_key"])
    for count, reason, examples in rejects_by_reason(rejects):
        say(f"  {count:>3}  {reason}")
        for example in examples:
            place = f"{example['source'].rpartition('/')[2]}:{example['line']}"
            say(f"       {place:<30} {cell(example['raw'])}")
    say("  A row with several reasons counts under each of them.")


def restore_a_change(platform: Platform) -> None:
    heading("A backup, a change, and the way back")
    point = platform.backup()
    old = _department(platform)
    say(f"  make backup                                    restore point {point}")
    say(f"  department {_RENAMED} is called                         {old}")
    changed = platform.post("/department/upload", {"id": _RENAMED, "department": f"{old} (renamed)"})
    say(f"  POST /department/upload                        {changed['outcome']}: it is called {_department(platform)}")
    say(f"  make backup                                    restore point {platform.backup()}")
    order = platform.post("/department/backup/restore", {"restore_point": point})
    say(f"  POST /department/backup/restore                load {order['load_id']}, of the older restore point")
    load = _followed(platform, order["status_url"])
    say(f"  GET {order['status_url']:<42} {load['updated']} updated, {load['unchanged']} unchanged")
    restored = _department(platform)
    if restored != old:
        raise CloudError(f"department {_RENAMED} is called {restored!r} after the restore, not {old!r}")
    say(f"  department {_RENAMED} is called                         {restored}")


def _followed(platform: Platform, status_url: str) -> Row:
    """Wait for the end of an ordered restore."""
    latest: Row = {}

    def state() -> str:
        latest.update(platform.get(status_url))
        return f"restore: {latest['status']}"

    _wait(state, str, lambda: latest["status"] in FINAL, _LOADING)
    if latest["status"] != "succeeded":
        raise CloudError(f"the restore {latest['status']}: {latest['error']}")
    return latest


def _department(platform: Platform) -> str:
    """The name of the department, as the quarterly report has it."""
    report = platform.get(f"/department/hires/quarterly/{_YEAR}?department_id={_RENAMED}")
    return str(report[0]["department"])


def show_reports(platform: Platform) -> None:
    heading(f"Departments that hired more than the average in {_YEAR} (GET /department/hires/top/{_YEAR})")
    _report(platform.get(f"/department/hires/top/{_YEAR}"))
    quarterly = platform.get(f"/department/hires/quarterly/{_YEAR}")
    heading(f"Hires per quarter of {_YEAR} (GET /department/hires/quarterly/{_YEAR}), 8 of {len(quarterly)} rows")
    _report(quarterly[:8])


def _report(rows: list[Row]) -> None:
    _table(tuple(rows[0]) if rows else ("nothing",), [list(row.values()) for row in rows])


def _table(columns: Sequence[str], rows: list[list[Cell]]) -> None:
    """On a terminal or not, it is for people. Columns of text give way where it is narrow."""
    Output(sys.stdout, for_people=True).table(columns, rows, _FLEXIBLE)


def say_where_to_look(platform: Platform) -> None:
    url = platform.env["API_URL"]
    heading("Everything is up; where to look next")
    say(f"  {url}/   the dashboard")
    say(f"  curl -s '{url}/loads?limit=5'")
    say(f"  curl -s '{url}/department/hires/top/2022'")
    say(f"  curl -s '{url}/job/upload' -H 'Content-Type: application/json' -d '{{\"job\": \"Clock Winder\"}}'")
    say("")
    say(f"  {os.path.relpath(platform.env_file)}: the API, the buckets and the database, as KEY=VALUE lines")
    stage = "" if platform.stage == "local" else f" STAGE={platform.stage}"
    say(f"  make test: all tests     make down{stage}: stop (the state stays)     make clean{stage}: delete all of it")
