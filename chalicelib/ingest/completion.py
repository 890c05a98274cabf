"""Completes a load in one transaction: merges the staged rows, reports the rows without parents, and writes the
history.

The load takes its locks in this order:
1. The parents, FOR KEY SHARE (`orphans.set_apart`). From now on, the set of rows without a parent does not change. A
   parent that exists stays. If a parent comes later, its children are rejects of this load, and are healed after this
   load.
2. No further lock while the load reads the object again, for the rows without parents, and stores its reject file. This
   may take as long as the first reading. Other writers of the dataset can commit in the meantime.
3. The table of the dataset, SHARE ROW EXCLUSIVE (`merge.lock_table`), for the merge, the history and the commit.

Requests and healing (`rows`, `orphans`) lock in the opposite order: first the table, then the parents. This cannot
cause a deadlock with a load. KEY SHARE does not conflict with KEY SHARE, so a request that holds the table never waits
for the parents that the load has locked. These are the writers of parents:
- A load of parents locks the parents' table. This lock does not conflict with the ROW SHARE lock that our statements
  take on that table. The load of parents changes no ids, so its updates do not conflict with our locks on the parents.
- A transaction that deletes a parent, or changes its id, waits until we have committed. If the transaction also holds a
  parent that we want to lock, there is a deadlock, and Postgres cancels one of the two transactions. This happens in
  step 1, before the load has reported any reject.
- An operator may delete children and then, in the same transaction, their parents. This transaction may wait for the
  parents that we have locked, while we wait for the table. Postgres cancels one of the two transactions. If it cancels
  ours, the next attempt finds that the parents do not exist any more.
- The same deadlock is possible with three transactions: a request holds the table and waits for a parent, and the
  transaction that deletes this parent waits for a parent that we have locked.

Steps 1 and 3 each have a savepoint. After a deadlock or a timeout, only that step is rolled back and tried again.
Therefore no reject is reported twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from chalicelib.cloud.database import Session, lock_timeout
from chalicelib.cloud.idle_transactions import long_idle
from chalicelib.core.errors import Conflict, LockTimeout, StorageUnavailable
from chalicelib.core.streams import InTime
from chalicelib.ingest import merge, open_rejects, orphans
from chalicelib.ingest.attempt import Attempt
from chalicelib.ingest.merge import Merged
from chalicelib.ingest.orphan_report import OrphanReport
from chalicelib.ingest.reject_files import RejectFile
from chalicelib.ingest.staging import Outcome, Staged
from chalicelib.ingest.staleness import is_stale
from chalicelib.ingest.verdict import FileCounts, verdict
from chalicelib.loads import claims, object_versions
from chalicelib.loads.claims import Findings
from chalicelib.loads.outcomes import Counts

LOCK_TIMEOUT = 120.0  # seconds that a load waits for another load of the same dataset before it tries again
MERGE_TRIES = 4
Result = TypeVar("Result")


def transaction(session: Session, *statements: str) -> AbstractContextManager[None]:
    """The transaction that completes a load. `statements` run at its beginning."""
    return session.transaction("; ".join(("BEGIN", lock_timeout(LOCK_TIMEOUT), *statements)))


@dataclass(frozen=True)
class Completion:
    """Completes a staged load."""

    attempt: Attempt
    staged: Staged
    rejects: RejectFile

    def run(self) -> Outcome:
        """Complete the load. The caller is in a `transaction`.

        Raises ClaimLost, Unavailable, and LoadError if the object no longer exists.
        """
        session, dataset, orphan_count = self.attempt.session, self.attempt.dataset, 0
        relation = self.staged.relation
        if dataset.references:
            orphan_count = _retried(session, lambda: orphans.set_apart(session, dataset, relation))
        error = self._verdict(orphan_count)
        if (orphan_count or error or self.staged.rejected) and is_stale(self.attempt):
            return self._skip()  # no reject file is needed; `_merge` checks again, with the table locked
        if error:
            return self._refuse(error)
        if orphan_count:
            self._report_orphans()
        findings = self._findings()  # other loads should not wait for S3, so the table is not locked yet
        if self.rejects.is_stored:
            session.renew_time()
        return _retried(session, lambda: self._merge(orphan_count, findings))

    @property
    def _is_few(self) -> bool:
        return self.staged.received <= merge.FEW

    def _verdict(self, orphan_count: int) -> str | None:
        """Return why the file fails as a whole, or None if it does not. The file of a restore never fails as a whole:
        rows that cannot be restored must not prevent the restore of the other rows."""
        reading = self.staged.reading
        if reading.is_own_backup:
            return None
        counts = FileCounts(self.staged.received, self.staged.rejected, orphan_count)
        return verdict(reading.file_format, counts, self.rejects.reasons.counted(), self.staged.oddities)

    def _refuse(self, error: str) -> Outcome:
        """Mark the load as failed, and keep its reject file."""
        counts = Counts(received=self.staged.received, rejected=self.staged.rejected)
        claims.refuse(self.attempt.session, self.attempt.claim, counts, error, self._findings())
        merge.skip_row_triggers(self.attempt.session)  # the rejects refer to this load, which `refuse` has locked
        self.rejects.tracked.record(self.attempt.session)
        self.staged.discard()
        return Outcome("failed", counts, error)

    def _merge(self, orphan_count: int, findings: Findings) -> Outcome:
        attempt, staged = self.attempt, self.staged
        session, dataset = attempt.session, attempt.dataset
        # Each round trip from here on is a time in which no other writer has the table.
        query = object_versions.newest_loaded(attempt.created)
        [newest] = merge.lock_table(session, dataset, timeout=LOCK_TIMEOUT, few=self._is_few, then=[query])
        if is_stale(attempt, newest):
            return self._skip()
        merged, waiting = self._merge_rows(orphan_count)
        counts = merged.counts(staged.received, staged.rejected + orphan_count)
        claims.succeed(session, attempt.claim, counts, findings)
        self.rejects.tracked.record(session)
        staged.discard()
        return Outcome("succeeded", counts, waiting=waiting)

    def _findings(self) -> Findings:
        """Store the reject file. Return its key, the counted reasons and the notices."""
        reading, oddities = self.staged.reading, self.staged.oddities
        found = reading.file_format  # the notices on other files were stored before the rows were read
        notices = [*(found.notices if reading.is_own_backup else oddities.notices(found.encoding))]
        notices += self.rejects.notices()
        key, reasons = self.rejects.complete(), self.rejects.reasons.counted()
        return Findings(key, reasons, self.rejects.tracked.count, notices)

    def _merge_rows(self, orphan_count: int) -> tuple[Merged, int]:
        """Merge the rows. Delete the orphans with their ids, and resolve the rejects with their ids and the rejects
        that the file is declared to correct. Then store the orphans of the file. Return the result of the merge, and
        how many orphans were stored."""
        session, dataset, staged = self.attempt.session, self.attempt.dataset, self.staged
        remembering = []
        if orphan_count:
            remembering.append(orphans.remembering(dataset, self.attempt.claim.load_id, staged.relation))
        if self._is_few:
            # To remember orphans, Postgres compares two lists of thousands of rows, and none of them has an index.
            then = [*merge.AS_USUAL, *remembering] if remembering else []
            merged, results = merge.upsert_few(session, dataset, staged.relation, then=then)
        else:
            merged = merge.load(session, dataset, staged.relation)
            orphans.forget(session, dataset, staged.table)
            open_rejects.resolve(session, dataset, staged.table)
            results = session.run_together(*remembering)
        declared, layout = staged.reading.file_format.declared, staged.reading.file_format.layout
        if declared.corrects is not None and layout.line_column:
            open_rejects.correct(session, declared.corrects, staged.table, layout.line_column)
        return merged, results[-1].affected if remembering else 0

    def _skip(self) -> Outcome:
        claims.skip(self.attempt.session, self.attempt.claim, "a newer version of the object has been loaded")
        self.rejects.abort()
        self.staged.discard()
        return Outcome("skipped")

    def _report_orphans(self) -> None:
        """Report the rows without parents as they were sent. Large parts of the object without such rows are not read
        again.

        S3 may be slow, so `InTime` checks the deadline each time the object is read. No other code checks the deadline
        during this step: Postgres may already have sent all rows, and a request to S3 that is running does not check
        the deadline.
        """
        dataset, reading, session = self.attempt.dataset, self.staged.reading, self.attempt.session
        columns = [column.name for column, _ in self.staged.relation.references(dataset)]
        idle = nullcontext() if self.staged.is_in_memory else long_idle(session)
        with idle, ExitStack() as opened:

            def open_at(offset: int) -> InTime:
                opened.close()
                body = opened.enter_context(self.attempt.opened(offset))
                if body.etag != self.staged.etag:  # possible in a bucket without versioning
                    raise StorageUnavailable("the object was overwritten while it was being loaded")
                return InTime(body.stream)

            report = OrphanReport(dataset, reading.seeker(open_at(0), open_at), columns, self.rejects.add)
            session.copy_out(orphans.listing(columns, self.staged.relation), report)


def _retried(session: Session, step: Callable[[], Result]) -> Result:
    """Run `step`, and return its result. After a conflict with a concurrent change, or a lock timeout, only this step
    is rolled back and tried again."""
    for attempt in range(1, MERGE_TRIES + 1):
        session.run("SAVEPOINT step")
        try:
            result = step()
        except (Conflict, LockTimeout):
            if attempt == MERGE_TRIES or session.broken:
                raise
            session.run("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step")
        else:
            return result  # the end of the transaction also ends its savepoints
    raise AssertionError("unreachable")
