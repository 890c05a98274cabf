"""The one transaction that completes a load: its staged rows merged, the rows without parents reported, its history.

The order of its locks:
1. Parents, FOR KEY SHARE (`orphans.set_apart`). From here on, which rows lack a parent is settled: a parent that exists
   stays, and the child of a parent that comes later is a reject, which is healed after the load.
2. No further lock while the object is read once more for the rows without parents. That may take as long as the first
   reading, and other writers of the dataset commit meanwhile.
3. The dataset's table, SHARE ROW EXCLUSIVE (`merge.lock_table`), for the merge, the history and the commit.

Requests and healing (`rows`, `orphans`) lock the table first and parents second. That is the opposite order, but the
two of us cannot meet in a deadlock: KEY SHARE does not conflict with KEY SHARE, so whoever holds the table never waits
for our parents. Writers of parents:
- A load of parents locks *their* table, which does not conflict with the ROW SHARE that our statements take on it. It
  changes no ids, so its changes pass ours, too.
- Whoever deletes a parent, or gives it another id, waits until we have committed. If it holds one parent that we want,
  and wants one that we hold, Postgres ends one of us. That is in step 1, before anything is reported.
- An operator who deletes children, and in the same transaction their parents, may wait for our parents while we wait
  for the table. Postgres ends one of us. If it is this attempt, the next one finds the parents gone.
- The same may happen with a third one between us: a request holds the table and waits for a parent, whose deleter waits
  for one of our parents.

Steps 1 and 3 each have a savepoint. After a deadlock or a time-out, such a step alone is undone and tried again, so
that nothing is reported twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from chalicelib.cloud.database import Session, lock_timeout
from chalicelib.core.errors import Conflict, LockTimeout, StorageUnavailable
from chalicelib.core.streams import InTime
from chalicelib.ingest import merge, orphans
from chalicelib.ingest.attempt import Attempt
from chalicelib.ingest.orphan_report import OrphanReport
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.staging import Staged
from chalicelib.ingest.staleness import is_stale
from chalicelib.ingest.verdict import FileCounts, verdict
from chalicelib.loads import claims
from chalicelib.loads.outcomes import Counts

LOCK_TIMEOUT = 120.0  # seconds that a load waits for another one of its dataset before it tries again
MERGE_TRIES = 4
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome:
    """How a load ended: its status, what became of its rows, and why its file was refused."""

    status: str
    counts: Counts = field(default_factory=Counts)
    error: str | None = None


@dataclass(frozen=True)
class Completion:
    """Completes a staged load."""

    attempt: Attempt
    staged: Staged
    rejects: RejectFile

    def run(self) -> Outcome:
        """Complete the load.

        Raises ClaimLost, LoadError if the object is gone, Unavailable.
        """
        session, dataset, orphan_count = self.attempt.session, self.attempt.dataset, 0
        with session.transaction(f"BEGIN; {lock_timeout(LOCK_TIMEOUT)}"):
            if dataset.references:
                orphan_count = _retried(session, lambda: orphans.set_apart(session, dataset, self.staged.table))
            error = self._verdict(orphan_count)
            if (orphan_count or error) and is_stale(self.attempt):
                return self._skip()  # which saves the second reading; whether it is not is decided below
            if error:
                return self._refuse(error)
            if orphan_count:
                self._report_orphans()
                session.renew_time()
            return _retried(session, lambda: self._merge(orphan_count))

    def _verdict(self, orphan_count: int) -> str | None:
        """Why the file fails as a whole. A restore never does: rows that cannot come back keep no other row away."""
        reading = self.staged.reading
        if reading.is_own_backup:
            return None
        counts = FileCounts(self.staged.received, self.staged.rejected, orphan_count)
        return verdict(counts, reading.file_format.declared.max_rejected, self.rejects.reasons.counted())

    def _refuse(self, error: str) -> Outcome:
        """Fail the load, and keep its reject file."""
        counts = Counts(received=self.staged.received, rejected=self.staged.rejected)
        rejects = (self.rejects.complete(), self.rejects.reasons.counted())
        claims.refuse(self.attempt.session, self.attempt.claim, counts, error, rejects)
        self.staged.discard()
        return Outcome("failed", counts, error)

    def _merge(self, orphan_count: int) -> Outcome:
        attempt, staged, rejects = self.attempt, self.staged, self.rejects
        session, dataset = attempt.session, attempt.dataset
        merge.lock_table(session, dataset, timeout=LOCK_TIMEOUT)
        if is_stale(attempt):
            return self._skip()
        merged = merge.load(session, dataset, staged.table)
        orphans.forget(session, dataset, staged.table)
        if orphan_count:
            orphans.remember(session, dataset, attempt.claim.load_id, staged.table)
        counts = merged.counts(staged.received, staged.rejected + orphan_count)
        claims.succeed(session, attempt.claim, counts, rejects.complete(), rejects.reasons.counted())
        staged.discard()
        return Outcome("succeeded", counts)

    def _skip(self) -> Outcome:
        claims.skip(self.attempt.session, self.attempt.claim, "a newer version of the object has been loaded")
        self.rejects.abort()
        self.staged.discard()
        return Outcome("skipped")

    def _report_orphans(self) -> None:
        """Report the rows without parents as they were sent. S3 may be slow, and Postgres has sent its rows long before
        the last one is found: neither it nor a request to S3 would notice that time is up."""
        dataset, reading = self.attempt.dataset, self.staged.reading
        columns = [column.name for column, _ in dataset.references]
        with self.attempt.opened() as body:
            if body.etag != self.staged.etag:  # it can be overwritten where the bucket keeps no versions
                raise StorageUnavailable("the object was overwritten while it was being loaded")
            report = OrphanReport(dataset, reading.seeker(InTime(body.stream)), columns, self.rejects.add)
            self.attempt.session.copy_out(orphans.listing(columns), report)


def _retried(session: Session, step: Callable[[], Result]) -> Result:
    """What `step` returns. When it meets a concurrent change, or waits too long for a lock, it alone is undone and
    tried again."""
    for attempt in range(1, MERGE_TRIES + 1):
        session.run("SAVEPOINT step")
        try:
            result = step()
        except (Conflict, LockTimeout):
            if attempt == MERGE_TRIES or session.broken:
                raise
            session.run("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step")
        else:
            session.run("RELEASE SAVEPOINT step")
            return result
    raise AssertionError("unreachable")
