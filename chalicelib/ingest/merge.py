"""Merges staged rows into the table of a dataset with set-based SQL. The SQL is made from the dataset's declaration.

The caller holds the lock of the table (`lock_table`). So a dataset has one writer at a time, and the result of one
statement is still true for the next statement. The lock does not block queries. The rows come from a *relation*: any
expression that can stand in FROM, and has the columns of the dataset and `seq`, the order of the rows.

Foreign keys are checked for all rows at once (`parents`), because row triggers would take most of the time of a bulk
load. This transaction has locked the parents of every row that it merges. If the database role may not skip the
triggers, the triggers run in addition.
"""

from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.cloud.database import Session, lock_timeout
from chalicelib.core.dataset import Dataset
from chalicelib.core.value_limits import MAX_ID
from chalicelib.ingest import open_rejects
from chalicelib.loads.outcomes import Counts


@dataclass(frozen=True)
class Merged:
    """The result of a merge, or of its preview. `distinct` is the number of different ids. Only the last row of each id
    is merged."""

    distinct: int
    inserted: int
    updated: int

    @property
    def unchanged(self) -> int:
        return self.distinct - self.inserted - self.updated

    def counts(self, received: int, rejected: int) -> Counts:
        """Return the counts of a load that received this number of rows, and merged all but the rejected ones."""
        return Counts(
            received=received,
            inserted=self.inserted,
            updated=self.updated,
            unchanged=self.unchanged,
            superseded=received - rejected - self.distinct,
            rejected=rejected,
        )


def lock_table(session: Session, dataset: Dataset, *, timeout: float) -> None:
    """Wait up to `timeout` seconds for the table's lock. Switch row triggers off if the database role may do that.
    Raises LockTimeout."""
    session.run(locking(dataset, timeout))


def locking(dataset: Dataset, timeout: float) -> str:
    """Return the statements of `lock_table`, so that a caller can send them together with other statements."""
    # The triggers for change tracking and for the summary are ENABLE ALWAYS, so they still fire.
    return (
        f"{lock_timeout(timeout)}; LOCK TABLE {dataset.name} IN SHARE ROW EXCLUSIVE MODE;"
        "SELECT set_config('session_replication_role', 'replica', true)"
        " WHERE has_parameter_privilege('session_replication_role', 'SET')"
    )


def wait_at_most(session: Session, timeout: float) -> None:
    """Limit the wait for every further lock of the transaction to `timeout` seconds."""
    session.run(lock_timeout(timeout))


def upsert(session: Session, dataset: Dataset, relation: str, *, resolves: bool = True, **params: object) -> Merged:
    """Insert rows with new ids, update rows that differ, and leave identical rows unchanged. If several rows have the
    same id, only the last of them is merged.

    This is one statement, for the few rows of a request. The statement also deletes the orphans that have the same ids
    as the merged rows, because the merged rows are newer. The statement also resolves the open rejects with these ids,
    unless `resolves` is false. The caller must have locked the parents of all rows.
    """
    names, columns = ", ".join(dataset.column_names), _Columns.of(dataset)
    forgotten = (
        f", forgotten AS (DELETE FROM orphans o USING w WHERE o.dataset = '{dataset.name}' AND o.id = w.id)"
        if dataset.references
        else ""
    )
    resolving = f", {open_rejects.resolving(dataset, 'w')}" if resolves else ""
    [[distinct, updated, inserted]] = session.run(
        f"""
        WITH w AS MATERIALIZED ({_last_rows(dataset, relation)}), changed AS (
            UPDATE {dataset.name} t SET {columns.assignments} FROM w WHERE t.id = w.id AND {columns.differ} RETURNING 1
        ), added AS (
            INSERT INTO {dataset.name} ({names}) SELECT {names} FROM w
            WHERE NOT EXISTS (SELECT FROM {dataset.name} t WHERE t.id = w.id) RETURNING 1
        ){forgotten}{resolving}
        SELECT (SELECT count(*) FROM w), (SELECT count(*) FROM changed), (SELECT count(*) FROM added)
        """,
        **params,
    )
    return Merged(distinct, inserted, updated)


def load(session: Session, dataset: Dataset, relation: str) -> Merged:
    """Do the same as `upsert` for the many rows of a staging table. This function compares the rows with the table
    first, then runs only the statements that are needed. Unlike `upsert`, it does not delete orphans.

    If every id is larger than all ids in the table, no join is needed. This is the case in a first load and in most
    later loads. Otherwise a join counts the rows to insert and to update. If the file changes nothing, no other
    statement than this join runs.
    """
    _plan_for_many(session)
    names, columns = ", ".join(dataset.column_names), _Columns.of(dataset)
    rows = _last_rows(dataset, relation)
    insert = f"INSERT INTO {dataset.name} ({names}) SELECT {names} FROM ({rows}) w"
    if _all_new(session, dataset, relation):
        inserted = session.affected(insert)
        return Merged(inserted, inserted, 0)
    differences = _compared(session, dataset, relation)
    if differences.updated:
        session.run(
            f"UPDATE {dataset.name} t SET {columns.assignments} FROM ({rows}) w WHERE t.id = w.id AND {columns.differ}"
        )
    if differences.inserted:
        session.run(f"{insert} WHERE NOT EXISTS (SELECT FROM {dataset.name} t WHERE t.id = w.id)")
    return differences


