"""Open rejects: the rejected rows that no later load has brought in.

The rejects themselves are in the reject files. The table `open_rejects` has only their places and ids, so that each
merge can delete those that it resolves:
- A later load brings a valid row with the id of the reject.
- A later file corrects the load, and has a valid row whose column `line` names the reject.
- The row waited for its parents, and was healed.

What is deleted is counted as `resolved` in the load of the reject. All of this happens in the transaction that writes
the rows, so the two cannot disagree. The table has the first 100,000 rejects of a load. Further ones stay open.
"""

from collections.abc import Collection, Mapping

from chalicelib.cloud.database import Session
from chalicelib.core.datasets import Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.reasons import UNKNOWN_PARENT
from chalicelib.core.rules import readable_id

MOST = 100_000  # rejects of a load in the table


class Tracked:
    """The first rejects of a load, as rows for the table. `count` is their number."""

    def __init__(self, dataset: Dataset, load_id: int, *, may_wait: bool) -> None:
        self.count = 0
        self._dataset, self._load_id, self._may_wait = dataset, load_id, may_wait
        self._rows = bytearray()

    def add(self, place: int, row: Mapping[str, str | None] | None, codes: Collection[str]) -> None:
        """Add a reject by its line, or by its index in a request. `row` has the values that were sent."""
        if self.count >= MOST:
            return
        self.count += 1
        row_id = readable_id(row["id"]) if row else None
        waits = self._may_wait and {*codes} == {UNKNOWN_PARENT.code}
        shown_id = "\\N" if row_id is None else row_id
        self._rows += f"{self._load_id}\t{place}\t{self._dataset.name}\t{shown_id}\t{waits}\n".encode()

    def record(self, session: Session) -> None:
        """Store the rows, in the transaction that completes the load."""
        if self.count:
            session.copy_in("COPY open_rejects (load_id, place, dataset, id, waits) FROM STDIN", [bytes(self._rows)])
            session.run(
                "UPDATE loads SET tracked_rejects = :count WHERE id = :load_id",
                count=self.count,
                load_id=self._load_id,
            )


def resolve(session: Session, dataset: Dataset, table: str) -> None:
    """Resolve the rejects whose ids the valid rows of `table` have. Runs in the transaction that merges them."""
    if session.scalar("SELECT EXISTS (SELECT FROM open_rejects WHERE dataset = :dataset)", dataset=dataset.name):
        session.run(f"WITH {resolving(dataset, table)} SELECT")


def resolving(dataset: Dataset, relation: str) -> str:
    """Return the part of a WITH clause that does what `resolve` does. `relation` is a table, or another part."""
    return (
        f"corrected AS (DELETE FROM open_rejects o USING {relation} s"
        f" WHERE o.dataset = '{dataset.name}' AND o.id = s.id RETURNING o.load_id), {_counting('corrected')}"
    )


def correct(session: Session, load_id: int, table: str, column: str) -> None:
    """Resolve the rejects of a load whose lines stand in this column of valid rows."""
    are_lines = f"{column} ~ '^ *[0-9]{{1,18}} *$'"
    lines = f"SELECT CAST({column} AS bigint) AS line FROM {table} WHERE id IS NOT NULL AND {are_lines}"
    session.run(
        f"WITH corrected AS (DELETE FROM open_rejects o USING ({lines}) s WHERE o.load_id = :load_id"
        f" AND o.place = s.line RETURNING o.load_id), {_counting('corrected')} SELECT",
        load_id=load_id,
    )


def heal(session: Session, dataset: Dataset, table: str) -> None:
    """Resolve the rejects that the healed rows of `table` bring in: those of earlier loads, and the waiting ones of
    their own load. A healed row that is not tracked is counted as well."""
    session.run(
        f"WITH healed AS (DELETE FROM open_rejects o USING {table} h WHERE o.dataset = '{dataset.name}' AND o.id = h.id"
        " AND (o.load_id < h.load_id OR (o.load_id = h.load_id AND o.waits)) RETURNING o.load_id, o.id),"
        f" resolved AS (SELECT load_id FROM healed UNION ALL SELECT h.load_id FROM {table} h"
        " WHERE NOT EXISTS (SELECT FROM healed d WHERE d.load_id = h.load_id AND d.id = h.id)),"
        f" {_counting('resolved')} SELECT"
    )


def of_load(session: Session, load_id: int, grace: str) -> dict[int, bool]:
    """Return the places of the tracked rejects of a load that are open, and whether each still waits for a parent.

    `grace` is how long rows wait, as an interval of Postgres.
    """
    rows = session.run(
        "SELECT o.place, o.waits AND EXISTS (SELECT FROM orphans w WHERE w.dataset = o.dataset AND w.id = o.id"
        f" AND w.load_id = o.load_id AND w.rejected_at > now() - {grace})"
        " FROM open_rejects o WHERE o.load_id = :load_id",
        load_id=load_id,
    )
    return dict(rows)


def require_load(session: Session, dataset: Dataset, load_id: int) -> None:
    """Raise LoadError unless this is a load of the dataset, whose rejects a file can correct."""
    datasets = session.run("SELECT dataset FROM loads WHERE id = :load_id", load_id=load_id)
    if datasets != [[dataset.name]]:
        raise LoadError(f"the file is declared to correct load {load_id}, but that is no load of {dataset.name}")


def _counting(part: str) -> str:
    """Return the part of a WITH clause that counts the rows of another part as resolved in their loads."""
    return (
        f"counted AS (UPDATE loads l SET resolved = l.resolved + g.rejects FROM (SELECT load_id, count(*) AS rejects"
        f" FROM {part} GROUP BY load_id) g WHERE l.id = g.load_id)"
    )
