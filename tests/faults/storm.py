"""Injects the faults of a run. Random numbers from the seed decide which fault comes next, and when."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from chalicelib.cloud.database import Database
from chalicelib.core.errors import DatabaseUnavailable
from tests.faults.model import Book
from tests.faults.outages import RUNNING, Outages
from tests.faults.stage import Stage

_AIM = 2.0  # seconds to wait at most for a running load that a fault can disturb
_MISSES = 60  # the run fails if a kind of fault has found nothing to disturb this often
POWER_CUT, DOWN_AND_UP, SWALLOWED = "power cut", "make down and up", "event lost"


class Storm:
    """Injects faults. `tally` counts them by kind."""

    def __init__(self, stage: Stage, book: Book, seed: str, pause: float, report: Callable[[str], None]) -> None:
        self.tally: Counter[str] = Counter()
        self._stage, self._book, self._pause, self._report = stage, book, pause, report
        self._random = Random(f"{seed}/storm")
        self._database = Database(stage.database_url, tls="disable")
        self.outages = Outages(stage, book, seed, report)
        # Each value is the weight in the random choice, and the function that injects the fault.
        self._kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "ingest worker killed": (4, lambda: self._aimed(lambda: stage.kill_worker("ingest", self._random))),
            "API worker killed": (1, lambda: stage.kill_worker("", self._random)),
            "Postgres killed": (1, self._kill_postgres),
            "connections reset": (3, lambda: self._aimed(lambda: bool(stage.proxies.database.reset()))),
            "connections stalled": (2, lambda: bool(stage.proxies.database.stall(self._between(0.3, 2)))),
            "connections slow": (1, lambda: bool(stage.proxies.database.delay(self._between(0.01, 0.1), 2))),
            "connections in a black hole": (1, lambda: self._aimed(self._black_hole)),
            "functions timed out": (1, lambda: self._aimed(self._stall_beyond_the_timeout)),
            "S3 refuses": (3, lambda: self._s3("refuse", self._between(0.5, 3))),
            "S3 slow": (1, lambda: self._s3("slow", 2)),
            "S3 loses responses": (2, lambda: self._s3("lose", self._between(0.5, 2))),
            "S3 cuts responses": (2, lambda: self._s3("cut", self._between(0.5, 2))),
            "event delivered twice": (2, lambda: self._again(newest=True)),
            "event delivered late": (2, lambda: self._again(newest=False)),
            POWER_CUT: (0, self.outages.power_cut),
            DOWN_AND_UP: (0, self.outages.down_and_up),
            SWALLOWED: (0, self.outages.swallow),
        }

    def blow(self, faults: int, outages: Mapping[str, int]) -> None:
        """Inject `faults` faults in random order. `outages` has the number of each kind of outage.

        Each other kind of fault comes at least once. The kinds of the remaining faults are random.
        """
        names = list(self._kinds)
        once = [name for name in names if name not in outages]
        rest = max(0, faults - len(once) - sum(outages.values()))
        weights = [self._kinds[name][0] for name in names]
        to_come = [*once, *Counter(outages).elements(), *self._random.choices(names, weights, k=rest)]
        self._random.shuffle(to_come)
        misses: Counter[str] = Counter()
        while to_come:
            time.sleep(self._random.expovariate(1 / self._pause))
            name = to_come.pop()
            if self._kinds[name][1]():
                self.tally[name] += 1
                self._report(f"{self.tally.total():4} {name}")
                continue
            misses[name] += 1
            assert misses[name] < _MISSES, f"the fault {name!r} has found nothing to disturb {_MISSES} times"
            to_come.insert(self._random.randint(0, len(to_come)), name)

    def end(self) -> None:
        """End all faults."""
        self._stage.proxies.calm()
        self.outages.end()
        self._database.close()

    def _between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def _aimed(self, strike: Callable[[], bool]) -> bool:
        """Wait until a load is running, and inject a fault. Return False if no load runs within _AIM
        seconds."""
        deadline = time.monotonic() + _AIM
        while time.monotonic() < deadline:
            try:
                with self._database.session() as session:
                    if session.scalar(RUNNING):
                        return strike()
            except DatabaseUnavailable:
                pass
            time.sleep(0.005)
        return False

    def _kill_postgres(self) -> bool:
        self._stage.restart_postgres()
        return True

    def _black_hole(self) -> bool:
        return bool(self._stage.proxies.database.black_hole(self._between(2, self._stage.timeout + 4)))

    def _stall_beyond_the_timeout(self) -> bool:
        """Stall the connections to Postgres until the workers are killed by their timeout. The network then still
        delivers what the workers have sent."""
        return bool(self._stage.proxies.database.stall(self._stage.timeout + 0.5))

    def _s3(self, kind: str, seconds: float) -> bool:
        self._stage.proxies.s3.strike(kind, seconds, self._between(0.3, 1), self._between(0.1, 1.5))
        return True

    def _again(self, *, newest: bool) -> bool:
        """Deliver an event again. This is the newest event, or a random event if `newest` is false. Return False if
        there are no events yet."""
        for event in self._stage.events.copies():
            self._book.note_event(event)
        versions = list(self._book.events)
        if not versions:
            return False
        self._stage.events.deliver(self._book.events[versions[-1] if newest else self._random.choice(versions)])
        return True
