"""Causes faults that no retry of Lambda can repair: power cuts, `make down`, and events that never come.

Power cuts and `make down` happen in turn during a load, during a merge, during a backup, during a restore, and at any
time. When the stage runs again, every object that was acknowledged before the outage must be loaded within a minute.
"""

import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from chalicelib.backups.run import LOCK as BACKUP_LOCK
from chalicelib.cloud.database import Database, Session
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import DatabaseUnavailable
from cli.errors import CommandError
from tests.e2e.cloud import FINAL
from tests.faults.model import Book
from tests.faults.operator import Operator
from tests.faults.stage import Stage
from tests.faults.writers import FileWriter

SOON = 60.0  # seconds after the end of `make up` within which all files must be loaded
_AIM = 4.0  # seconds to wait at most until the work to interrupt has begun
RUNNING = (
    "SELECT count(*) FROM loads l JOIN pg_locks k ON k.locktype = 'advisory' AND k.classid = 0"
    " AND k.objid = l.id::oid AND k.granted WHERE l.status = 'running'"
)
_MERGING = (
    "SELECT count(*) FROM pg_locks k JOIN pg_class c ON c.oid = k.relation WHERE k.granted"
    f" AND k.mode = 'ShareRowExclusiveLock' AND c.relname IN {tuple(DATASETS)}"
)
_BACKING_UP = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    f" AND classid = {BACKUP_LOCK[0]} AND objid = {BACKUP_LOCK[1]}"
)
_RESTORING = "SELECT count(*) FROM loads WHERE kind = 'restore' AND status IN ('queued', 'running')"


class Outages:
    """Causes outages, and checks the loads after each of them.

    `aims` counts the outages by kind and moment. `ups` are the seconds that each `make up` took. `waits` are the
    seconds from the end of `make up` until all loads had ended. `violations` has a sentence for each violation.
    """

    def __init__(self, stage: Stage, book: Book, seed: str, report: Callable[[str], None]) -> None:
        self.aims: Counter[str] = Counter()
        self.violations: list[str] = []
        self.ups: list[float] = []
        self.waits: list[float] = []
        self._stage, self._book, self._random = stage, book, Random(f"{seed}/outages")
        self._report = report
        self._database = Database(stage.database_url, tls="disable")
        self.operator = Operator(stage, book, self._random)
        self._writer = FileWriter(
            "swallowed files", stage, book, seed, dataset="hired_employees", ids=range(400_000, 400_300), most=40
        )
        self._moments: dict[str, Callable[[], bool]] = {
            "at any time": self._at_any_time,
            "during a load": lambda: self._met(RUNNING),
            "during a merge": lambda: self._met(_MERGING),
            "during a backup": lambda: self._met(_BACKING_UP, self.operator.begin_backup),
            "during a restore": lambda: self._met(_RESTORING, self.operator.begin_restore),
        }
        # For each kind of outage, the moments (such as "during a merge") at which it has not happened yet.
        self._turns: dict[str, list[str]] = {}

    def power_cut(self) -> bool:
        return self._strike("power cut", self._stage.power_cut)

    def down_and_up(self) -> bool:
        return self._strike("make down and up", self._stage.down_and_up)

    def swallow(self) -> bool:
        """Upload a file, but let its event reach no function. In about half of the calls, run a sweep afterwards."""
        with self._stage.events.swallowed():
            self._writer.send()
            time.sleep(self._random.uniform(0, 0.5))
        if self._random.random() < 0.5:
            self.sweep()
        return True

    def sweep(self) -> bool:
        """Run the sweep that `make up` runs. Return False if another fault has prevented the sweep."""
        try:
            self._stage.sweep()
        except (CommandError, ValueError):
            return False
        return True

    def end(self) -> None:
        self.operator.end()
        self._database.close()

    def _strike(self, kind: str, outage: Callable[[], float]) -> bool:
        """Wait for a moment such as "during a merge", cause an outage at this moment, and check the loads. The kinds of
        moments take turns. Return False if the moment has not come, for example because no merge was running."""
        turns = self._turns.get(kind) or self._random.sample(list(self._moments), len(self._moments))
        self._turns[kind] = turns
        self._note_finished()
        if not self._moments[turns[-1]]():
            turns.insert(0, turns.pop())
            return False
        what = f"{kind} {turns.pop()}"
        acknowledged, address = self._book.acknowledged(), self._stage.cloud.env["API_URL"]
        self.ups.append(outage())
        if self._stage.cloud.env["API_URL"] != address:
            self._violated(f"{what}: the address of the API has changed")
        self._stage.at_work.clear()  # the writers pause, so that only the interrupted loads are measured
        try:
            self._await_loads(what, acknowledged)
        finally:
            self._stage.at_work.set()
        self.aims[what] += 1
        self._report(f"     {what}: up after {self.ups[-1]:.0f} s, all loads ended {self.waits[-1]:.0f} s later")
        return True

    def _violated(self, what: str) -> None:
        self.violations.append(what)
        self._report(what)

    # --- moments

    def _at_any_time(self) -> bool:
        time.sleep(self._random.uniform(0, 1))
        return True

    def _met(self, sign: str, begin: Callable[[], None] = lambda: None) -> bool:
        """Call `begin`, and wait until the query `sign` shows that the work to interrupt is running. Return False if it
        does not run within _AIM seconds."""
        begin()
        deadline = time.monotonic() + _AIM
        while time.monotonic() < deadline:
            if self._ask(lambda session: session.scalar(sign)):
                time.sleep(self._random.uniform(0, 0.1))
                return True
            time.sleep(0.005)
        return False

    # --- checks

    def _note_finished(self) -> None:
        """Record the loads that have succeeded or were skipped. They must not run again after the outage."""
        ended = "SELECT id, status, finished_at FROM loads WHERE status IN ('succeeded', 'skipped')"
        for load_id, *how in self._ask(lambda session: session.run(ended)) or []:
            self._book.note_finished(load_id, tuple(how))

    def _await_loads(self, what: str, acknowledged: set[tuple[str, str]]) -> None:
        began, since = time.monotonic(), self._ask(lambda session: session.scalar("SELECT clock_timestamp()"))
        query = "SELECT source, version, status, finished_at, error FROM loads WHERE version IS NOT NULL"
        while True:
            rows = self._ask(lambda session: session.run(query)) or []
            missing = acknowledged - {(source, version) for source, version, status, *_ in rows if status in FINAL}
            if not missing or time.monotonic() - began > SOON:
                break
            time.sleep(0.2)
        self.waits.append(time.monotonic() - began)
        for source, version in sorted(missing):
            self._violated(f"{what}: {source} {version} was not loaded within {SOON:.0f} seconds")
        for source, version, status, at, error in rows:
            if status == "failed" and at > since and (source, version) in acknowledged:
                self._violated(f"{what}: {source} {version} failed after the outage: {error}")

    def _ask(self, question: Callable[[Session], Any]) -> Any:
        try:
            with self._database.session() as session:
                return question(session)
        except DatabaseUnavailable:
            return None
