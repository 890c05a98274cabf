"""Loads one object of the landing bucket, from its event to the end of its load.

All steps before `completion` can be repeated, and no user sees their results. In `completion`, one transaction commits
the merge, the counts and the history. The reject file is stored before that commit. After any error, either all changes
of the load are committed or none. If there was an earlier attempt, the claim of the next attempt says so in
`tried_before`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.object_streams import SMALL, SmallObject
from chalicelib.cloud.storage import Storage
from chalicelib.core import deadline, logs
from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import Declarations, UnknownValue
from chalicelib.core.errors import LoadError
from chalicelib.ingest import open_rejects, orphans
from chalicelib.ingest.at_once import AtOnce
from chalicelib.ingest.attempt import Attempt, ObjectBody, WorkTime
from chalicelib.ingest.completion import Completion
from chalicelib.ingest.failures import ENDING, FailurePolicy
from chalicelib.ingest.file_names import FileName, unrecognised
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.handover import NO_HANDOVER, HandoverPolicy
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.reject_limit import UNLIMITED, RejectLimit
from chalicelib.ingest.resumable import Resumable
from chalicelib.ingest.staging import Outcome, Staged, Staging
from chalicelib.loads import claims, outcomes
from chalicelib.loads.claims import Claim
from chalicelib.loads.object_versions import ObjectCreated
from chalicelib.loads.outcomes import Counts, Ended, Watch

RESERVE = 15.0  # seconds of an invocation's time that are reserved for recording the end of an attempt
_log = logging.getLogger("hireflow.ingest")


@dataclass(frozen=True)
class Ingestion:
    """The collaborators and settings for loading objects.

    `grace` is the time that rows wait for their parents. `busy_wait` is the number of seconds that a second worker on a
    load waits for the first worker. `watch` is called when a load has ended. `reject_limit` limits the rejects that are
    recorded. An object of at most `keeps` bytes is kept in memory during its load.
    """

    database: Database
    storage: Storage
    grace: timedelta
    handover: HandoverPolicy = NO_HANDOVER
    watch: Watch = outcomes.unwatched
    busy_wait: float = claims.BUSY_WAIT
    reject_limit: RejectLimit = UNLIMITED
    keeps: int = SMALL


def ingest_object(ingestion: Ingestion, created: ObjectCreated, *, seconds: float | None = None) -> bool:
    """Load an object version once. `seconds` is the time that is left for the load. It is None if the time is not
    limited. Returns False if the load was handed over to another invocation.

    Raises an error if Lambda should deliver the event again. If the object can never be loaded, the load fails and no
    error is raised.
    """
    with nullcontext() if seconds is None else deadline.within(seconds - min(RESERVE, seconds / 5)):
        return _ingest(ingestion, created)


def _ingest(ingestion: Ingestion, created: ObjectCreated) -> bool:
    name = FileName.of(created.key)
    dataset, kind = (name.dataset, name.kind) if name else (None, "csv")
    with ingestion.database.session() as session:
        claim = claims.claim(session, created, dataset, kind, busy_wait=ingestion.busy_wait)
        if claim is None:
            return True
        with logs.about(load_id=claim.load_id, correlation_id=claim.correlation_id):
            try:
                if dataset is None:
                    _refuse(ingestion, claim, created)
                    return True
                small = SmallObject(ingestion.keeps)
                waiting = _load(ingestion, Attempt(session, ingestion.storage, claim, created, dataset, small))
                if waiting is None:
                    return False
            finally:
                with deadline.within(ENDING):
                    claims.release(session, claim.load_id)
            if not session.broken:  # a file that cannot be read to its end breaks the connection
                _heal(session, dataset, claim.load_id if waiting else None, ingestion.grace)
    return True


def _refuse(ingestion: Ingestion, claim: Claim, created: ObjectCreated) -> None:
    """Mark the load as failed, because Hireflow does not load an object with this name."""
    work_time = WorkTime()

    def failed() -> None:
        ingestion.watch(Ended(None, "failed", work_time.seconds()))

    with FailurePolicy(ingestion.database, claim, None, failed).applied():
        raise unrecognised(created.key)


def _load(ingestion: Ingestion, attempt: Attempt) -> int | None:
    """Make one attempt at a load. Returns how many of its rows wait for their parents, or None if the load was handed
    over."""
    waiting = 0

    def ended(status: str, counts: Counts | None = None) -> None:
        seconds = attempt.work_time.seconds()
        ingestion.watch(Ended(attempt.dataset.name, status, seconds, counts or Counts()))

    rejects = RejectFile(attempt.storage.errored, attempt.reported_load, limit=ingestion.reject_limit)
    policy = FailurePolicy(ingestion.database, attempt.claim, rejects, lambda: ended("failed"))
    with policy.applied(), _advising_restores(attempt.claim):
        outcome = _outcome(attempt, ingestion.handover, rejects)
        if outcome is None:
            return None
        waiting = outcome.waiting
        if (attempt.claim.tried_before or rejects.is_stored) and not outcome.counts.rejected:
            rejects.remove()  # this attempt or an earlier one stored rejects that are no longer valid
        work = {"attempt": attempt.claim.attempt, "seconds": round(attempt.work_time.seconds(), 3)}
        level = logging.WARNING if outcome.error else logging.INFO
        _log.log(level, f"load {outcome.status}", extra=work | vars(outcome.counts))
        for code, rows in rejects.reasons.by_code().items() if outcome.counts.rejected else ():
            _log.info("rows rejected", extra={"code": code, "rejected": rows})  # codes, because reasons may have values
        ended(outcome.status, outcome.counts)
    return waiting


@contextmanager
def _advising_restores(claim: Claim) -> Iterator[None]:
    """Add to a LoadError what to do if the file of a restore cannot be read."""
    try:
        yield
    except LoadError as error:
        if not claim.is_own_backup:
            raise
        advice = "request the restore again, or restore another restore point"
        raise LoadError(f"{error.detail}; {advice}") from error


def _outcome(attempt: Attempt, policy: HandoverPolicy, rejects: RejectFile) -> Outcome | None:
    """Stage an object with AtOnce, or a large object with Resumable, and complete its load. Return None if the load was
    handed over."""

    def complete(staged: Staged) -> Outcome:
        return Completion(attempt, staged, rejects).run()

    with attempt.opened() as body:
        reading = _understood(attempt, body)
        if not reading.is_own_backup:
            found = reading.file_format
            stored = (found.container.value, found.shown(), found.notices, found.layout.names)
            claims.describe(attempt.session, attempt.claim, *stored)
        if body.size < policy.from_bytes:
            staging: Staging = AtOnce(attempt, reading, body)
            return staging.run(rejects, complete)
    staging = Resumable(attempt, reading, body.etag, policy)
    return staging.run(rejects, complete)


def _understood(attempt: Attempt, body: ObjectBody) -> FileReading:
    """Find the format of the object, and return the way to read it. Raises LoadError if the object cannot be loaded."""
    if attempt.claim.is_own_backup:
        return FileReading.of_own_backup(attempt.dataset, body.stream)
    try:
        declared = Declarations.of(body.metadata)
    except UnknownValue as error:
        raise LoadError(f"a declaration in the object's metadata is invalid: {error}") from error
    if declared.corrects is not None:
        open_rejects.require_load(attempt.session, attempt.dataset, declared.corrects)
    is_called_avro = attempt.created.key.casefold().endswith(".avro")
    return FileReading.of_file(attempt.dataset, body.stream, declared, is_called_avro=is_called_avro)


def _heal(session: Session, dataset: Dataset, load_id: int | None, grace: timedelta) -> None:
    """Load the orphans that waited for the rows of a load. With `load_id`, also load the orphans of this load whose
    parents have arrived since its merge."""
    try:
        if load_id is not None:
            orphans.heal(session, dataset, grace, load_id=load_id)
        orphans.heal_children(session, dataset, grace)
    except Exception:  # the load itself has succeeded, so no error may fail its event; the sweep heals later
        _log.warning(
            "waiting rows were not loaded after a load of %s; the next sweep tries again", dataset.name, exc_info=True
        )