def preview(session: Session, dataset: Dataset, relation: str) -> Merged:
    """Return the result that `load` would have, and write nothing. The caller needs a snapshot instead of the lock."""
    _plan_for_many(session)
    if _all_new(session, dataset, relation):
        distinct = session.scalar(f"SELECT count(*) FROM (SELECT DISTINCT id FROM {relation} WHERE id IS NOT NULL) w")
        return Merged(distinct, distinct, 0)
    return _compared(session, dataset, relation)


def _plan_for_many(session: Session) -> None:
    """Configure the planner for statements with many rows."""
    # JIT compilation would take longer than these few statements. The default random_page_cost is meant for hard disks:
    # with the default, the planner would scan a whole table to find a few thousand rows. To look up these rows by their
    # ids is faster, because the ids are sorted.
    session.run("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL random_page_cost = 1.1")


def _all_new(session: Session, dataset: Dataset, relation: str) -> bool:
    """Return whether every id in `relation` is larger than all ids in the table."""
    largest = session.scalar(f"SELECT max(id) FROM {dataset.name}")
    return largest is None or (session.scalar(f"SELECT min(id) FROM {relation}") or 0) > largest


def _compared(session: Session, dataset: Dataset, relation: str) -> Merged:
    """Compare the last rows of all ids with the table: count the new ids and the rows that differ."""
    differ = _Columns.of(dataset).differ
    [[distinct, new, different]] = session.run(
        "SELECT count(*), count(*) FILTER (WHERE t.id IS NULL),"
        f" count(*) FILTER (WHERE t.id = w.id AND {differ})"
        f" FROM ({_last_rows(dataset, relation)}) w LEFT JOIN {dataset.name} t ON t.id = w.id"
    )
    return Merged(distinct, new, different)


@dataclass(frozen=True)
class _Columns:
    """SQL fragments about all columns except the primary key. `t` is the table, `w` are the new rows."""

    assignments: str
    differ: str

    @classmethod
    def of(cls, dataset: Dataset) -> "_Columns":
        values = [column.name for column in dataset.values]
        old, new = (", ".join(f"{alias}.{name}" for name in values) for alias in "tw")
        return cls(", ".join(f"{name} = w.{name}" for name in values), f"({old}) IS DISTINCT FROM ({new})")


def _last_rows(dataset: Dataset, relation: str) -> str:
    """Return a query for the last row of every id."""
    names = ", ".join(dataset.column_names)
    return f"SELECT DISTINCT ON (id) {names} FROM {relation} WHERE id IS NOT NULL ORDER BY id, seq DESC"


def next_ids(session: Session, dataset: Dataset, count: int, taken: Collection[int]) -> list[int]:
    """Return `count` new ids that are not in `taken`. `taken` has the ids that other rows of the same request have.

    Normally, the new ids are larger than all ids that are in use or were ever assigned. Ids end at MAX_ID. If fewer
    than `count` such ids are left, ids that were assigned earlier may be used again: the new ids are then only larger
    than all ids in use. If there are still too few, the lowest free ids are added.
    Returns fewer than `count` ids only if no other id is free.
    """
    [[last, top]] = session.run(
        f"SELECT last_id, coalesce((SELECT max(id) FROM {dataset.name}), 0) FROM dataset_state"
        " WHERE dataset = :dataset FOR UPDATE",
        dataset=dataset.name,
    )
    top = max(top, *taken, 0)
    start = max(last, top) if max(last, top) + count <= MAX_ID else top
    ids = list(range(start + 1, min(start + count, MAX_ID) + 1))
    if len(ids) < count:
        ids += _lowest_free(session, dataset, count - len(ids), top, taken)
    session.run(
        "UPDATE dataset_state SET last_id = greatest(last_id, :last) WHERE dataset = :dataset",
        last=max(ids, default=0),
        dataset=dataset.name,
    )
    return ids


def _lowest_free(session: Session, dataset: Dataset, count: int, top: int, taken: Collection[int]) -> list[int]:
    rows = session.run(
        "SELECT g.id FROM (SELECT generate_series(1, CAST(:top AS integer)) AS id) g"
        f" WHERE NOT EXISTS (SELECT FROM {dataset.name} t WHERE t.id = g.id) LIMIT :enough",
        top=top,
        enough=count + len(taken),
    )
    return [free for [free] in rows if free not in taken][:count]
