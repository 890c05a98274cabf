"""Loads the rows of HTTP requests. The rules and the merge are the same as for files. Each request is one
transaction."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chalicelib.cloud.database import Database, Session
from chalicelib.cloud.storage import Storage
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import Conflict, LockTimeout, Unavailable
from chalicelib.core.reasons import NO_FREE_ID, Problem
from chalicelib.core.rules import Checked, check_objects, missing_parent
from chalicelib.ingest import array_rows, merge, orphans, parents
from chalicelib.ingest.reject_files import RejectFile, ReportedLoad
from chalicelib.ingest.rejects import Reject, row_of_object
from chalicelib.loads import outcomes
from chalicelib.loads.outcomes import Counts, Recorded, RequestLoad

_log = logging.getLogger("hireflow.ingest")
LOCK_TIMEOUT = 10.0  # seconds that a request waits for all its locks together
TRIES = 4


@dataclass(frozen=True)
class SentRows:
    """The rows of a request. `source` is the name of the request in the history."""

    dataset: Dataset
    rows: Sequence[Any]
    source: str
    correlation_id: str | None = None


@dataclass
class Upload:
    """The result of a request. `ids` has the id of every accepted row, and None for every rejected row."""

    sent: Sequence[Any]
    ids: list[int | None] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    load_id: int = 0

    @property
    def outcome(self) -> str:
        """The outcome of a request with a single, accepted row."""
        return next(name for name in ("inserted", "updated", "unchanged") if getattr(self.counts, name))


def upload(
    database: Database,
    storage: Storage,
    sent: SentRows,
    *,
    grace: timedelta,
    lock_timeout: float = LOCK_TIMEOUT,
) -> Upload:
    """Check, merge and record the rows of one request, in one transaction. After the commit, load the orphans that wait
    for these rows. `grace` is the grace period of orphans.

    Raises LockTimeout if other transactions hold the locks for more than `lock_timeout` seconds. Raises
    StorageUnavailable if the rejects cannot be stored, or DatabaseUnavailable. After an error no row has been written.
    There is one exception: if the connection breaks during the commit, or during the merge that is sent together with
    the commit, the message says that the result is not known.
    """
    checked = check_objects(sent.dataset, sent.rows)
    with database.session() as session:
        result = _Request(session, storage, sent, checked, Patience(lock_timeout)).upload()
        if result.counts.inserted:
            _heal(session, sent.dataset, grace)
    return result


class Patience:
    """The time that a request may wait for all its locks together. Postgres itself can limit only the wait for each
    single lock."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left for the locks of a transaction. Raises LockTimeout if no time is left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise LockTimeout("the tables are busy with other loads")
        return left


def _heal(session: Session, dataset: Dataset, grace: timedelta) -> None:
    """Load the orphans that wait for the rows of the request. The request has succeeded, because its rows are
    committed. So no error here changes its response: the sweep heals later."""
    try:
        orphans.heal_children(session, dataset, grace, at_most=orphans.REQUEST_LIMIT)
    except Unavailable:
        pass
    except Exception:
        _log.exception("waiting rows were not loaded after a request; the next sweep tries again")


