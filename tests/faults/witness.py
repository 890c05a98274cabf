"""Runs the fault test. Writers send data to a stage during a storm, which injects faults. When all loads have ended,
the judge compares the stage with what was sent.

`make test` runs the short form, and `make faults` the long form.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from statistics import median

from chalicelib.cloud.database import Database
from chalicelib.cloud.storage import Storage
from chalicelib.recovery import upkeep
from tests.e2e.cloud import FINAL
from tests.faults.judge import Judge
from tests.faults.model import KNOWN, MAX_ID, Book, Line, as_csv
from tests.faults.stage import GRACE_MINUTES, Stage
from tests.faults.storm import DOWN_AND_UP, POWER_CUT, SWALLOWED, Storm
from tests.faults.writers import Writer, all_writers

DEFAULT_SEED = "20210727"
ABOVE_ALL = 500_000_000  # the largest id of a department at the start; new departments get larger ids from the API
BACKOFF = 5.0  # seconds; the embedded AWS waits less than this between two attempts
Report = Callable[[str], None]


def seed() -> str:
    return os.environ.get("HIREFLOW_FAULT_SEED") or DEFAULT_SEED


@dataclass(frozen=True)
class Form:
    """The size of a run.

    `faults` is the number of all faults. `outages` says how many of these faults are outages, by kind. `pause` is the
    mean time between two faults in seconds. `late_copies` is the number of old events that are delivered again at the
    end. `timeout` is the timeout of the functions in seconds.
    """

    faults: int
    outages: Mapping[str, int]
    pause: float
    late_copies: int
    timeout: int


SHORT = Form(19, {POWER_CUT: 1, DOWN_AND_UP: 1, SWALLOWED: 1}, pause=0.3, late_copies=30, timeout=6)
LONG = Form(300, {POWER_CUT: 32, DOWN_AND_UP: 12, SWALLOWED: 24}, pause=1.2, late_copies=300, timeout=15)


@dataclass(frozen=True)
class Outcome:
    """The results of a run. `loads` (by status) and `errors` (of failed loads) are counted before the redrive."""

    seed: str
    seconds: float
    faults: Counter[str]
    aims: Counter[str]
    ups: list[float]
    waits: list[float]
    loads: Counter[str]
    errors: Counter[str]
    attempts: int
    redriven: int
    rows: int
    rejects: int
    violations: list[str]

    def lines(self) -> list[str]:
        return [
            f"seed {self.seed} (HIREFLOW_FAULT_SEED), {self.seconds:.0f} s",
            f"faults: {_listed(self.faults)}",
            f"outages: {_listed(self.aims)}",
            f"make up after an outage: {_times(self.ups)}; then until all loads had ended: {_times(self.waits)}",
            f"loads: {_listed(self.loads)}; {self.attempts} attempts, {self.redriven} events redriven",
            f"errors of failed loads: {_listed(self.errors)}",
            f"checked: {self.rows} rows and {self.rejects} rejects",
            *self.violations[:50],
            f"{self.faults.total()} faults, {len(self.violations)} violations",
        ]


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in counted.most_common()) or "-"


def _times(seconds: list[float]) -> str:
    return f"median {median(seconds):.0f} s, at most {max(seconds):.0f} s" if seconds else "-"


def run(stage: Stage, chosen: str, form: Form, report: Report) -> Outcome:
    """Run the storm while the writers send data. Then check the stage, and return the results.

    The stage is checked three times: when all loads have ended, after a redrive, and after some old events were
    delivered again.
    """
    started, book = time.monotonic(), Book()
    storm = _run_storm(stage, book, chosen, form, report)
    report("waiting for the end of all loads")
    _adopt(stage, book)
    _await_loads(stage, book)
    _sweep(stage)
    first = _first_look(stage, book)
    violations = [*storm.outages.violations, *(f"before the redrive: {violation}" for violation in first.violations())]
    redriven = stage.cloud.redrive()["redriven"]
    report(f"{redriven} events redriven")
    _await_loads(stage, book)
    _sweep(stage)
    second = Judge(stage, book, stage.events.dead_letters())
    violations += [f"after the redrive: {violation}" for violation in (*second.violations(), *_unfinished(second))]
    report("delivering old events again")
    _deliver_late(stage, book, Random(f"{chosen}/late"), form.late_copies)
    violations += _changed(second, Judge(stage, book, []))
    report("restoring all tables")
    violations += [*second.points.faults(), *second.points.restore_everything()]
    return Outcome(
        seed=chosen,
        seconds=time.monotonic() - started,
        faults=storm.tally,
        aims=storm.outages.aims,
        ups=storm.outages.ups,
        waits=storm.outages.waits,
        loads=Counter(load["status"] for load in first.loads.values()),
        errors=Counter(load["error"] for load in first.loads.values() if load["status"] == "failed"),
        attempts=sum(load["attempts"] for load in first.loads.values()),
        redriven=redriven,
        rows=sum(load["received"] for load in second.loads.values()),
        rejects=second.rejects_seen,
        violations=violations,
    )


def _run_storm(stage: Stage, book: Book, chosen: str, form: Form, report: Report) -> Storm:
    """Let the writers send data until the storm has injected all its faults."""
    writers = all_writers(stage, book, chosen)
    _prepare(writers[0])
    storm, stop = Storm(stage, book, chosen, form.pause, report), threading.Event()
    storm.outages.operator.back_up()
    threads = [threading.Thread(target=_run_writer, args=(writer, stop, book)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        storm.blow(form.faults, form.outages)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        storm.end()
    return storm


def _prepare(writer: Writer) -> None:
    """Load the departments and jobs that every writer may refer to, and rows with large ids."""
    for dataset, last in (("departments", ABOVE_ALL), ("jobs", MAX_ID)):
        rows = [writer.row(dataset, row_id) for row_id in (*KNOWN, last)]
        file = writer.put(dataset, f"known/{dataset}.csv", [Line(as_csv(row), row) for row in rows])
        assert writer.ended(file, patience=60) == "succeeded"


def _run_writer(writer: Writer, stop: threading.Event, book: Book) -> None:
    try:
        writer.run(stop)
    except BaseException as error:
        book.note_unexpected(f"the writer of {writer.name} crashed: {error!r}")
        raise


def _adopt(stage: Stage, book: Book) -> None:
    """Look for files whose acknowledgement was lost. If the bucket has such a file, it counts as sent."""
    s3, bucket = stage.cloud.s3, stage.cloud.env["LANDING_BUCKET"]
    for file in book.lost_files:
        for listed in s3.list_object_versions(Bucket=bucket, Prefix=file.key).get("Versions", ()):
            version = listed["VersionId"]
            if (file.source, version) not in book.files:
                body = s3.get_object(Bucket=bucket, Key=file.key, VersionId=version)["Body"].read()
                if body == file.body:
                    book.note_file(replace(file, version=version))


def _await_loads(stage: Stage, book: Book, deadline: float = 180.0) -> None:
    """Wait until the load of every file has ended, or until no load changes any more.

    If Lambda has used up the retries of some events, their loads never end, and no load changes any more. The sweep at
    the beginning finds the files whose events were lost.
    """
    stage.sweep()
    until, seen, since = time.monotonic() + deadline, None, time.monotonic()
    while time.monotonic() < until:
        loads = stage.cloud.sql("SELECT source, version, status, attempts FROM loads WHERE version IS NOT NULL")
        over = {(source, version) for source, version, status, _ in loads if status in FINAL}
        if seen != loads:
            seen, since = loads, time.monotonic()
        if book.files.keys() <= over or time.monotonic() - since > stage.timeout + BACKOFF:
            return
        time.sleep(0.2)
    raise AssertionError(f"the loads have not ended within {deadline:.0f} seconds")


def _sweep(stage: Stage) -> None:
    """Sweep as if the waiting times before a retry and before the deletion of leftover files were over."""
    stage.cloud.commands.invoke("sweep")
    database = Database(stage.database_url, tls="disable")
    s3, env = stage.cloud.s3, stage.cloud.env
    storage = Storage(env["LANDING_BUCKET"], env["ERRORED_BUCKET"], env["BACKUP_BUCKET"], client=lambda: s3)
    grace = timedelta(minutes=GRACE_MINUTES)
    upkeep.sweep(database, storage, grace=grace, retry_wait=timedelta(0), stray_wait=timedelta(0))
    database.close()


def _first_look(stage: Stage, book: Book) -> Judge:
    """Wait until the failure records of all failed loads have come. Lambda sends a record only after the last retry,
    and a load may be given up before that. Return the judge of this state."""
    until = time.monotonic() + stage.timeout + BACKOFF
    while (
        any((judge := Judge(stage, book, stage.events.dead_letters())).failure_records()) and time.monotonic() < until
    ):
        time.sleep(0.2)
    return judge


def _unfinished(judge: Judge) -> list[str]:
    """Check that all loads have succeeded after the redrive, because the storm is over. Return the violations."""
    failed = [load for load in judge.loads.values() if load["status"] == "failed" and judge.was_accepted(load)]
    loads = [f"load {load['id']} has failed: {load['error']}" for load in failed]
    return loads + [
        f"{source} {version} has no load" for source, version in judge.book.files.keys() - judge.load_of.keys()
    ]


def _deliver_late(stage: Stage, book: Book, random: Random, most: int) -> None:
    """Deliver at most `most` old events again, in random order."""
    for event in stage.events.copies():
        book.note_event(event)
    versions = sorted(book.events)
    for version in random.sample(versions, min(most, len(versions))):
        stage.cloud.invoke("ingest", book.events[version])


def _changed(before: Judge, after: Judge) -> list[str]:
    """Check that the old events, which were delivered again, have changed nothing. Return the violations."""
    changed = [load_id for load_id, load in after.loads.items() if load != before.loads.get(load_id)]
    loads = [f"an old event changed load {load_id}: {after.loads[load_id]}" for load_id in changed]
    return loads + [
        f"an old event changed {name}" for name in before.present if before.present[name] != after.present[name]
    ]
