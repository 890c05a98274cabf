"""The writers send data during the storm. Each writer has its own thread, its own random numbers and its own ids. Only
two writers use the same ids on purpose.

A writer of files usually waits until a load has ended before it sends the next file. If the response to a request is
lost, the writer does not use the ids of this request again. So the judge can see later whether all rows of the request
were stored, or none.
"""

import gzip
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.cloud.database import Database
from chalicelib.core.errors import DatabaseUnavailable
from tests.e2e.cloud import FINAL, Response
from tests.faults.model import KNOWN, NEVER, Book, File, Line, Parents, Request, Stored, as_csv, employee
from tests.faults.stage import Stage

PATIENCE = 20.0  # seconds that a writer waits at most until a load has ended
_OUTAGE = 0.5  # seconds that a writer pauses after a lost file, because thousands of lost files would test nothing more
_LOST = (OSError, http.client.HTTPException)
_BROKEN = {
    "departments": ("x,Nobody", ",Nobody", "7", "8,"),
    "jobs": ("0,Nobody", "1.5,Nobody", '5,No "quotes"', "9, "),
    "hired_employees": ("1,Ann,2021-13-01,1,1", "2,,2021-01-01,1,1", "3,Cy,2021-01-01,1", "x,,,,"),
}


@dataclass
class Writer:
    """A thread that sends data. Every text that it sends begins with its `name`."""

    name: str
    stage: Stage
    book: Book
    seed: str
    random: Random = field(init=False)
    _serial: Iterator[int] = field(default_factory=lambda: count(1))
    _orders: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed}/{self.name}")
        self._database = Database(self.stage.database_url, tls="disable")

    def step(self) -> None:
        raise NotImplementedError

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.step()
            stop.wait(self.random.uniform(0.0, 0.4))
            self.stage.at_work.wait()
        self._database.close()

    def value(self) -> str:
        """Return a text that no writer has sent before."""
        return f"{self.name} {next(self._serial)}"

    def row(self, dataset: str, row_id: int, parents: Parents = Parents.KNOWN) -> Stored:
        if dataset != "hired_employees":
            return row_id, self.value()
        department, job = self.random.choice(KNOWN), self.random.choice(KNOWN)
        if parents is Parents.NEVER:
            department = self.random.choice(NEVER)
        return employee(row_id, self.value(), self.random.randrange(730), department, job)

    def put(self, dataset: str, key: str, lines: list[Line]) -> File | None:
        """Upload a file. If its key ends in .gz, compress it. Return None if the acknowledgement is lost."""
        text = "".join(line.raw + "\n" for line in lines).encode()
        body = gzip.compress(text, mtime=0) if key.endswith(".gz") else text
        bucket = self.stage.cloud.env["LANDING_BUCKET"]
        self._orders[key] = self._orders.get(key, 0) + 1
        file = File(dataset, key, f"s3://{bucket}/{key}", "", self._orders[key], body, tuple(lines))
        undisturbed = self.stage.undisturbed()
        try:
            version = self.stage.uploads.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        except (BotoCoreError, ClientError):
            if undisturbed():
                raise
            self.book.note_lost_file(file)
            time.sleep(_OUTAGE)
            return None
        file = replace(file, version=version)
        self.book.note_file(file)
        return file

    def ended(self, file: File | None, patience: float = PATIENCE) -> str | None:
        """Return the final status of a file's load, or None if the load has not ended within `patience` seconds."""
        deadline = time.monotonic() + patience
        while file is not None and time.monotonic() < deadline:
            status = self._status(file)
            if status in FINAL:
                return status
            time.sleep(0.05)
        return None

    def _status(self, file: File) -> str | None:
        try:
            with self._database.session() as session:
                status = session.scalar(
                    "SELECT status FROM loads WHERE source = :source AND version = :version",
                    source=file.source,
                    version=file.version,
                )
        except DatabaseUnavailable:
            return None
        return None if status is None else str(status)