@dataclass(frozen=True)
class _Request:
    """Writes the rows of one request into the database."""

    session: Session
    storage: Storage
    sent: SentRows
    checked: list[Checked]
    patience: Patience

    @property
    def dataset(self) -> Dataset:
        return self.sent.dataset

    @property
    def rows(self) -> Sequence[Any]:
        return self.sent.rows

    def upload(self) -> Upload:
        """Upload all rows in one transaction. Try again after a conflict with a concurrent change."""
        for attempt in range(1, TRIES + 1):
            try:
                left = self.patience.left()
                with self.session.transaction(merge.beginning(left, len(self.rows))):
                    return self._upload_once(left)
            except Conflict:
                if attempt == TRIES:
                    raise
        raise AssertionError("unreachable")

    def _upload_once(self, patience: float) -> Upload:
        result = Upload(self.rows)
        problems = self._with_missing_parents(patience)
        result.ids = self._with_new_ids(problems)
        result.rejects = [
            Reject(i, of_row, _raw(self.rows[i]), row_of_object(self.dataset, self.rows[i]))
            for i, of_row in enumerate(problems)
            if of_row
        ]
        recorded = self._merged(result)
        result.counts, result.load_id = recorded.counts, recorded.load_id
        if result.rejects:
            self._store_rejects(result.rejects, recorded)
        return result

    def _with_missing_parents(self, patience: float) -> list[tuple[Problem, ...]]:
        """Lock the table, and then the parents that exist. Return the problems of each row, including missing parents.

        All this takes one round trip, because other writers of the dataset wait during each further one. Before each
        lock but the first, its wait is limited to the rest of `patience`, in seconds from the beginning of the
        transaction."""
        problems = [row.problems for row in self.checked]
        limit = merge.limiting_waits(patience)
        statements = [merge.locking(self.dataset), limit]
        wanted = []
        for column, parent in self.dataset.references:
            position = self.dataset.columns.index(column)
            wanted.append([row.values[position] for row in self.checked])
            statements += (parents.finding(parent, wanted[-1], lock=True), limit)
        found = self.session.run_together(*statements)[2::2]
        for (column, _), ids, result in zip(self.dataset.references, wanted, found, strict=True):
            existing = {row[0] for row in result.rows}
            for i, parent_id in enumerate(ids):
                if parent_id is not None and parent_id not in existing:
                    problems[i] = (*problems[i], missing_parent(column.name, parent_id))
        return problems

    def _with_new_ids(self, problems: list[tuple[Problem, ...]]) -> list[int | None]:
        """Return the id of each row without problems. A row that was sent without an id gets a new id. If no id is
        free, a problem is added to `problems`."""
        ids: list[int | None] = [None] * len(self.checked)
        without_id = []
        for i, row in enumerate(self.checked):
            if not problems[i]:
                ids[i] = int(row.values[0]) if row.values[0] is not None else None
                if ids[i] is None:
                    without_id.append(i)
        if without_id:
            explicit = {row_id for row_id in ids if row_id is not None}
            new = merge.next_ids(self.session, self.dataset, len(without_id), explicit)
            for i, row_id in zip(without_id, new, strict=False):
                ids[i] = row_id
        for i in without_id:
            if ids[i] is None:
                problems[i] = (NO_FREE_ID.of("id"),)
        return ids

    def _merged(self, result: Upload) -> Recorded:
        """Merge the accepted rows, and record the load of this request in the history. Without rejects, this also
        commits the transaction. With rejects, they have to be stored first."""
        received, sent = len(self.rows), self.sent
        accepted = [i for i, row_id in enumerate(result.ids) if row_id is not None]
        load = RequestLoad(sent.dataset, sent.source, received, received - len(accepted), sent.correlation_id)
        if not accepted:
            return outcomes.record_unmerged(self.session, load)
        rows = [self.checked[i] for i in accepted]
        _, *columns = zip(*(row.values for row in rows), strict=True)
        of_ids = [result.ids[i] for i in accepted]
        relation, arrays = array_rows.relation(self.dataset, [of_ids, *columns], [row.left_out for row in rows])
        upsert = merge.upserting_request(load, relation, arrays)
        [recorded] = self.session.run_together(upsert, commit=not result.rejects)
        return load.recorded(recorded.rows)

    def _store_rejects(self, rejects: Sequence[Reject], recorded: Recorded) -> None:
        """Store the reject file, and record it in the transaction, which is committed afterwards."""
        sent = self.sent
        load = ReportedLoad(sent.dataset, recorded.load_id, sent.source, recorded.at, sent.correlation_id)
        file = RejectFile(self.storage.errored, load, place="index")
        for reject in rejects:
            file.add(reject)
        key, reasons, tracked = file.complete() or "", file.reasons.counted(), file.tracked.count
        outcomes.record_rejects(self.session, recorded.load_id, key, reasons, tracked=tracked)
        file.tracked.record(self.session)


def _raw(row: Any) -> bytes:
    kept = {str(k): v for k, v in row.items()} if isinstance(row, Mapping) else row
    return json.dumps(kept, ensure_ascii=False).encode("utf-8", "backslashreplace")
