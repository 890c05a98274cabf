"""Stages an object in one invocation, into a temporary table."""

from chalicelib.ingest import merge, staging_table
from chalicelib.ingest.attempt import Attempt, ObjectBody
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging import Staged
from chalicelib.ingest.staging_table import StagingTable
from chalicelib.loads import claims


class AtOnce:
    """Stages an object whose body is already open."""

    def __init__(self, attempt: Attempt, reading: FileReading, body: ObjectBody) -> None:
        self._attempt, self._reading, self._body = attempt, reading, body

    def run(self, rejects: RejectFile) -> Staged:
        """Stage the object, as `Staging.run` describes. The load is never handed over."""
        attempt, body = self._attempt, self._body
        session, reading = attempt.session, self._reading
        table = StagingTable(attempt.dataset, reading.copy_format)
        staging_table.create(session, table)
        tokens = reading.tokens(body.stream, counts_only=lambda: rejects.is_full)
        stager = Stager(table, tokens, rejects, dates=reading.file_format.declared.dates)
        for received in stager.run(session):
            if received > merge.FEW:
                claims.progress(session, attempt.claim, received)
        body.verify()
        if stager.received > merge.FEW:
            staging_table.analyze(session)
        counts = (stager.received, stager.rejected, stager.oddities)
        return Staged(body.etag, table.name, reading, *counts, lambda: staging_table.drop(session))
