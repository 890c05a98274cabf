"""Stages an object in one invocation, into a temporary table."""

from chalicelib.ingest import completion, merge, orphans, staging_table
from chalicelib.ingest.attempt import Attempt, ObjectBody
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging import Complete, Outcome, Staged
from chalicelib.ingest.staging_table import StagingTable
from chalicelib.loads import claims


class AtOnce:
    """Stages an object whose body is already open. The load is never handed over.

    A small object is in memory. It is staged in the transaction that completes its load, in a table that the connection
    keeps. Any other object gets a table of its own, and is staged before this transaction, so that the history shows
    the progress."""

    def __init__(self, attempt: Attempt, reading: FileReading, body: ObjectBody) -> None:
        self._attempt, self._reading, self._body = attempt, reading, body

    def run(self, rejects: RejectFile, complete: Complete) -> Outcome:
        """Stage the object, and complete its load, as `Staging.run` describes."""
        session, dataset, copy_format = self._attempt.session, self._attempt.dataset, self._reading.copy_format
        if self._attempt.small.is_kept and not self._reading.is_compressed:
            table = StagingTable(dataset, copy_format, staging_table.KEPT)
            restart = staging_table.keep(session, table, orphans.keeping(table))
            with completion.transaction(session, restart):
                staged = self._staged(table, rejects)
                session.renew_time()
                return complete(staged)
        table = StagingTable(dataset, copy_format)
        staging_table.create(session, table)
        staged = self._staged(table, rejects)
        with completion.transaction(session):
            return complete(staged)

    def _staged(self, table: StagingTable, rejects: RejectFile) -> Staged:
        attempt, body, reading = self._attempt, self._body, self._reading
        session = attempt.session
        tokens = reading.tokens(body.stream, counts_only=lambda: rejects.is_full)
        stager = Stager(table, tokens, rejects, dates=reading.file_format.declared.dates)
        for received in stager.run(session):
            if received > merge.FEW and not table.is_kept:
                claims.progress(session, attempt.claim, received)
        body.verify()
        if stager.received > merge.FEW:
            staging_table.analyze(session, table)
        counts = (stager.received, stager.rejected, stager.oddities)
        return Staged(body.etag, table.name, reading, *counts, lambda: staging_table.discard(session, table))
