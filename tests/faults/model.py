"""The record of everything that was sent, and of the responses. The judge relies on this record alone.

No value is sent twice. So each row of a table shows from which file or request it comes.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

Stored = tuple[Any, ...]
KNOWN = range(1, 41)  # ids of the departments and jobs that exist before the first fault
NEVER = range(2_000_000_000, 2_000_000_040)  # ids of departments and jobs that no writer sends
MAX_ID = 2_147_483_647
_DAY = datetime(2021, 1, 1, tzinfo=UTC)


class Parents(Enum):
    """When the parents of a row come: before the storm, during the storm, or never."""

    KNOWN = "known"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True)
class Line:
    """A CSV record and its row. The row is None if the record breaks a rule."""

    raw: str
    row: Stored | None = None
    parents: Parents = Parents.KNOWN

    @property
    def accepted(self) -> Stored | None:
        """Return the row if the load of its file is certain to write it, and otherwise None."""
        return self.row if self.parents is Parents.KNOWN else None


@dataclass(frozen=True)
class File:
    """An object version in the landing bucket. `order` counts the versions of its key."""

    dataset: str
    key: str
    source: str
    version: str
    order: int
    body: bytes = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)


@dataclass(frozen=True)
class Request:
    """A request to the API with a single row or a batch.

    `rows` has None in the place of each row that breaks a rule. `load_id` comes from the response. It is None if the
    response was lost: then the ids of the request are not used again. `new_id` is the id that the API gave to a row
    without an id.
    """

    dataset: str
    rows: tuple[Stored | None, ...] = field(repr=False)
    without_id: bool = False
    load_id: int | None = None
    new_id: int | None = None

    @property
    def accepted(self) -> list[Stored]:
        return [(self.new_id, *row[1:]) if self.without_id else row for row in self.rows if row is not None]


class Book:
    """Everything that all writers have sent so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.files: dict[tuple[str, str], File] = {}
        self.requests: list[Request] = []
        self.unexpected: list[str] = []
        self.events: dict[str, Any] = {}  # the events that S3 sent, by object version
        self.lost_files: list[File] = []  # files whose acknowledgement was lost: they have no version yet
        self.restores: set[int] = set()  # ids of the loads of acknowledged restores
        self.lost_restores = 0  # number of restores whose response was lost
        self.finished: dict[int, Stored] = {}  # (status, finished_at) of loads when they were first seen as ended

    def note_file(self, file: File) -> None:
        with self._lock:
            self.files[file.source, file.version] = file

    def note_lost_file(self, file: File) -> None:
        with self._lock:
            self.lost_files.append(file)

    def note_restore(self, load_id: int | None) -> None:
        """Note a restore. None means that its response was lost."""
        with self._lock:
            if load_id is None:
                self.lost_restores += 1
            else:
                self.restores.add(load_id)

    def note_finished(self, load_id: int, how: Stored) -> None:
        with self._lock:
            self.finished.setdefault(load_id, how)

    def acknowledged(self) -> set[tuple[str, str]]:
        """Return the sources and versions of all files that are acknowledged so far."""
        with self._lock:
            return set(self.files)

    def note_request(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def note_unexpected(self, what: str) -> None:
        with self._lock:
            self.unexpected.append(what)

    def note_event(self, event: Any) -> None:
        with self._lock:
            for record in event.get("Records", ()):
                self.events[record["s3"]["object"]["versionId"]] = event


def employee(row_id: int, name: str, day: int, department: int, job: int) -> Stored:
    """Return a row of hired_employees. `day` is the number of days since 2021-01-01."""
    return row_id, name, _DAY + timedelta(days=day), department, job


def as_csv(row: Stored) -> str:
    return ",".join(value.isoformat() if isinstance(value, datetime) else str(value) for value in row)
