"""Records everything that was sent, and the responses. The judge compares the stage with this record.

No text is sent twice. So the text in a row shows which file or request the row comes from.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

Stored = tuple[Any, ...]
KNOWN = range(1, 41)  # ids of the departments and jobs that exist before the first fault
NEVER = range(2_000_000_000, 2_000_000_040)  # ids of departments and jobs that no writer ever sends
MAX_ID = 2_147_483_647
_DAY = datetime(2021, 1, 1, tzinfo=UTC)


class Parents(Enum):
    """Says when the parents of a row are sent: before the storm, during the storm, or never."""

    KNOWN = "known"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True)
class Line:
    """A record of a CSV file, and the row that it becomes. `row` is None if the record breaks a rule."""

    raw: str
    row: Stored | None = None
    parents: Parents = Parents.KNOWN

    @property
    def accepted(self) -> Stored | None:
        """Return the row if the load of its file must store the row. Return None if the load rejects the row, or may
        reject it."""
        return self.row if self.parents is Parents.KNOWN else None


@dataclass(frozen=True)
class File:
    """An object version in the landing bucket. `order` is the number of the version: 1 for the first version of its
    key."""

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
    response was lost. In this case no later request uses the ids of this request. `new_id` is the id that the API gave
    to a row without an id.
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
    """Records what all writers have sent so far. Several threads may use it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.files: dict[tuple[str, str], File] = {}
        self.requests: list[Request] = []
        self.unexpected: list[str] = []
        self.events: dict[str, Any] = {}  # the events that S3 has sent, by object version
        self.lost_files: list[File] = []  # files whose acknowledgement was lost, so their versions are not known
        self.restores: set[int] = set()  # load ids of the restores whose responses have arrived
        self.lost_restores = 0  # number of restores whose response was lost
        # For each load that was seen as ended: its (status, finished_at) at that time.
        self.finished: dict[int, Stored] = {}

    def note_file(self, file: File) -> None:
        with self._lock:
            self.files[file.source, file.version] = file

    def note_lost_file(self, file: File) -> None:
        with self._lock:
            self.lost_files.append(file)

    def note_restore(self, load_id: int | None) -> None:
        """Record a restore request by the id of its load. The id is None if the response was lost."""
        with self._lock:
            if load_id is None:
                self.lost_restores += 1
            else:
                self.restores.add(load_id)

    def note_finished(self, load_id: int, how: Stored) -> None:
        with self._lock:
            self.finished.setdefault(load_id, how)

    def acknowledged(self) -> set[tuple[str, str]]:
        """Return the (source, version) of all files that S3 has acknowledged so far."""
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
