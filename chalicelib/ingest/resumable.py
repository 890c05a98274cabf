"""Loads of large objects, which may take longer than an invocation may.

Their rows go, a portion at a time, into an unlogged table of their own instead of a temporary one. A portion's rows,
its rejects, and how far it has come commit together: whoever goes on, after a handover or somebody's death, reads on
behind the last portion. The rejects wait in a table beside the rows until the end, when their file is written at once:
an upload to S3 that goes on would have to be kept in step with these commits.

A crash of Postgres empties unlogged tables, which costs the load a new beginning; in return, staging writes no log.
The tables are made and dropped by functions of the schema `staged` (see the migration), for the role of ours may not.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.core import deadline
from chalicelib.core.errors import ClaimLost
from chalicelib.formats.csv_reader import Position
from chalicelib.ingest.rejects import Reasons, Reject
from chalicelib.ingest.staging import ROWS_PER_COPY, Stager
from chalicelib.loads import claims
from chalicelib.loads.claims import Claim
from chalicelib.loads.outcomes import IS_UNFINISHED

MARGIN = 45.0  # seconds before the end of its time at which an invocation hands over


@dataclass(frozen=True)
class Continuing:
    """Objects of `from_bytes` and more are loaded so that another invocation can go on.

    `again` asks for one, with the event of this one; where it is None, only a failed attempt is followed by another.
    """

    from_bytes: int
    again: Callable[[], None] | None = None
    margin: float | None = None
    lines: int = ROWS_PER_COPY  # of a portion

    def hours(self) -> tuple[float, float]:
        """When to hand over while reading, and until when to begin the merge, by time.monotonic()."""
        left = deadline.left()
        if left is None or self.again is None:
            return float("inf"), float("inf")
        now = time.monotonic()
        return now + left - (min(MARGIN, left / 4) if self.margin is None else self.margin), now + left / 2


@dataclass(frozen=True)
class Progress:
    """What has been committed: a position, counts up to it, and the seconds that were worked for it."""

    bytes: int = 0
    lines: int = 0
    received: int = 0
    rejected: int = 0
    reasons: dict[str, Any] | None = None
    seconds: float = 0
    complete: bool = False

    @property
    def position(self) -> Position:
        return Position(self.bytes, self.lines, self.received > 0)


class Held:
    """Rejects of a portion as lines of their file, counted with those of earlier portions."""

    def __init__(self, line: Callable[[Reject], bytes], reasons: Reasons) -> None:
        self.reasons = reasons
        self._line, self._lines = line, bytearray()

    def add(self, reject: Reject) -> None:
        self._lines += self._line(reject)
        self.reasons.add(reject.problems)

    def taken(self) -> bytes:
        lines, self._lines = bytes(self._lines), bytearray()
        return lines


class Stage:
    """The tables of one load, for the session that holds its claim; begun or found as they were left."""

    def __init__(self, session: Session, claim: Claim, etag: str) -> None:
        self._session, self._claim = session, claim
        self._began = time.monotonic()
        self.table = f"staged.load_{claim.load_id}"
        self._rejects = f"staged.rejects_{claim.load_id}"
        with session.transaction():
            self.progress = self._found(etag) or self._begun(etag)

    def _found(self, etag: str) -> Progress | None:
        names = ", ".join(Progress.__dataclass_fields__)
        query = f"SELECT etag, {names} FROM staged_loads WHERE load_id = {self._claim.load_id}"
        for of, *values in self._session.run(query):
            progress = Progress(*values)
            self._prepare(progress.lines)
            is_there = not progress.lines or self._session.scalar(f"SELECT EXISTS (SELECT FROM {self.table})")
            if of == etag and is_there:  # neither overwritten, where the bucket keeps no versions, nor emptied
                return progress
            self.discard()
        return None

    def _begun(self, etag: str) -> Progress:
        self._session.run(
            "INSERT INTO staged_loads (load_id, etag) VALUES (:id, :etag)", id=self._claim.load_id, etag=etag
        )
        self._prepare(0)
        return Progress()

    def _prepare(self, lines: int) -> None:
        self._session.run(f"SELECT staged.prepare({self._claim.load_id}, {lines})")

    def stage(self, stager: Stager, held: Held, offset: Callable[[], int]) -> None:
        """One portion. Raises ClaimLost."""
        session, before = self._session, stager.lines
        with session.transaction():
            stager.portion(session)
            if lines := held.taken():
                session.run(f"INSERT INTO {self._rejects} VALUES (:before, :lines)", before=before, lines=lines)
            changed = session.affected(
                "UPDATE staged_loads SET bytes = :bytes, lines = :lines, received = :received, rejected = :rejected,"
                " reasons = CAST(:reasons AS jsonb), seconds = :seconds WHERE load_id = :id AND lines = :before",
                bytes=offset(),
                lines=stager.lines,
                received=stager.received,
                rejected=stager.rejected,
                reasons=json.dumps(held.reasons.kept()),
                seconds=self.progress.seconds + time.monotonic() - self._began,
                id=self._claim.load_id,
                before=before,
            )
            if not changed:
                raise ClaimLost(f"load {self._claim.load_id} was taken over")
            claims.progress(session, self._claim, stager.received)

    def complete(self) -> None:
        """Note that the object has been read to its end, and found sound."""
        self._session.run(f"UPDATE staged_loads SET complete = true WHERE load_id = {self._claim.load_id}")

    def settle(self) -> None:
        """Tell the planner of the size of the table."""
        self._session.run(f"SELECT staged.settle({self._claim.load_id})")

    def rejects(self) -> Iterator[bytes]:
        """The lines of the reject file so far, in order, a portion at a time."""
        for [portion] in self._session.run(f"SELECT after_line FROM {self._rejects} ORDER BY 1"):
            yield self._session.scalar(
                f"SELECT lines FROM {self._rejects} WHERE after_line = :portion", portion=portion
            )

    def discard(self) -> None:
        """Drop the tables, as part of the transaction that has no more use for them."""
        discard(self._session, self._claim.load_id)


def discard(session: Session, load_id: int) -> None:
    """Drop what a load has staged, if it has, unless another session works on it."""
    session.run(f"SELECT staged.discard(load_id) FROM staged_loads WHERE load_id = {load_id}")


def discard_ended(session: Session) -> None:
    """Drop what loads have left that came to their end elsewhere."""
    session.run(
        "SELECT staged.discard(s.load_id) FROM staged_loads s JOIN loads l ON l.id = s.load_id"
        f" WHERE NOT l.{IS_UNFINISHED}"
    )
