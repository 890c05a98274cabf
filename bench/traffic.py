"""Chooses the requests of the callers: reads of reports, loads and the dashboard, and writes of rows."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlsplit

from bench import callers
from bench.callers import Request, Traffic
from bench.data import SEED

FIRST = 50_000_000  # the smallest id that callers write; files use smaller ids
READS = (
    ("/department/hires/quarterly/2021", 30),
    ("/department/hires/top/2021", 20),
    ("/loads?limit=20", 10),
    ("/dashboard/reports", 5),
    ("/health", 5),
)
WRITES = (("single upload", 20), ("batch of 20", 10))


class Requests:
    """Makes requests to a stage at `url`. The rows in the requests get the ids `ids`. By default, no id is repeated."""

    def __init__(self, url: str, ids: Iterator[int] | None = None) -> None:
        self._prefix, self._ids = urlsplit(url).path, ids or count(FIRST)
        self._random = Random(SEED)  # noqa: S311 - the random numbers are not used for secrets

    def mixed(self) -> Request:
        """Return a random request. READS and WRITES say how often each kind of request is chosen."""
        names, weights = zip(*READS, *WRITES, strict=True)
        [name] = self._random.choices(names, weights)
        if name == "single upload":
            return self.employee()
        return self.batch(20) if name == "batch of 20" else self.read(name)

    def report(self) -> Request:
        return self.read(self._random.choice(READS[:2])[0])

    def read(self, path: str) -> Request:
        return Request(path, "GET", self._prefix + path)

    def constant(self, size: int) -> Callable[[], Request]:
        request = self.read(f"/constant/{size}")
        return lambda: request

    def employee(self) -> Request:
        return self._post("/hired_employee/upload", self._employee())

    def batch(self, rows: int) -> Request:
        return self._post("/hired_employee/upload/batch", {"data": [self._employee() for _ in range(rows)]})

    def department(self) -> Request:
        return self._post("/department/upload", {"id": next(self._ids), "department": "Bench"})

    def job(self) -> Request:
        return self._post("/job/upload", {"id": next(self._ids), "job": "Bench"})

    def _employee(self) -> dict[str, Any]:
        row_id = next(self._ids)
        at = f"2021-{1 + row_id % 12:02}-15T10:00:00Z"
        department, job = 1 + row_id % 12, 1 + row_id % 183
        return {"id": row_id, "name": "Ada Lund", "datetime": at, "department_id": department, "job_id": job}

    def _post(self, path: str, body: Any) -> Request:
        return Request(path, "POST", self._prefix + path, json.dumps(body).encode())


def split(file: bytes, parts: int) -> Sequence[bytes]:
    """Divide the lines of a file into `parts` files. Their numbers of lines differ by at most one."""
    lines = file.splitlines(keepends=True)
    return [b"".join(lines[len(lines) * n // parts : len(lines) * (n + 1) // parts]) for n in range(parts)]


def constant_beside(url: str, traffic: Traffic, count: int, seconds: float) -> Traffic:
    """Let `count` callers request a constant that is as large as the average response of `traffic`."""
    size = sum(answer.size for answer in traffic.answers) // len(traffic.answers)
    return callers.call_for(url, Requests(url).constant(size), count, seconds)


def beside_constants(
    url: str, choose: Callable[[], Request], count: int, seconds: float, rounds: int
) -> list[tuple[Traffic, Traffic]]:
    """Return, for each round, the traffic of `count` callers, and their traffic for a constant of the same size. Each
    of them takes `seconds` seconds."""
    pairs: list[tuple[Traffic, Traffic]] = []
    for _ in range(1 + rounds):
        traffic = callers.call_for(url, choose, count, seconds)
        pairs.append((traffic, constant_beside(url, traffic, count, seconds)))
    return pairs[1:]  # the first round does not count, because it starts workers
