"""The tables of a load that may take several invocations: its rows, its rejects, and how far it has come.

They outlive a connection, and they are unlogged: a crash of Postgres empties them, which costs the load a new
beginning; in return, staging writes no log. The role of the functions may neither create nor drop tables. Functions of
the schema `staged` do that for it (see the migration 0005).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.core.errors import ClaimLost
from chalicelib.formats.csv_reader import Checkpoint
from chalicelib.loads.outcomes import IS_UNFINISHED


@dataclass(frozen=True)
class Progress:
    """How far a load has come, as it was committed: bytes and lines of the object, counts, and seconds of work.

    `reasons` is what `Reasons.kept` returns. `complete` is whether the object was read to its end and found sound.
    """

    bytes: int = 0
    lines: int = 0
    received: int = 0
    rejected: int = 0
    reasons: dict[str, Any] | None = None
    seconds: float = 0
    complete: bool = False

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.bytes, self.lines, self.received > 0)


class DurableTables:
    """The tables of one load, for the session that holds its claim."""

    def __init__(self, session: Session, load_id: int) -> None:
        self._session, self._load_id = session, load_id
        self.rows = f"staged.load_{load_id}"
        self._rejects = f"staged.rejects_{load_id}"

    def prepare(self, etag: str) -> Progress:
        """Find what an earlier invocation has staged of the object with this ETag, or begin anew."""
        with self._session.transaction():
            return self._earlier(etag) or self._new(etag)

    def _earlier(self, etag: str) -> Progress | None:
        names = ", ".join(Progress.__dataclass_fields__)
        query = f"SELECT etag, {names} FROM staged_loads WHERE load_id = {self._load_id}"
        for staged_etag, *values in self._session.run(query):
            progress = Progress(*values)
            self._create(progress.lines)
            has_rows = not progress.lines or self._session.scalar(f"SELECT EXISTS (SELECT FROM {self.rows})")
            if staged_etag == etag and has_rows:  # neither overwritten, where the bucket keeps no versions, nor emptied
                return progress
            self.discard()
        return None

    def _new(self, etag: str) -> Progress:
        self._session.run("INSERT INTO staged_loads (load_id, etag) VALUES (:id, :etag)", id=self._load_id, etag=etag)
        self._create(0)
        return Progress()

    def _create(self, lines: int) -> None:
        """Create the tables if they are not there; the next row has the number after `lines`."""
        self._session.run(f"SELECT staged.prepare({self._load_id}, {lines})")

    def save(self, progress: Progress, before: Progress, reject_lines: bytes) -> None:
        """Commit a portion's rejects and the progress, with its rows: part of their transaction. Raises ClaimLost."""
        if reject_lines:
            self._session.run(
                f"INSERT INTO {self._rejects} VALUES (:before, :lines)", before=before.lines, lines=reject_lines
            )
        changed = self._session.affected(
            "UPDATE staged_loads SET bytes = :bytes, lines = :lines, received = :received, rejected = :rejected,"
            " reasons = CAST(:reasons AS jsonb), seconds = :seconds, complete = :complete"
            " WHERE load_id = :id AND lines = :before",
            id=self._load_id,
            before=before.lines,
            **{**vars(progress), "reasons": json.dumps(progress.reasons or {})},
        )
        if not changed:
            raise ClaimLost(f"another worker took over load {self._load_id}")

    def complete(self) -> None:
        """Note that the object has been read to its end, and found sound."""
        self._session.run(f"UPDATE staged_loads SET complete = true WHERE load_id = {self._load_id}")

    def analyze(self) -> None:
        """Tell the planner the size of the table."""
        self._session.run(f"SELECT staged.settle({self._load_id})")

    def reject_lines(self) -> Iterator[bytes]:
        """The lines of the reject file so far, in order, a portion at a time."""
        for [portion] in self._session.run(f"SELECT after_line FROM {self._rejects} ORDER BY 1"):
            yield self._session.scalar(
                f"SELECT lines FROM {self._rejects} WHERE after_line = :portion", portion=portion
            )

    def discard(self) -> None:
        """Drop the tables, as part of the transaction that has no more use for them."""
        discard(self._session, self._load_id)


def discard(session: Session, load_id: int) -> None:
    """Drop what a load has staged, if it has, unless another session works on it."""
    session.run(f"SELECT staged.discard(load_id) FROM staged_loads WHERE load_id = {load_id}")


def discard_ended(session: Session) -> None:
    """Drop what loads have left that came to their end elsewhere."""
    session.run(
        "SELECT staged.discard(s.load_id) FROM staged_loads s JOIN loads l ON l.id = s.load_id"
        f" WHERE NOT l.{IS_UNFINISHED}"
    )
