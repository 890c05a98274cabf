"""Whether the parents of rows exist.

`existing` asks for a few ids, `absent` for all rows of a table at once. Both can lock the parents that exist with FOR
KEY SHARE, the lock that foreign keys take themselves: until the transaction ends, nobody deletes these parents or gives
them other ids, while other changes of them pass. Only rows whose parents were *returned* by a locking statement may be
written; a parent that a later join merely sees could be deleted by then.
"""

from collections.abc import Iterable

from chalicelib.cloud.database import Session
from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import Value

_LOCK = "FOR KEY SHARE"


def existing(session: Session, parent: str, ids: Iterable[Value | None], *, lock: bool = False) -> set[Value]:
    """Those of `ids` that the table `parent` has."""
    wanted = sorted({i for i in ids if isinstance(i, int)})
    if not wanted:
        return set()
    rows = session.run(f"SELECT id FROM {parent} WHERE id = ANY(:ids) ORDER BY id {_LOCK if lock else ''}", ids=wanted)
    return {row[0] for row in rows}


def absent(session: Session, dataset: Dataset, table: str, *, lock: bool) -> dict[str, str]:
    """For each column of `dataset` that refers to a parent, by name: an SQL condition about a row `s` of `table`,
    that its parent does not exist."""
    return {
        column.name: f"s.{column.name} <> ALL ('{_referenced(session, parent, column.name, table, lock)}'::integer[])"
        for column, parent in dataset.references
    }


def _referenced(session: Session, parent: str, column: str, table: str, lock: bool) -> str:
    """The ids of `parent` that `column` of `table` refers to, as an array literal.

    An array of constants is searched by hash, which takes half the time of a join.
    """
    return str(
        session.scalar(
            f"SELECT CAST(coalesce(array_agg(id), '{{}}') AS text) FROM (SELECT id FROM {parent}"
            f" WHERE id IN (SELECT {column} FROM {table} WHERE id IS NOT NULL) {_LOCK if lock else ''}) referenced"
        )
    )
