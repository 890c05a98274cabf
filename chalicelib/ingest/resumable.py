"""Stages a large object in several invocations, because the time of one invocation may not be enough.

Rows are staged in portions. The rows of a portion, its rejects and the progress commit in one transaction. After a
handover or a crash, the next worker starts after the last committed portion. The rejects stay in a table until the
object is read to its end. The reject file is written only then, because an upload to S3 over several invocations would
have to be kept consistent with the commits of the portions.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core.reasons import Problem
from chalicelib.ingest import completion
from chalicelib.ingest.attempt import Attempt
from chalicelib.ingest.durable_tables import DurableTables, Progress
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.handover import HandoverPolicy
from chalicelib.ingest.oddities import Oddities
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.reject_limit import Room
from chalicelib.ingest.reject_lines import RejectLines
from chalicelib.ingest.rejects import Reasons, Reject
from chalicelib.ingest.stager import Portion, Stager
from chalicelib.ingest.staging import Complete, Outcome, Staged
from chalicelib.ingest.staging_table import StagingTable
from chalicelib.loads import claims


class PortionRejects:
    """The rejects of a portion, as lines of the reject file. `reasons` also counts the rejects of earlier portions.
    `room` is the room that the earlier portions have left in the reject file."""

    def __init__(self, lines: RejectLines, reasons: Reasons, room: Room) -> None:
        self.reasons = reasons
        self._made_by, self._lines, self._room = lines, bytearray(), room

    @property
    def is_full(self) -> bool:
        return self._room.is_full

    def add(self, reject: Reject) -> None:
        if not self.is_full:
            line = self._made_by.line(reject)
            self._room.take(len(line))
            self._lines += line
        self.reasons.add(reject.problems)

    def count(self, problems: Sequence[Problem], rows: int) -> None:
        self.reasons.add(problems, rows)

    def take(self) -> bytes:
        """Return the lines of the portion, and begin the next portion."""
        lines, self._lines = bytes(self._lines), bytearray()
        return lines


class Resumable:
    """Continues the staging after the last portion of earlier invocations. Stops at the end of the object, or when the
    load must be handed over."""

    def __init__(self, attempt: Attempt, reading: FileReading, etag: str, policy: HandoverPolicy) -> None:
        self._attempt, self._reading, self._etag, self._policy = attempt, reading, etag, policy
        layout = reading.file_format.layout
        self._tables = DurableTables(attempt.session, attempt.claim.load_id, attempt.dataset, layout)

    def run(self, rejects: RejectFile, complete: Complete) -> Outcome | None:
        """Stage the object, and complete its load, as `Staging.run` describes."""
        staged = self._staged(rejects)
        if staged is None:
            return None
        with completion.transaction(self._attempt.session):
            return complete(staged)

    def _staged(self, rejects: RejectFile) -> Staged | None:
        tables, (pause_at, merge_until) = self._tables, self._policy.deadlines()
        progress = tables.prepare(self._etag)
        self._attempt.work_time.resume(progress.seconds)
        if progress.received:  # the claim has set the count to 0, and the next portion may take minutes
            claims.progress(self._attempt.session, self._attempt.claim, progress.received)
        if not progress.complete:
            room = rejects.limit.room(progress.rejected, tables.reject_bytes())
            portion_rejects = PortionRejects(rejects.lines, Reasons.of(progress.reasons or {}), room)
            progress = self._read_on(progress, portion_rejects, pause_at)
            if not progress.complete or time.monotonic() >= merge_until:
                self._policy.hand_over(self._attempt, progress)
                return None
        tables.analyze()
        rejects.take_over(tables.reject_lines(), Reasons.of(progress.reasons or {}), progress.rejected)
        counts = (progress.received, progress.rejected, Oddities.of(progress.oddities or {}))
        return Staged(self._etag, tables.rows, self._reading, *counts, tables.discard)

    def _read_on(self, start: Progress, rejects: PortionRejects, pause_at: float) -> Progress:
        """Read from `start` to the end of the object, or until `pause_at`. Returns the progress."""
        attempt, reading, progress = self._attempt, self._reading, start
        table = StagingTable(attempt.dataset, reading.copy_format, self._tables.rows)
        with attempt.opened(start.bytes if reading.has_ranges else 0) as body:
            tokens = reading.tokens(body.stream, start.checkpoint, counts_only=lambda: rejects.is_full)
            stager = Stager(
                table,
                tokens,
                rejects,
                Portion(self._policy.lines, pause_at),
                oddities=Oddities.of(start.oddities or {}),
                dates=reading.file_format.declared.dates,
            )
            while not stager.exhausted:
                with attempt.session.transaction():
                    stager.portion(attempt.session)
                    before, progress = progress, self._progress(start, stager, tokens.offset, rejects.reasons)
                    self._tables.save(progress, before, rejects.take())
                    claims.progress(attempt.session, attempt.claim, progress.received)
                if not stager.exhausted and time.monotonic() >= pause_at:
                    return progress
            body.verify()
        self._tables.complete()
        return replace(progress, complete=True)

    def _progress(self, start: Progress, stager: Stager, offset: int, reasons: Reasons) -> Progress:
        """Return the progress of the load: the sum of `start` and of what this stager has staged since then."""
        return Progress(
            offset,
            start.lines + stager.lines,
            start.received + stager.received,
            start.rejected + stager.rejected,
            reasons.kept(),
            self._attempt.work_time.seconds(),
            oddities=stager.oddities.kept(),
        )
