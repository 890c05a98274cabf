"""Keeps the rows, the rejects and the progress of a load that may take several invocations.

The tables outlive a connection. The tables of rows and rejects are unlogged, so staging writes no write-ahead log. A
crash of Postgres empties unlogged tables, and the load then starts again from the beginning. The database role of the
functions may neither create nor drop tables. SQL functions in the schema `staged` do this for the role (see the
migration 0005).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import ClaimLost
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_tokens import Checkpoint
from chalicelib.loads.outcomes import IS_UNFINISHED


@dataclass(frozen=True)
class Progress:
    """The committed progress of a load: bytes and lines of the object, counts, and seconds of work.

    `reasons` is the result of `Reasons.kept`, and `oddities` is the result of `Oddities.kept`. `complete` is true if
    the object was read to its end and verified.
    """

    bytes: int = 0
    lines: int = 0
    received: int = 0
    rejected: int = 0
    reasons: dict[str, Any] | None = None
    seconds: float = 0
    complete: bool = False
    oddities: dict[str, Any] | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.bytes, self.lines, records=self.received > 0)


class DurableTables:
    """The tables of one load, for the session that holds its claim. `layout` says which columns the rows have. The
    ignored fields of the file are staged as text, and never merged."""

    def __init__(self, session: Session, load_id: int, dataset: Dataset, layout: CsvLayout) -> None:
        self._session, self._load_id = session, load_id
        self._dataset, self._layout = dataset, layout
        self.rows = f"staged.load_{load_id}"
        self._rejects = f"staged.rejects_{load_id}"

    def prepare(self, etag: str) -> Progress:
        """Create the tables if necessary. Return the progress of earlier invocations. The progress is zero if they read
        an object with another ETag, if a release that read the file in another way made them, or if Postgres has
        crashed since."""
        staged = f"{etag}{_reading(self._dataset, self._layout)}"
        with self._session.transaction():
            return self._earlier(staged) or self._new(staged)

    def _earlier(self, staged: str) -> Progress | None:
        names = ", ".join(Progress.__dataclass_fields__)
        query = f"SELECT etag, {names} FROM staged_loads WHERE load_id = {self._load_id}"
        for earlier, *values in self._session.run(query):
            progress = Progress(*values)
            self._create(progress.lines)
            has_rows = not progress.lines or self._session.scalar(f"SELECT EXISTS (SELECT FROM {self.rows})")
            # Another ETag: the object was overwritten in a bucket without versioning. No rows: Postgres has crashed.
            if earlier == staged and has_rows:
                return progress
            self.discard()
        return None

    def _new(self, staged: str) -> Progress:
        self._session.run("INSERT INTO staged_loads (load_id, etag) VALUES (:id, :etag)", id=self._load_id, etag=staged)
        self._create(0)
        return Progress()

    def _create(self, lines: int) -> None:
        """Create the tables if they do not exist. The next row gets the number after `lines`."""
        ignored = self._layout.positions.count(None)
        self._session.run(f"SELECT staged.prepare({self._load_id}, {lines}, {ignored})")

    def save(self, progress: Progress, before: Progress, reject_lines: bytes) -> None:
        """Store the rejects of a portion and the new progress, in the transaction of the portion's rows. Raises
        ClaimLost."""
        if reject_lines:
            self._session.run(
                f"INSERT INTO {self._rejects} VALUES (:before, :lines)", before=before.lines, lines=reject_lines
            )
        changed = self._session.affected(
            "UPDATE staged_loads SET bytes = :bytes, lines = :lines, received = :received, rejected = :rejected,"
            " reasons = CAST(:reasons AS jsonb), seconds = :seconds, complete = :complete,"
            " oddities = CAST(:oddities AS jsonb)"
            " WHERE load_id = :id AND lines = :before",
            id=self._load_id,
            before=before.lines,
            **{
                **vars(progress),
                "reasons": json.dumps(progress.reasons or {}),
                "oddities": json.dumps(progress.oddities or {}),
            },
        )
        if not changed:
            raise ClaimLost(f"another worker took over load {self._load_id}")

    def complete(self) -> None:
        """Record that the object was read to its end and verified."""
        self._session.run(f"UPDATE staged_loads SET complete = true WHERE load_id = {self._load_id}")

    def analyze(self) -> None:
        """Give the planner statistics of the table of rows."""
        self._session.run(f"SELECT staged.settle({self._load_id})")

    def reject_lines(self) -> Iterator[bytes]:
        """Yield the lines of the reject file so far, in order, one portion at a time."""
        for [portion] in self._session.run(f"SELECT after_line FROM {self._rejects} ORDER BY 1"):
            yield self._session.scalar(
                f"SELECT lines FROM {self._rejects} WHERE after_line = :portion", portion=portion
            )

    def reject_bytes(self) -> int:
        """Return the number of bytes of the lines of the reject file so far."""
        return int(self._session.scalar(f"SELECT coalesce(sum(octet_length(lines)), 0) FROM {self._rejects}"))

    def discard(self) -> None:
        """Drop the tables in the current transaction."""
        discard(self._session, self._load_id)


def _reading(dataset: Dataset, layout: CsvLayout) -> str:
    """Return how a file is read, as a text that stands after its ETag. It is empty, as in earlier releases, if all
    columns of the dataset must be in every row.

    After the declaration of a dataset has changed, the same file may be read in another way. For example, there may be
    a column for a field that was ignored before. Then the rows that are staged already do not fit the rest of the file,
    so the load begins again.
    """
    if dataset.fewest == len(dataset.columns):
        return ""
    columns = [None if at is None else dataset.columns[at] for at in layout.positions]
    return " " + ", ".join("?" if column is None else f"{column.name} {column.kind.sql}" for column in columns)


def discard(session: Session, load_id: int) -> None:
    """Drop the staging tables of a load, if it has any, unless another session works on the load."""
    session.run(f"SELECT staged.discard(load_id) FROM staged_loads WHERE load_id = {load_id}")


def discard_ended(session: Session) -> None:
    """Drop the staging tables of loads that have ended."""
    session.run(
        "SELECT staged.discard(s.load_id) FROM staged_loads s JOIN loads l ON l.id = s.load_id"
        f" WHERE NOT l.{IS_UNFINISHED}"
    )
