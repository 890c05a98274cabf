"""Runs the demo: `make up`, then loads, rejects, a restore and reports."""

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

_LOADING, _HEALING = 120, 60 * SWEEP_MINUTES + 60  # seconds; after a crash, the next scheduled sweep heals rows
_POLL = 0.25
_RENAMED = 3  # the department that is changed and restored
_YEAR = 2021
_FLEXIBLE = ("department", "job")


def run() -> None:
    """Run the demo. Raises CloudError."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # rejects may hold characters that the terminal cannot show
    progress = Progress(report)
    stage = commands(os.environ.get("STAGE") or "local", ROOT, progress.say)
    heading("Starting the cloud and deploying")
    with progress.running():
        stage.up()
    show(Platform(stage), sample())


def show(platform: Platform, files: Sample) -> None:
    loads = load_files(platform, files)
    show_loads(loads)
    show_rejects(platform, loads)
    restore_a_change(platform)
    show_reports(platform)
    say_where_to_look(platform)


def load_files(platform: Platform, files: Sample) -> list[Row]:
    """Load employees first, before their departments and jobs exist. Return the checked loads."""
    heading("Uploading CSV files, employees before their departments and jobs")
    [early] = _load(platform, [files.early])
    parents = _load(platform, files.parents)
    loads = [_resolved(platform, early), *parents, *_load(platform, files.late)]
    for file, load in zip(files.files, loads, strict=True):
        check(file, load)
    return loads


def _load(platform: Platform, files: Sequence[File]) -> list[Row]:
    """Upload files together, and wait until all their loads have ended."""
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
    """Wait until the rows that were rejected because they had no parent have been loaded."""
    latest = dict(early)
    if not early["rejected"]:
        return latest  # an earlier demo has already loaded their parents

    def state() -> str:
        latest.update(platform.get(f"/loads/{early['id']}"))
        return f"{latest['rejected']} rows waited for their parents: {_loaded(latest)}"

    _wait(state, str, lambda: latest["resolved"] >= latest["rejected"], _HEALING)
    return latest


def _loaded(load: Row) -> str:
    return "all loaded" if load["resolved"] >= load["rejected"] else f"{load['resolved']} loaded"


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
    """Compare the counts of a load with the known content of its file. Raises CloudError if they differ."""
    if load["status"] != "succeeded":
        raise CloudError(f"load {load['id']} of {file.key} {load['status']}: {load['error']}")
    counted = (load["received"], load["rejected"] - load["resolved"])
    expected = (file.received, len(file.rejects))
    if counted != expected:
        raise CloudError(
            f"load {load['id']} of {file.key} received {counted[0]} records and rejected {counted[1]},"
            f" but the file holds {expected[0]} records, {expected[1]} of them invalid"
        )


def show_loads(loads: list[Row]) -> None:
    heading("The loads (GET /loads)")
    for load in loads:
        say(f"  load {load['id']}: {load['source'].rpartition('sample/')[2]}")
    counts = ("received", "inserted", "updated", "unchanged", "superseded", "rejected", "resolved")
    rows = [[name, *(load[name] for load in loads)] for name in counts]
    _table(("rows", *(f"load {load['id']}" for load in loads)), rows)
    say("  received = inserted + updated + unchanged + superseded + rejected")
    say("  superseded: the same file has a later row with the same id")
    say("  resolved: rejected first, then loaded when their department and job existed")


def show_rejects(platform: Platform, loads: list[Row]) -> None:
    heading("The rejected records (errored bucket), by reason")
    rejects: list[Row] = []
    for load in loads:
        if load["rejected"] > load["resolved"]:
            rejects += platform.rejects(load["errored_key"])
    for count, reason, examples in rejects_by_reason(rejects):
        say(f"  {count:>3}  {reason}")
        for example in examples:
            place = f"{example['source'].rpartition('/')[2]}:{example['line']}"
            say(f"       {place:<30} {cell(example['raw'])}")
    say("  A record with several reasons counts for each of them.")


def restore_a_change(platform: Platform) -> None:
    heading("A backup, a change, and a restore")
    point = platform.backup()
    old = _department(platform)
    say(f"  make backup                                    restore point {point}")
    say(f"  department {_RENAMED} is called                         {old}")
    changed = platform.post("/department/upload", {"id": _RENAMED, "department": f"{old} (renamed)"})
    say(f"  POST /department/upload                        {changed['outcome']}: it is called {_department(platform)}")
    say(f"  make backup                                    restore point {platform.backup()}")
    order = platform.post("/department/backup/restore", {"restore_point": point})
    say(f"  POST /department/backup/restore                load {order['load_id']}, from the older restore point")
    load = _followed(platform, order["status_url"])
    say(f"  GET {order['status_url']:<42} {load['updated']} updated, {load['unchanged']} unchanged")
    restored = _department(platform)
    if restored != old:
        raise CloudError(f"department {_RENAMED} is called {restored!r} after the restore, not {old!r}")
    say(f"  department {_RENAMED} is called                         {restored}")


def _followed(platform: Platform, status_url: str) -> Row:
    """Wait until a restore has ended, and return its load. Raises CloudError if it does not succeed."""
    latest: Row = {}

    def state() -> str:
        latest.update(platform.get(status_url))
        return f"restore: {latest['status']}"

    _wait(state, str, lambda: latest["status"] in FINAL, _LOADING)
    if latest["status"] != "succeeded":
        raise CloudError(f"the restore {latest['status']}: {latest['error']}")
    return latest


def _department(platform: Platform) -> str:
    """Return the name that the quarterly report shows for the department _RENAMED."""
    report = platform.get(f"/department/hires/quarterly/{_YEAR}?department_id={_RENAMED}")
    return str(report[0]["department"])


def show_reports(platform: Platform) -> None:
    heading(f"Departments that hired more than the mean in {_YEAR} (GET /department/hires/top/{_YEAR})")
    _report(platform.get(f"/department/hires/top/{_YEAR}"))
    quarterly = platform.get(f"/department/hires/quarterly/{_YEAR}")
    heading(f"Hires per quarter of {_YEAR} (GET /department/hires/quarterly/{_YEAR}), 8 of {len(quarterly)} rows")
    _report(quarterly[:8])


def _report(rows: list[Row]) -> None:
    _table(tuple(rows[0]) if rows else ("nothing",), [list(row.values()) for row in rows])


def _table(columns: Sequence[str], rows: list[list[Cell]]) -> None:
    """Print a table for people, also if the output is no terminal. Columns of text are wrapped if they do not fit."""
    Output(sys.stdout, for_people=True).table(columns, rows, _FLEXIBLE)


def say_where_to_look(platform: Platform) -> None:
    url = platform.env["API_URL"]
    heading("Everything is running; where to look next")
    say(f"  {url}/   the dashboard")
    say(f"  curl -s '{url}/loads?limit=5'")
    say(f"  curl -s '{url}/department/hires/top/2022'")
    say(f"  curl -s '{url}/job/upload' -H 'Content-Type: application/json' -d '{{\"job\": \"Clock Winder\"}}'")
    say('  ./hireflow upload FILE.csv: send a file of your own; README.md, "Use it", has more examples')
    say("")
    say(f"  {os.path.relpath(platform.env_file)}: the API, the buckets and the database, as KEY=VALUE lines")
    stage = "" if platform.stage == "local" else f" STAGE={platform.stage}"
    say(f"  make test: all tests     make down{stage}: stop, keep the data     make clean{stage}: delete everything")
