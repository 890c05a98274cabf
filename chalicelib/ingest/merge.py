"""Set-based SQL between staged rows and a dataset's table, made from the declaration.

Who calls these holds the table's lock (`lock_table`), so that what one statement sees is still true
in the next: one writer per dataset, readers pass. Rows come from a *relation*: anything that can stand
in FROM and has `seq` and the dataset's columns.

Foreign keys are checked set-wise (`parents`): row triggers take most of the time of a bulk load. Every
row that is merged has parents that this transaction has locked. If the role may not skip the
triggers, they run as well.
"""

from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.cloud.database import Session, lock_timeout
from chalicelib.core.datasets import MAX_ID, Dataset
from chalicelib.loads.outcomes import Counts


@dataclass(frozen=True)
class Merged:
    """What an upsert did, or would do; `distinct` counts ids, the last row of each."""

    distinct: int
    inserted: int
    updated: int

    @property
    def unchanged(self) -> int:
        return self.distinct - self.inserted - self.updated

    def counts(self, received: int, rejected: int) -> Counts:
        """Of a load that received so many rows; all but the rejected ones were merged."""
        return Counts(
            received=received,
            inserted=self.inserted,
            updated=self.updated,
            unchanged=self.unchanged,
            superseded=received - rejected - self.distinct,
            rejected=rejected,
        )


def lock_table(session: Session, dataset: Dataset, *, timeout: float) -> None:
    """Wait up to `timeout` seconds to be the one writer, without row triggers where the role may switch
    them off. Raises LockTimeout."""
    session.run(locking(dataset, timeout))


def locking(dataset: Dataset, timeout: float) -> str:
    """The statements of `lock_table`, to be sent together with others."""
    # The change-tracking and summary triggers are ENABLE ALWAYS and fire all the same.
    return (
        f"{lock_timeout(timeout)}; LOCK TABLE {dataset.name} IN SHARE ROW EXCLUSIVE MODE;"
        "SELECT set_config('session_replication_role', 'replica', true)"
        " WHERE has_parameter_privilege('session_replication_role', 'SET')"
    )


def wait_at_most(session: Session, timeout: float) -> None:
    """Bound the wait for every further lock of the transaction, in seconds."""
    session.run(lock_timeout(timeout))


def upsert(session: Session, dataset: Dataset, relation: str, **params: object) -> Merged:
    """Insert unknown ids, update rows that differ, leave identical ones alone; the last of an id wins.

    One statement, for a request's few rows; it also drops the orphans that they outdate. Every row's
    parents must be locked.
    """
    names, columns = ", ".join(dataset.column_names), _Columns.of(dataset)
    forgotten = (
        f", forgotten AS (DELETE FROM orphans o USING w WHERE o.dataset = '{dataset.name}' AND o.id = w.id)"
        if dataset.references
        else ""
    )
    [[distinct, updated, inserted]] = session.run(
        f"""
        WITH w AS MATERIALIZED ({_last_rows(dataset, relation)}), changed AS (
            UPDATE {dataset.name} t SET {columns.assignments} FROM w WHERE t.id = w.id AND {columns.differ} RETURNING 1
        ), added AS (
            INSERT INTO {dataset.name} ({names}) SELECT {names} FROM w
            WHERE NOT EXISTS (SELECT FROM {dataset.name} t WHERE t.id = w.id) RETURNING 1
        ){forgotten}
        SELECT (SELECT count(*) FROM w), (SELECT count(*) FROM changed), (SELECT count(*) FROM added)
        """,
        **params,
    )
    return Merged(distinct, inserted, updated)


def load(session: Session, dataset: Dataset, relation: str) -> Merged:
    """`upsert` for the many rows of a temporary table, which looks first and then does only what is needed.

    Where every id is larger than all in use, as in a first load and in most later ones, there is
    nothing to join. Otherwise one join counts; a file that brings nothing new costs no more than that.
    """
    _plan_for_many(session)
    names, columns = ", ".join(dataset.column_names), _Columns.of(dataset)
    rows = _last_rows(dataset, relation)
    insert = f"INSERT INTO {dataset.name} ({names}) SELECT {names} FROM ({rows}) w"
    if _all_new(session, dataset, relation):
        inserted = session.affected(insert)  # which need not be counted before
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
    """What `load` would do; nothing is written, and no lock is needed within a snapshot."""
    _plan_for_many(session)
    if _all_new(session, dataset, relation):
        distinct = session.scalar(f"SELECT count(*) FROM (SELECT DISTINCT id FROM {relation} WHERE id IS NOT NULL) w")
        return Merged(distinct, distinct, 0)
    return _compared(session, dataset, relation)


def _plan_for_many(session: Session) -> None:
    # Compiling costs more than these few plans do. What a page costs on a disk with arms would have a whole table read
    # for a few thousand of its rows, which are looked up in the order of their ids.
    session.run("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL random_page_cost = 1.1")


def _all_new(session: Session, dataset: Dataset, relation: str) -> bool:
    """Whether every id is larger than all in use."""
    largest = session.scalar(f"SELECT max(id) FROM {dataset.name}")
    return largest is None or (session.scalar(f"SELECT min(id) FROM {relation}") or 0) > largest


def _compared(session: Session, dataset: Dataset, relation: str) -> Merged:
    """The ids of `relation` counted by what the table has under them."""
    differ = _Columns.of(dataset).differ
    [[distinct, new, different]] = session.run(
        "SELECT count(*), count(*) FILTER (WHERE t.id IS NULL),"
        f" count(*) FILTER (WHERE t.id = w.id AND {differ})"
        f" FROM ({_last_rows(dataset, relation)}) w LEFT JOIN {dataset.name} t ON t.id = w.id"
    )
    return Merged(distinct, new, different)


@dataclass(frozen=True)
class _Columns:
    """Fragments about the columns besides the key, with `t` for the table and `w` for the new rows."""

    assignments: str
    differ: str

    @classmethod
    def of(cls, dataset: Dataset) -> "_Columns":
        values = [column.name for column in dataset.values]
        old, new = (", ".join(f"{alias}.{name}" for name in values) for alias in "tw")
        return cls(", ".join(f"{name} = w.{name}" for name in values), f"({old}) IS DISTINCT FROM ({new})")


def _last_rows(dataset: Dataset, relation: str) -> str:
    """A query for the last row of every id."""
    names = ", ".join(dataset.column_names)
    return f"SELECT DISTINCT ON (id) {names} FROM {relation} WHERE id IS NOT NULL ORDER BY id, seq DESC"


def next_ids(session: Session, dataset: Dataset, count: int, taken: Collection[int]) -> list[int]:
    """`count` new ids, none of them in `taken` (explicit ids of the same request).

    They are larger than any in use or ever given out, while such ids exist; then larger than any in
    use; then the lowest free ones. Fewer are returned only when no id is free at all.
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