@dataclass
class FileWriter(Writer):
    """Sends files of one dataset with ids from `ids`. Some files have new keys, and others are new versions of earlier
    files."""

    dataset: str = ""
    ids: range = range(0)
    most: int = 600  # lines of the largest file
    _keys: list[str] = field(default_factory=list)

    def step(self) -> None:
        file = self.send()
        if self.random.random() < 0.7:
            self.ended(file)

    def send(self) -> File | None:
        lines = [self._line() for _ in range(self.random.choice((1, 20, self.most // 4, self.most)))]
        return self.put(self.dataset, self._key(), lines)

    def _key(self) -> str:
        if self._keys and self.random.random() < 0.4:
            return self.random.choice(self._keys)
        self._keys.append(f"{self.name}/{self.dataset}_{len(self._keys)}{self.random.choice(('.csv', '.csv.gz'))}")
        return self._keys[-1]

    def _line(self) -> Line:
        chance = self.random.random()
        if chance < 0.04:
            return Line(self.random.choice(_BROKEN[self.dataset]))
        never = chance < 0.07 and self.dataset == "hired_employees"
        parents = Parents.NEVER if never else Parents.KNOWN
        row = self.row(self.dataset, self.random.choice(self.ids), parents)
        return Line(as_csv(row), row, parents)


@dataclass
class LateWriter(Writer):
    """Sends employees, and afterwards the departments that these employees refer to."""

    ids: Iterator[int] = field(default_factory=lambda: count(1))
    departments: Iterator[int] = field(default_factory=lambda: count(1))

    def step(self) -> None:
        late = [next(self.departments) for _ in range(self.random.randint(1, 3))]
        lines = []
        for _ in range(self.random.randint(1, 40)):
            parents = self.random.choice((Parents.KNOWN, Parents.LATE))
            row = self.row("hired_employees", next(self.ids))
            if parents is Parents.LATE:
                row = (*row[:3], self.random.choice(late), row[4])
            lines.append(Line(as_csv(row), row, parents))
        number = len(self._orders)
        children = self.put("hired_employees", f"{self.name}/hired_employees_{number}.csv", lines)
        if self.random.random() < 0.5:
            self.ended(children)
        rows = [self.row("departments", row_id) for row_id in late]
        for attempt in range(5):
            key = f"{self.name}/departments_{number}_{attempt}.csv"
            if self.ended(self.put("departments", key, [Line(as_csv(row), row) for row in rows])) == "succeeded":
                return
            rows = [self.row("departments", row[0]) for row in rows]  # new texts, because no text is sent twice


@dataclass
class RequestWriter(Writer):
    """Sends requests to the API: batches, and single rows with and without ids."""

    dataset: str = ""
    route: str = ""
    first: int = 0  # the smallest id that this writer sends
    _block: int = 0

    def step(self) -> None:
        if self.random.random() < 0.5:
            self._batch()
        else:
            self._single(without_id=self.random.random() < 0.5)

    def _row(self) -> Stored:
        return self.row(self.dataset, self.first + 100 * self._block + self.random.randrange(100))

    def _single(self, *, without_id: bool) -> None:
        row = self._row()
        body = self._as_json(row)
        if without_id:
            del body["id"]
        response = self._response("upload", body)
        sent = Request(self.dataset, (row,), without_id)
        if response is None:
            self._lost(sent)
        elif response.status in (200, 201):
            new_id = int(response.body["id"])
            self.book.note_request(Request(self.dataset, (row,), without_id, response.body["load_id"], new_id))
        else:
            self.book.note_unexpected(f"POST {self.route}/upload: {response.status} {response.body}")

    def _batch(self) -> None:
        rows: list[Stored | None] = [self._row() for _ in range(self.random.randint(2, 40))]
        bodies = [self._as_json(row) for row in rows if row is not None]
        for position in range(1, len(rows)):
            if self.random.random() < 0.1:
                rows[position] = None
                bodies[position]["id"] = self.value()  # this id is not a number, so the API rejects the row
        response = self._response("upload/batch", {"data": bodies})
        if response is None:
            self._lost(Request(self.dataset, tuple(rows)))
            return
        broken = [position for position, row in enumerate(rows) if row is None]
        if response.status != 200 or [reject["index"] for reject in response.body["rejected"]] != broken:
            self.book.note_unexpected(f"POST {self.route}/upload/batch: {response.status} {response.body}")
            return
        self.book.note_request(Request(self.dataset, tuple(rows), load_id=response.body["load_id"]))

    def _lost(self, request: Request) -> None:
        self.book.note_request(request)
        self._block += 1

    def _response(self, path: str, body: Any) -> Response | None:
        """Send a request. Return its response, or None if the response is lost or is a server error.

        During an outage any response is possible. So a response that is not a success counts as lost if there was an
        outage during the request.
        """
        undisturbed = self.stage.undisturbed()
        try:
            response = self.stage.cloud.post(f"/{self.route}/{path}", body)
        except _LOST:
            return None
        except Exception:
            if undisturbed():
                raise
            return None
        lost = response.status >= 500 or (response.status not in (200, 201) and not undisturbed())
        return None if lost else response

    def _as_json(self, row: Stored) -> dict[str, Any]:
        names: tuple[str, ...] = ("id", {"departments": "department", "jobs": "job"}.get(self.dataset, ""))
        if self.dataset == "hired_employees":
            names = ("id", "name", "datetime", "department_id", "job_id")
        values = [value.isoformat() if hasattr(value, "isoformat") else value for value in row]
        return dict(zip(names, values, strict=True))


def all_writers(stage: Stage, book: Book, seed: str) -> list[Writer]:
    """Return all writers. Two of the writers send employees with the same ids."""

    def files(name: str, dataset: str, first: int, size: int) -> Writer:
        return FileWriter(name, stage, book, seed, dataset=dataset, ids=range(first, first + size))

    def requests(name: str, dataset: str, first: int) -> Writer:
        return RequestWriter(name, stage, book, seed, dataset=dataset, route=dataset.removesuffix("s"), first=first)

    return [
        files("department files", "departments", 100_000, 300),
        files("job files", "jobs", 100_000, 300),
        files("employee files", "hired_employees", 100_000, 2000),
        files("clashing files 1", "hired_employees", 200_000, 300),
        files("clashing files 2", "hired_employees", 200_000, 300),
        LateWriter("late files", stage, book, seed, ids=count(300_000), departments=count(300_000)),
        requests("department requests", "departments", 10_000_000),
        requests("job requests", "jobs", 10_000_000),
        requests("employee requests", "hired_employees", 10_000_000),
    ]
