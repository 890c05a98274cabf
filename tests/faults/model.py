"""What was sent and what was answered: all that the judge may believe.

Files and requests are told apart by what they carry: every value that is ever sent is sent once, so a
row of a table names its sender.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

Stored = tuple[Any, ...]
KNOWN = range(1, 41)  # ids of the departments and jobs that are there before the first fault
NEVER = range(2_000_000_000, 2_000_000_040)  # ids of departments and jobs that nobody ever sends
MAX_ID = 2_147_483_647
_DAY = datetime(2021, 1, 1, tzinfo=UTC)


class Parents(Enum):
    """Of a row: there from the start, come during the storm, or never come."""

    KNOWN = "known"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True)
class Line:
    """A CSV record and the row it stands for, None where it breaks a rule."""

    raw: str
    row: Stored | None = None
    parents: Parents = Parents.KNOWN

    @property
    def accepted(self) -> Stored | None:
        """The row that the file's own load writes for certain."""
        return self.row if self.parents is Parents.KNOWN else None


@dataclass(frozen=True)
class File:
    """An object version in the landing bucket; `order` counts the versions of its key."""

    dataset: str
    key: str
    source: str
    version: str
    order: int
    body: bytes = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)


@dataclass(frozen=True)
class Request:
    """A single row or a batch for the API.

    `rows` has None where a row breaks a rule. `load_id` is that of the answer, None where it was lost:
    the request's ids are not used again then. `given` is the id that was answered to a row without one.
    """

    dataset: str
    rows: tuple[Stored | None, ...] = field(repr=False)
    without_id: bool = False
    load_id: int | None = None
    given: int | None = None

    @property
    def accepted(self) -> list[Stored]:
        return [(self.given, *row[1:]) if self.without_id else row for row in self.rows if row is not None]


class Book:
    """Everything sent so far, from all writers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.files: dict[tuple[str, str], File] = {}
        self.requests: list[Request] = []
        self.unexpected: list[str] = []
        self.events: dict[str, Any] = {}  # as S3 sent them, by object version
        self.lost_files: list[File] = []  # files whose acknowledgement was lost: they have no version yet
        self.restores: set[int] = set()  # loads of acknowledged orders to restore
        self.lost_restores = 0  # orders to restore whose answer was lost
        self.finished: dict[int, Stored] = {}  # how loads had ended when they were first seen

    def note_file(self, file: File) -> None:
        with self._lock:
            self.files[file.source, file.version] = file

    def note_lost_file(self, file: File) -> None:
        with self._lock:
            self.lost_files.append(file)

    def note_restore(self, load_id: int | None) -> None:
        """Note an order to restore. None means that its answer was lost."""
        with self._lock:
            if load_id is None:
                self.lost_restores += 1
            else:
                self.restores.add(load_id)

    def note_finished(self, load_id: int, how: Stored) -> None:
        with self._lock:
            self.finished.setdefault(load_id, how)

    def acknowledged(self) -> set[tuple[str, str]]:
        """The sources and versions of all files that are acknowledged now."""
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
    """A row of hired_employees; `day` counts from the first of 2021."""
    return row_id, name, _DAY + timedelta(days=day), department, job


def as_csv(row: Stored) -> str:
    return ",".join(value.isoformat() if isinstance(value, datetime) else str(value) for value in row)
