"""Keeps track of open rejects. A reject is open until a later load has loaded its row.

The rejects themselves are in the reject files. The table `open_rejects` has only their places and ids. A merge deletes
the rejects that it resolves from the table. A reject is resolved in one of three ways:
- A later load has a valid row with the id of the reject.
- A later file is declared to correct the load, and has a valid row whose column `line` has the line of the reject.
- The row waited for its parents, and was healed.

Deleted rejects are counted as `resolved` in the load that rejected them. The transaction that writes the rows also
deletes and counts the rejects, so the counts always agree with the rows. Only the first 100,000 rejects of a load are
tracked in the table. All other rejects stay open.
"""

from collections.abc import Collection, Mapping, Sequence

from chalicelib.cloud.database import Session
from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.reasons import UNKNOWN_PARENT
from chalicelib.core.rules import readable_id

MOST = 100_000  # at most this many rejects of a load are tracked


class Tracked:
    """Collects the tracked rejects of a load, as rows for the table. `count` is their number."""

    def __init__(self, dataset: Dataset, load_id: int, *, may_wait: bool) -> None:
        self.count = 0
        self._dataset, self._load_id, self._may_wait = dataset, load_id, may_wait
        self._places, self._ids, self._waits = bytearray(), bytearray(), bytearray()  # elements of arrays

    def add(self, place: int, row: Mapping[str, str | None] | None, codes: Collection[str]) -> None:
        """Add a reject. `place` is its line in a file, or its index in a request. `row` has the values as sent."""
        if self.count >= MOST:
            return
        self.count += 1
        row_id = readable_id(row["id"]) if row else None
        waits = self._may_wait and {*codes} == {UNKNOWN_PARENT.code}
        self._places += b",%d" % place
        self._ids += b",NULL" if row_id is None else b",%d" % row_id
        self._waits += b",true" if waits else b",false"

    def record(self, session: Session) -> None:
        """Store the rows. The caller must be in the transaction that completes the load, and stores `count` there as
        the load's `tracked_rejects`."""
        if not self.count:
            return
        arrays = {"places": self._places, "ids": self._ids, "waits": self._waits}
        session.run(
            "INSERT INTO open_rejects (load_id, place, dataset, id, waits)"
            " SELECT CAST(:load_id AS bigint), place, :dataset, id, waits FROM unnest(CAST(:places AS bigint[]),"
            " CAST(:ids AS integer[]), CAST(:waits AS boolean[])) AS tracked (place, id, waits)",
            load_id=self._load_id,
            dataset=self._dataset.name,
            **{name: f"{{{elements[1:].decode()}}}" for name, elements in arrays.items()},
        )


def resolve(session: Session, dataset: Dataset, table: str) -> None:
    """Resolve the rejects that have the same ids as valid rows in `table`. The caller must be in the transaction that
    merges these rows."""
    if session.scalar("SELECT EXISTS (SELECT FROM open_rejects WHERE dataset = :dataset)", dataset=dataset.name):
        session.run(f"WITH {_resolving(f'IN (SELECT id FROM {table})')} SELECT", dataset=dataset.name)


def resolving(rows: str) -> str:
    """Return the part of a WITH clause that does the work of `resolve` for a few rows. `rows` is another part of the
    clause. The statement has the parameter `dataset`."""
    # The array makes Postgres look up each id in the index. A join might read all open rejects of the dataset.
    return _resolving(f"= ANY (ARRAY(SELECT id FROM {rows}))")


def _resolving(is_merged: str) -> str:
    return (
        f"corrected AS (DELETE FROM open_rejects o WHERE o.dataset = :dataset AND o.id {is_merged}"
        f" RETURNING o.load_id), {_counting('corrected')}"
    )


def correct(session: Session, load_id: int, table: str, column: str) -> None:
    """Resolve the rejects of a load whose lines are in `column` of the valid rows in `table`."""
    are_lines = f"{column} ~ '^ *[0-9]{{1,18}} *$'"
    lines = f"SELECT CAST({column} AS bigint) FROM {table} WHERE id IS NOT NULL AND {are_lines}"
    # The array makes Postgres look up each line in the index. A join might read the whole table for each reject.
    session.run(
        f"WITH corrected AS (DELETE FROM open_rejects o WHERE o.load_id = :load_id AND o.place = ANY (ARRAY({lines}))"
        f" RETURNING o.load_id), {_counting('corrected')} SELECT",
        load_id=load_id,
    )


def heal(session: Session, dataset: Dataset, table: str) -> None:
    """Resolve the rejects that have the same ids as the healed rows in `table`: the rejects of loads that ended
    earlier, and the waiting rejects of the load of the healed row. A healed row that is not tracked is counted as
    resolved, too. In `table`, `_load_id` is the load of a row.

    The row of the load that ended last is the one that waits. The ids of loads say only which load began first.
    """
    session.run(
        f"WITH healed AS (DELETE FROM open_rejects o USING {table} h, loads l, loads e"
        f" WHERE o.dataset = '{dataset.name}' AND o.id = h.id AND l.id = h._load_id AND e.id = o.load_id"
        " AND CASE WHEN e.id = l.id THEN o.waits ELSE (e.finished_at, e.id) < (l.finished_at, l.id) END"
        " RETURNING o.load_id, o.id),"
        f" resolved AS (SELECT load_id FROM healed UNION ALL SELECT h._load_id FROM {table} h"
        " WHERE NOT EXISTS (SELECT FROM healed d WHERE d.load_id = h._load_id AND d.id = h.id)),"
        f" {_counting('resolved')} SELECT"
    )


def of_load(session: Session, load_id: int, grace: str) -> dict[int, bool]:
    """Return the places of the open tracked rejects of a load. The value of a place says whether the row still waits
    for a parent. `grace` is the grace period, as an interval of Postgres.
    """
    rows = session.run(
        "SELECT o.place, o.waits AND EXISTS (SELECT FROM orphans w WHERE w.dataset = o.dataset AND w.id = o.id"
        f" AND w.load_id = o.load_id AND w.rejected_at > now() - {grace})"
        " FROM open_rejects o WHERE o.load_id = :load_id",
        load_id=load_id,
    )
    return dict(rows)


def forget(session: Session, load_ids: Sequence[int]) -> None:
    """Stop tracking the open rejects of these loads, because their reject files expire. The rejects count as open for
    ever."""
    session.run("DELETE FROM open_rejects WHERE load_id = ANY(CAST(:ids AS bigint[]))", ids=list(load_ids))


def require_load(session: Session, dataset: Dataset, load_id: int) -> None:
    """Raise LoadError unless `load_id` is a load of the dataset."""
    datasets = session.run("SELECT dataset FROM loads WHERE id = :load_id", load_id=load_id)
    if datasets != [[dataset.name]]:
        raise LoadError(f"the file is declared to correct load {load_id}, but this is not a load of {dataset.name}")


def _counting(part: str) -> str:
    """Return the part of a WITH clause that adds the number of deleted rejects to `resolved` of their loads. `part` is
    the part of the clause that returns the load of each deleted reject."""
    return (
        f"counted AS (UPDATE loads l SET resolved = l.resolved + g.rejects FROM (SELECT load_id, count(*) AS rejects"
        f" FROM {part} GROUP BY load_id) g WHERE l.id = g.load_id)"
    )
