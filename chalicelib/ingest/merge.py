"""Set-based SQL between staged rows and a dataset's table, made from the declaration.

Who calls these holds the table's lock (`lock_table`), so that what one statement finds is still true
in the next: one writer per dataset, readers pass. Rows come from a *source*: anything that can stand
in FROM and has `seq` and the dataset's columns.

Foreign keys are checked set-wise: row triggers take most of the time of a bulk load. `lock_parents`
locks the referenced parents with FOR KEY SHARE, the lock the triggers themselves take, and only rows
whose parents that statement *returned* may be written; a parent merely seen by a later join could be
deleted by then. Where the role may not skip the triggers they run as well.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chalicelib.database import Session
from chalicelib.datasets import MAX_ID, Dataset
from chalicelib.ingest.rules import Value


@dataclass(frozen=True)
class Merged:
    """What an upsert did; `distinct` counts ids, the last row of each."""

    distinct: int
    inserted: int
    updated: int

    @property
    def unchanged(self) -> int:
        return self.distinct - self.inserted - self.updated


def lock_table(session: Session, dataset: Dataset, *, timeout: float) -> None:
    """Wait up to `timeout` seconds to be the one writer. Raises LockTimeout."""
    session.run(f"{_lock_timeout(timeout)}; LOCK TABLE {dataset.name} IN SHARE ROW EXCLUSIVE MODE")


def wait_at_most(session: Session, timeout: float) -> None:
    """Bound the wait for every further lock of the transaction, in seconds."""
    session.run(_lock_timeout(timeout))


def _lock_timeout(seconds: float) -> str:
    return f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}"


def upsert(session: Session, dataset: Dataset, source: str, **params: object) -> Merged:
    """Insert unknown ids, update rows that differ, leave identical ones alone; the last of an id wins.

    Every row's parents must be locked (`lock_parents`).
    """
    _skip_foreign_key_triggers(session)
    names = ", ".join(dataset.column_names)
    values = [column.name for column in dataset.values]
    assignments = ", ".join(f"{name} = w.{name}" for name in values)
    old, new = (", ".join(f"{alias}.{name}" for name in values) for alias in "tw")
    [[distinct, updated, inserted]] = session.run(
        f"""
        WITH winner AS MATERIALIZED (
            SELECT DISTINCT ON (id) {names} FROM {source} WHERE id IS NOT NULL ORDER BY id, seq DESC
        ), changed AS (
            UPDATE {dataset.name} t SET {assignments} FROM winner w
            WHERE t.id = w.id AND ({old}) IS DISTINCT FROM ({new}) RETURNING 1
        ), added AS (
            INSERT INTO {dataset.name} ({names}) SELECT {names} FROM winner w
            WHERE NOT EXISTS (SELECT FROM {dataset.name} t WHERE t.id = w.id) RETURNING 1
        )
        SELECT (SELECT count(*) FROM winner), (SELECT count(*) FROM changed), (SELECT count(*) FROM added)
        """,
        **params,
    )
    return Merged(distinct, inserted, updated)


def _skip_foreign_key_triggers(session: Session) -> None:
    # The change-tracking and summary triggers are ENABLE ALWAYS and fire all the same.
    session.run(
        "SELECT set_config('session_replication_role', 'replica', true)"
        " WHERE has_parameter_privilege('session_replication_role', 'SET')"
    )


def lock_parents(session: Session, dataset: Dataset, source: str) -> None:
    """Make a temporary table `known_<column>` of the parents that `source` refers to, and lock them."""
    for column, parent in dataset.references:
        session.run(
            f"CREATE TEMP TABLE known_{column.name} ON COMMIT DROP AS"
            f" SELECT id FROM {parent} WHERE id IN (SELECT {column.name} FROM {source} WHERE id IS NOT NULL)"
            f" FOR KEY SHARE; ANALYZE known_{column.name}"
        )


def set_orphans_apart(session: Session, dataset: Dataset, source: str) -> int:
    """Move rows of the temporary table `source` without all their parents to the temporary table
    `missing`, which also has `no_<column>`; returns how many there are."""
    if not dataset.references:
        return 0
    lock_parents(session, dataset, source)
    columns = [column.name for column, _ in dataset.references]
    joins = " ".join(f"LEFT JOIN known_{c} ON known_{c}.id = s.{c}" for c in columns)
    flags = ", ".join(f"known_{c}.id IS NULL AS no_{c}" for c in columns)
    absent = " OR ".join(f"known_{c}.id IS NULL" for c in columns)
    count = session.affected(
        f"CREATE TEMP TABLE missing ON COMMIT DROP AS"
        f" SELECT s.*, {flags} FROM {source} s {joins} WHERE s.id IS NOT NULL AND ({absent})"
    )
    if count:
        session.run(f"ANALYZE missing; DELETE FROM {source} s USING missing m WHERE s.seq = m.seq")
    return count


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


def lock_ids(session: Session, parent: str, ids: Iterable[Value | None]) -> set[Value]:
    """Those of `ids` that exist in `parent`, locked against deletion until the transaction ends."""
    wanted = sorted({i for i in ids if isinstance(i, int)})
    if not wanted:
        return set()
    found = session.run(f"SELECT id FROM {parent} WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE", ids=wanted)
    return {row[0] for row in found}
