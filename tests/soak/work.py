"""Keeps a stage at work. At the same time, it sends files in many dialects and requests, opens pages, and runs backups,
restores, sweeps and verifications.

The ids of all rows come from a limited range, so the tables of the datasets stop growing soon.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from urllib.parse import urlsplit

from bench import callers
from bench.data import Shape, employees, workbook
from bench.traffic import FIRST, Requests
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS
from chalicelib.core.kinds.table import Kind
from tests.dialects import DECLARED, FOUND, LINE_ENDS, Dialect, written
from tests.e2e.cloud import Cloud

_IDS = range(1, 5001)  # the ids of the employees in files
_CALLERS = 6
_THINKING = 0.2  # seconds between the requests of a caller
_PANELS = ("reports", "loads", "upload", "backups", "health")
_PARENTS = {"departments": Shape().departments, "jobs": Shape().jobs}


Step = Callable[[Random, int], None]


@dataclass
class Work:
    """Keeps a stage at work. `done` counts the work by its kind, and `wrong` counts the failures. `calling` is the
    number of seconds for which callers send requests in one step."""

    cloud: Cloud
    seed: int
    calling: float = 10.0
    done: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def steps(self) -> Sequence[Step]:
        """Return the kinds of work. A step gets a source of random numbers and the number of its turn."""
        return (self._file, self._file, self._call, self._operate, self._look)

    def threads(self) -> list[threading.Thread]:
        """Return the threads that repeat all steps until `stop` is set."""
        return [threading.Thread(target=self._repeat, args=(step, n)) for n, step in enumerate(self.steps)]

    def fill(self) -> None:
        """Load the departments, the jobs, and a row for every id of an employee."""
        for dataset, count in _PARENTS.items():
            self._ended(f"{dataset}.csv", "".join(f"{i},Name {i}\n" for i in range(1, count + 1)).encode(), {})
        self._ended("hired_employees.csv", b"".join(b"%d,Ada,2021-01-01T08:30:00Z,1,1\n" % i for i in _IDS), {})

    def _repeat(self, step: Step, number: int) -> None:
        random, turn = Random(f"{self.seed}/{number}"), number
        while not self.stop.is_set():
            try:
                step(random, turn)
            except Exception as error:
                self.wrong[f"{step.__name__.strip('_')}: {type(error).__name__}: {str(error)[:160]}"] += 1
            turn += 1

    def _file(self, random: Random, turn: int) -> None:
        """Send a file in a random dialect, and wait for its load."""
        if turn % 20 == 10:
            self._ended("soak/hired_employees.xlsx", workbook(employees(500)), {})
            self.done["files, XLSX"] += 1
            return
        dataset = random.choice(list(DATASETS.values()))
        dialect = a_dialect(random, dataset)
        body = written(dataset, list(_rows(random, dataset)), dialect)
        suffix = ".csv.gz" if dialect.is_gzipped else ".csv"
        declared = {"encoding": dialect.encoding} if dialect.encoding in DECLARED else {}
        self._ended(f"soak/{dataset.name}_{random.randrange(200)}{suffix}", body, declared)
        self.done[f"files, {dialect.encoding}"] += 1

    def _ended(self, key: str, body: bytes, declared: dict[str, str]) -> None:
        before = self.cloud.newest_load()
        load = self.cloud.ended(self.cloud.put(key, body, declared), before)
        if load["status"] == "failed":
            self.wrong[f"a load failed: {load['error']}"] += 1

    def _call(self, _: Random, turn: int) -> None:
        """Let callers send requests for some seconds."""
        end = time.monotonic() + self.calling
        requests = Requests(self.cloud.env["API_URL"], cycle(range(FIRST + turn % 7, FIRST + 500)))
        over = lambda: self.stop.is_set() or time.monotonic() > end  # noqa: E731 - the name says what it returns
        traffic = asyncio.run(
            callers.call(self.cloud.env["API_URL"], requests.mixed, _CALLERS, over, thinking=_THINKING)
        )
        self.done["requests"] += len(traffic.answers)
        self.done["requests, 429 or 503"] += round(traffic.refused * len(traffic.answers) / 100)
        self.wrong.update({f"requests: {kind}": number for kind, number in traffic.failed.items()})

    def _operate(self, random: Random, turn: int) -> None:
        """Back up. Then restore a dataset, sweep, or verify."""
        invoke = self.cloud.commands.invoke
        self.cloud.backup()
        self.done["backups"] += 1
        if turn % 3 == 0:
            load = self.cloud.restore(random.choice(("department", "job", "hired_employee")))
            self.done[f"restores, {load['status']}"] += 1
            if load["status"] == "failed":
                self.wrong[f"a restore failed: {load['error']}"] += 1
        elif turn % 3 == 1:
            invoke("sweep")
            self.done["sweeps"] += 1
        elif turn % 9 == 2:
            invoke("verify")
            self.done["verifications"] += 1
        self.stop.wait(3)

    def _look(self, random: Random, _turn: int) -> None:
        """Open the dashboard, all its panels, and the panel of a load."""
        load = self.cloud.newest_load()
        for path in ("/", *(f"/dashboard/{panel}" for panel in _PANELS), f"/dashboard/load?id={load}"):
            url = self.cloud.env["API_URL"]
            status, _, _ = asyncio.run(_once(url, Requests(url).read(path)))
            self.done["pages"] += 1
            if status not in (200, 429, 503):
                self.wrong[f"GET {path.partition('?')[0]}: {status}"] += 1
            self.stop.wait(random.uniform(0.1, 0.5))


async def _once(url: str, request: callers.Request) -> tuple[int, bytes, float]:
    connection = callers.Connection(urlsplit(url).netloc)
    try:
        return await connection.send(request)
    finally:
        connection.close()


def a_dialect(random: Random, dataset: Dataset) -> Dialect:
    """Return a random dialect in which Hireflow understands a file of this dataset."""
    has_header = random.random() < 0.6
    columns = [*dataset.column_names]
    if has_header:
        columns += [f"note_{number}" for number in range(random.choice((0, 0, 1, 2)))]
        random.shuffle(columns)
    return Dialect(
        delimiter=random.choice((",", ";", "\t", "|")),
        encoding=random.choice((*FOUND, *FOUND, *DECLARED)),
        line_end=random.choice(LINE_ENDS),
        columns=tuple(columns),
        has_header=has_header,
        quotes_all=random.random() < 0.3,
        ends_last_line=random.random() < 0.8,
        has_sep_line=random.random() < 0.2,
        is_gzipped=random.random() < 0.3,
        trailing_empty_fields=random.choice((0, 0, 1)),
        has_decimal_ids=random.random() < 0.2,
    )


def _rows(random: Random, dataset: Dataset) -> Iterator[list[str]]:
    """Yield the rows of a file. Two of a hundred rows are broken."""
    largest = _PARENTS.get(dataset.name, max(_IDS))
    for number in range(random.choice((1, 20, 200, 2000))):
        row = [_text(random, column.kind) for column in dataset.columns]
        row[0] = str(random.randint(1, largest))
        if dataset.name not in _PARENTS:
            row[-2:] = [str(random.randint(1, _PARENTS["departments"])), str(random.randint(1, _PARENTS["jobs"]))]
        if number % 50 == 25:
            row[-1] = ""
        yield row


def _text(random: Random, kind: Kind) -> str:
    if kind is Kind.INSTANT:
        return f"20{random.randint(20, 22)}-0{random.randint(1, 9)}-{random.randint(10, 28)}T08:30:00Z"
    return f"Ada {random.randrange(1000)}"
