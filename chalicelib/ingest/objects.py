"""One object of the landing bucket, from its event to the end of its load.

Everything before the merge is repeatable and invisible; the merge, the counts and the history commit
in one transaction, after the reject file is safely stored. Whatever goes wrong, the load ends either
whole or not at all, and its claim tells the next attempt that there was one.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.object_streams import ObjectStream
from chalicelib.cloud.storage import Storage
from chalicelib.core import deadline, logs
from chalicelib.core.errors import Conflict, HireflowError, LoadError, LockTimeout, NotFound, Unavailable
from chalicelib.core.streams import Hashed, Readable
from chalicelib.ingest import merge, orphans, staging
from chalicelib.ingest.missing import MissingReport
from chalicelib.ingest.rejects import Reasons, RejectFile
from chalicelib.ingest.resumable import Continuing, Held, Stage, discard
from chalicelib.ingest.sources import Source, unrecognised
from chalicelib.loads import claims, object_versions, outcomes
from chalicelib.loads.claims import Claim
from chalicelib.loads.object_versions import ObjectCreated
from chalicelib.loads.outcomes import Counts, Ended, Watch

LOCK_TIMEOUT = 120.0  # seconds that a load waits for another one of its dataset before it tries again
MERGE_TRIES = 4
RESERVE = 15.0  # seconds of a function's time that are kept for ending a load in order
ENDING = 10.0  # seconds that this may take
NEVER = Continuing(from_bytes=2**63)  # every object by one invocation
_log = logging.getLogger("hireflow.ingest")


def ingest_object(
    database: Database,
    storage: Storage,
    created: ObjectCreated,
    *,
    grace: timedelta,
    seconds: float | None = None,
    busy_wait: float = claims.BUSY_WAIT,
    watch: Watch = outcomes.unwatched,
    continuing: Continuing = NEVER,
) -> bool:
    """Load an object version once, within `seconds` where time is limited, and tell `watch` when the load has
    come to its end. False where an invocation that was asked for goes on with it. Raises what calls for another
    delivery of the event; an object that can never load ends as a failed load and raises nothing."""
    with nullcontext() if seconds is None else deadline.within(seconds - min(RESERVE, seconds / 5)):
        return _ingest(database, storage, created, grace, busy_wait, watch, continuing)


def _ingest(
    database: Database,
    storage: Storage,
    created: ObjectCreated,
    grace: timedelta,
    busy_wait: float,
    watch: Watch,
    continuing: Continuing,
) -> bool:
    source = Source.of(created.key)
    with database.session() as session:
        dataset, kind = (source.dataset, source.kind) if source else (None, "csv")
        claim = claims.claim(session, created, dataset, kind, busy_wait=busy_wait)
        if claim is None:
            return True
        work: _ObjectLoad | None = None
        began = time.monotonic()

        def ended(status: str, counts: Counts | None = None) -> None:
            name, earlier = dataset.name if dataset else None, work.earlier if work else 0
            watch(Ended(name, status, earlier + time.monotonic() - began, counts or Counts()))

        with logs.about(load_id=claim.load_id, correlation_id=claim.correlation_id):
            try:
                with _ending(database, storage, claim, source, ended):
                    if source is None:
                        raise unrecognised(created.key)
                    work = _ObjectLoad(session, storage, claim, created, source, continuing)
                    counts = work.run()
                    if work.handed_over:
                        return False
                    ended("succeeded" if counts else "skipped", counts)
            finally:
                with deadline.within(ENDING):
                    claims.release(session, claim.load_id)
            if source is not None and not session.broken:  # a file that cannot be read to its end breaks it
                _heal(session, source, claim.load_id, grace)
    return True


@contextmanager
def _ending(
    database: Database, storage: Storage, claim: Claim, source: Source | None, ended: Callable[[str], None]
) -> Iterator[None]:
    """See that a load which did not succeed is failed or handed back."""
    try:
        yield
    except LoadError as error:
        _log.warning("load failed: %s", error.detail)
        _fail(database, storage, claim, source, error.detail, ended)
    except Exception as error:
        _log.warning("attempt %s of the load failed", claim.attempt, exc_info=True)
        reason = error.detail if isinstance(error, HireflowError) else "an internal error"
        # The database may be what is away: the claim is enough then.
        with suppress(HireflowError), deadline.within(ENDING):
            if claim.is_last_attempt:
                _fail(database, storage, claim, source, f"{claims.GAVE_UP}: {reason}", ended, given_up=True)
            else:
                with database.session() as session:
                    claims.requeue(session, claim, f"attempt {claim.attempt}: {reason}")
        raise


def _fail(
    database: Database,
    storage: Storage,
    claim: Claim,
    source: Source | None,
    error: str,
    ended: Callable[[str], None],
    *,
    given_up: bool = False,
) -> None:
    with database.session() as session:
        failed = claims.fail(session, claim.load_id, error, given_up=given_up)
        if failed:
            discard(session, claim.load_id)
    if failed:
        ended("failed")
    if failed and source is not None:
        _reject_file(storage, claim, source, "").remove()


def _reject_file(storage: Storage, claim: Claim, source: Source, url: str) -> RejectFile:
    return RejectFile(
        storage.errored, source.dataset, claim.load_id, url, claim.started_at, correlation_id=claim.correlation_id
    )


def _heal(session: Session, source: Source, load_id: int, grace: timedelta) -> None:
    """Load what waited for these rows, and what of these was waiting while its parents came in."""
    try:
        if source.dataset.references:
            orphans.heal(session, source.dataset, grace, load_id=load_id)
        orphans.heal_children(session, source.dataset, grace)
    except Unavailable:  # this load is done; the schedule heals later
        _log.warning("healing after a load of %s was put off", source.dataset.name, exc_info=True)


class _ObjectLoad:
    """The work of one attempt, on the connection that holds its claim."""

    def __init__(
        self,
        session: Session,
        storage: Storage,
        claim: Claim,
        created: ObjectCreated,
        source: Source,
        continuing: Continuing,
    ) -> None:
        self.handed_over = False
        self.earlier = 0.0  # seconds that other invocations have worked
        self._continuing = continuing
        self._stage_kept: Stage | None = None
        self._session, self._storage, self._claim = session, storage, claim
        self._created, self._source, self._dataset = created, source, source.dataset
        self._rejects = _reject_file(storage, claim, source, created.source)
        self._counts: Counts | None = None
        self._reported = False  # rows without parents are in the reject file: the merge cannot be tried again

    def run(self) -> Counts | None:
        """What became of the rows; None where the load was skipped, or handed over."""
        began = time.monotonic()
        try:
            stager = self._stage()
            if self.handed_over:
                return None
            self._merge(stager)
        except BaseException:
            with suppress(HireflowError), deadline.within(ENDING):
                self._rejects.abort()
            raise
        if not self._rejects.count and self._claim.tried_before:
            self._rejects.remove()  # an earlier attempt may have reported what is no longer wrong
        self._session.run("DROP TABLE IF EXISTS staging")
        took = {"attempt": self._claim.attempt, "seconds": round(self.earlier + time.monotonic() - began, 3)}
        _log.info("load succeeded" if self._counts else "load skipped", extra=took | vars(self._counts or Counts()))
        return self._counts

    def _stage(self) -> staging.Stager:
        with self._opened() as body:
            if body.size < self._continuing.from_bytes:
                return self._stage_at_once(self._readable(body))
            etag = body.etag
        stage = self._stage_kept = Stage(self._session, self._claim, etag)
        return self._stage_on(stage)

    def _stage_at_once(self, stream: Readable) -> staging.Stager:
        staging.create(self._session, self._dataset)
        stager = staging.Stager(self._dataset, self._source.tokens(stream), self._rejects, self._source.form)
        for received in stager.run(self._session):
            claims.progress(self._session, self._claim, received)
        self._check_sum(stream)
        staging.analyze(self._session)
        return stager

    def _stage_on(self, stage: Stage) -> staging.Stager:
        """Stage what no earlier invocation has, or hand over."""
        done, (pause_at, merge_until) = stage.progress, self._continuing.hours()
        self.earlier = done.seconds
        held = Held(self._rejects.line, Reasons.of(done.reasons or {}))
        with self._opened(done.bytes if self._source.has_ranges else 0) as body:
            stream = self._readable(body)
            tokens = self._source.tokens(stream, done.position)
            stager = staging.Stager(
                self._dataset,
                tokens,
                held,
                self._source.form,
                table=stage.table,
                pause_at=pause_at,
                most_lines=self._continuing.lines,
                lines=done.lines,
                received=done.received,
                rejected=done.rejected,
                exhausted=done.complete,
            )
            while not stager.exhausted:
                stage.stage(stager, held, lambda: tokens.offset)
                if not stager.exhausted and time.monotonic() >= pause_at:
                    return self._hand_over(stager)
            if not done.complete:
                self._check_sum(stream)
                stage.complete()
                if time.monotonic() >= merge_until:
                    return self._hand_over(stager)
        stage.settle()
        for lines in stage.rejects():
            self._rejects.extend(lines, 0)
        self._rejects.count, self._rejects.reasons = stager.rejected, held.reasons
        return stager

    def _hand_over(self, stager: staging.Stager) -> staging.Stager:
        """Ask for an invocation before the load is left to it: died we between the two, our own event would come
        again, while a load left to nobody would stay where it is."""
        assert self._continuing.again is not None
        self._continuing.again()
        claims.hand_over(self._session, self._claim)
        self.handed_over = True
        _log.info("load handed over", extra={"received": stager.received, "rejected": stager.rejected})
        return stager

    def _check_sum(self, stream: Readable) -> None:
        if isinstance(stream, Hashed) and stream.hexdigest() != self._claim.sha256:
            raise LoadError("the backup file does not have the checksum its manifest gives: it is damaged")

    @contextmanager
    def _opened(self, start: int = 0) -> Iterator[ObjectStream]:
        try:
            body = self._storage.landing.open(self._created.key, self._created.version_id, start=start)
        except NotFound as error:
            raise LoadError("the object no longer exists") from error
        try:
            yield body
        finally:
            body.close()

    def _readable(self, body: ObjectStream) -> Readable:
        return Hashed(body) if self._claim.sha256 else body

    def _merge(self, stager: staging.Stager) -> None:
        for attempt in range(1, MERGE_TRIES + 1):
            try:
                with self._session.transaction():
                    self._merge_once(stager)
                return
            except (Conflict, LockTimeout):
                if attempt == MERGE_TRIES or self._session.broken or self._reported:
                    raise

    def _merge_once(self, stager: staging.Stager) -> None:
        session, dataset = self._session, self._dataset
        merge.lock_table(session, dataset, timeout=LOCK_TIMEOUT)
        if self._is_stale():
            claims.skip(session, self._claim, "a newer version of the object has been loaded")
            self._rejects.abort()
            self._rejects.count = 0
            self._discard()
            return
        missing = merge.set_orphans_apart(session, dataset, stager.table)
        merged = merge.load(session, dataset, stager.table)
        orphans.forget(session, dataset, stager.table)
        if missing:
            orphans.remember(session, dataset, self._claim.load_id, stager.table)
            self._report_missing()
        counts = merged.counts(stager.received, stager.rejected + missing)
        claims.succeed(session, self._claim, counts, self._rejects.complete(), self._rejects.reasons.counted())
        self._discard()
        self._counts = counts

    def _discard(self) -> None:
        if self._stage_kept is not None:
            self._stage_kept.discard()

    def _is_stale(self) -> bool:
        return any(self._is_older(*newest) for newest in object_versions.newest_loaded(self._session, self._created))

    def _is_older(self, version: str, sequencer: str | None) -> bool:
        order = object_versions.compare_sequencers(self._created.sequencer, sequencer)
        if order:
            return order < 0
        versions = self._storage.landing.versions(self._created.key)  # newest first
        if version not in versions or self._created.version not in versions:
            return False
        return versions.index(self._created.version) > versions.index(version)

    def _report_missing(self) -> None:
        """Report the rows without parents as they were sent."""
        self._reported = True
        columns = [column.name for column, _ in self._dataset.references]
        lacking = ", ".join(f"CASE WHEN no_{name} THEN {name} END" for name in columns)
        with self._opened() as body:
            seeker = self._source.seeker(self._readable(body))
            report = MissingReport(self._dataset, seeker, columns, self._rejects.add)
            self._session.copy_out(f"COPY (SELECT seq, {lacking} FROM missing ORDER BY seq) TO STDOUT", report)
