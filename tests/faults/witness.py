"""The witness: writers send, a storm strikes, everything comes to rest, the judge looks.

`run` is both the short form of `make test` and the long one of `make faults`.
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
ABOVE_ALL = 500_000_000  # the largest id of departments at the start: ids that are given are above it
BACKOFF = 5.0  # seconds: more than the embedded AWS lets pass between two attempts
Report = Callable[[str], None]


def seed() -> str:
    return os.environ.get("HIREFLOW_FAULT_SEED") or DEFAULT_SEED


@dataclass(frozen=True)
class Form:
    """The size of a run: the number of faults, how many of them are outages, the mean seconds between two faults, the
    events delivered late at the end, and the seconds that a function may take."""

    faults: int
    outages: Mapping[str, int]
    pause: float
    late_copies: int
    timeout: int


SHORT = Form(19, {POWER_CUT: 1, DOWN_AND_UP: 1, SWALLOWED: 1}, pause=0.3, late_copies=30, timeout=6)
LONG = Form(300, {POWER_CUT: 32, DOWN_AND_UP: 12, SWALLOWED: 24}, pause=1.2, late_copies=300, timeout=15)


@dataclass(frozen=True)
class Outcome:
    """What was seen; `loads` and `errors` before the redrive."""

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
            f"faults: {_told(self.faults)}",
            f"outages: {_told(self.aims)}; up again after {_most(self.ups)}, all loaded {_most(self.waits)} later",
            f"loads: {_told(self.loads)}; {self.attempts} attempts, {self.redriven} events redriven",
            f"failed because: {_told(self.errors)}",
            f"rows judged: {self.rows}, and {self.rejects} rejects",
            *self.violations[:50],
            f"{self.faults.total()} faults, {len(self.violations)} violations",
        ]


def _told(counted: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counted.most_common()) or "-"


def _most(seconds: list[float]) -> str:
    return f"{median(seconds):.0f} s ({max(seconds):.0f} s at most)" if seconds else "-"


def run(stage: Stage, chosen: str, form: Form, report: Report) -> Outcome:
    """Faults while writers write, then three looks: at rest, after a redrive, and after late copies."""
    started, book = time.monotonic(), Book()
    storm = _weather(stage, book, chosen, form, report)
    report("coming to rest")
    _adopt(stage, book)
    _come_to_rest(stage, book)
    _sweep(stage)
    first = _first_look(stage, book)
    violations = [*storm.outages.violations, *(f"at rest: {found}" for found in first.violations())]
    redriven = stage.cloud.redrive()["redriven"]
    report(f"{redriven} events redriven")
    _come_to_rest(stage, book)
    _sweep(stage)
    second = Judge(stage, book, stage.events.dead_letters())
    violations += [f"after the redrive: {found}" for found in (*second.violations(), *_unfinished(second))]
    report("delivering once more")
    _deliver_late(stage, book, Random(f"{chosen}/late"), form.late_copies)
    violations += _changed(second, Judge(stage, book, []))
    report("restoring everything")
    violations += [*second.points.faults(), *second.points.give_everything_back()]
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


def _weather(stage: Stage, book: Book, chosen: str, form: Form, report: Report) -> Storm:
    """Writers and storm, until the storm has blown over."""
    writers = all_writers(stage, book, chosen)
    _prepare(writers[0])
    storm, stop = Storm(stage, book, chosen, form.pause, report), threading.Event()
    storm.outages.operator.back_up()
    threads = [threading.Thread(target=_kept, args=(writer, stop, book)) for writer in writers]
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
    """What every writer may refer to, and the largest id of all."""
    for dataset, last in (("departments", ABOVE_ALL), ("jobs", MAX_ID)):
        rows = [writer.row(dataset, row_id) for row_id in (*KNOWN, last)]
        file = writer.put(dataset, f"known/{dataset}.csv", [Line(as_csv(row), row) for row in rows])
        assert writer.ended(file, patience=60) == "succeeded"


def _kept(writer: Writer, stop: threading.Event, book: Book) -> None:
    try:
        writer.run(stop)
    except BaseException as error:
        book.note_unexpected(f"the writer of {writer.name} died: {error!r}")
        raise


def _adopt(stage: Stage, book: Book) -> None:
    """Decide about files whose acknowledgement was lost: a file counts as sent if the bucket has it."""
    s3, bucket = stage.cloud.s3, stage.cloud.env["LANDING_BUCKET"]
    for file in book.lost_files:
        for found in s3.list_object_versions(Bucket=bucket, Prefix=file.key).get("Versions", ()):
            version = found["VersionId"]
            if (file.source, version) not in book.files:
                body = s3.get_object(Bucket=bucket, Key=file.key, VersionId=version)["Body"].read()
                if body == file.body:
                    book.note_file(replace(file, version=version))


def _come_to_rest(stage: Stage, book: Book, deadline: float = 180.0) -> None:
    """Wait until every file's load has ended, or nothing happens any more because some events' retries have run out.

    The sweep takes care of swallowed events.
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
    raise AssertionError("the loads do not come to rest")


def _sweep(stage: Stage) -> None:
    """The sweep as it comes when an event's time is over."""
    stage.cloud.commands.invoke("sweep")
    database = Database(stage.database_url, tls="disable")
    s3, env = stage.cloud.s3, stage.cloud.env
    storage = Storage(env["LANDING_BUCKET"], env["ERRORED_BUCKET"], env["BACKUP_BUCKET"], client=lambda: s3)
    grace = timedelta(minutes=GRACE_MINUTES)
    upkeep.sweep(database, storage, grace=grace, retry_wait=timedelta(0), stray_wait=timedelta(0))
    database.close()


def _first_look(stage: Stage, book: Book) -> Judge:
    """Once the failure records are there: a load may be given up before its event's last retry."""
    until = time.monotonic() + stage.timeout + BACKOFF
    while (
        any((judge := Judge(stage, book, stage.events.dead_letters())).failure_records()) and time.monotonic() < until
    ):
        time.sleep(0.2)
    return judge


def _unfinished(judge: Judge) -> list[str]:
    """With all faults over, a redrive brings everything that was given up."""
    failed = [load for load in judge.loads.values() if load["status"] == "failed" and judge.was_accepted(load)]
    loads = [f"load {load['id']} is failed: {load['error']}" for load in failed]
    return loads + [f"{at} has no load" for at in judge.book.files.keys() - judge.load_of.keys()]


def _deliver_late(stage: Stage, book: Book, random: Random, most: int) -> None:
    """All events once more, in no order (or as many as there is time for)."""
    for event in stage.events.copies():
        book.note_event(event)
    versions = sorted(book.events)
    for version in random.sample(versions, min(most, len(versions))):
        stage.cloud.invoke("ingest", book.events[version])


def _changed(before: Judge, after: Judge) -> list[str]:
    """An event that is delivered again changes nothing."""
    changed = [load_id for load_id, load in after.loads.items() if load != before.loads.get(load_id)]
    found = [f"a late copy changed load {load_id}: {after.loads[load_id]}" for load_id in changed]
    return found + [
        f"a late copy changed {name}" for name in before.present if before.present[name] != after.present[name]
    ]
