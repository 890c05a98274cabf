"""Merges staged rows into the table of a dataset with set-based SQL. The SQL is made from the dataset's declaration.

The caller holds the lock of the table (`lock_table`). So a dataset has one writer at a time, and the result of one
statement is still true for the next statement. The lock does not block queries. The rows come from a *relation*, which
also says which columns each row leaves out (see `relation`). `merge_sql` makes the parts of the statements.

Foreign keys are checked for all rows at once (`parents`), because row triggers would take most of the time of a bulk
load. This transaction has locked the parents of every row that it merges. If the database role may not skip the
triggers, the triggers run in addition.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.cloud.database import Session, lock_timeout, skipping_row_triggers
from chalicelib.cloud.statements import Result, Statement
from chalicelib.core.dataset import Dataset
from chalicelib.core.value_limits import MAX_ID
from chalicelib.ingest import open_rejects
from chalicelib.ingest.merge_sql import IS_DIFFERENT, IS_NEW, MergeSql
from chalicelib.ingest.relation import Relation
from chalicelib.loads import outcomes
from chalicelib.loads.outcomes import Counts, RequestLoad

# So few rows are merged with a single statement. For them, the planner needs no statistics: to find a row by its id is
# always right. Each further statement would cost a small file more than it saves.
FEW = 5_000
# The settings for a transaction that merges a few rows. A connection keeps its statements, but by itself Postgres would
# plan the merge again each time: with the rows that it merges, it expects a lower cost than for any rows. To plan takes
# longer than to merge a row. A kept plan must also be right after the tables have grown. So it looks up each row in an
# index, and does not read a whole table or index only because it is small, or because it has no statistics. A staging
# table can only be read as a whole. Before Postgres 18, a way that is off has enormous costs, so Postgres would compile
# the statement (JIT), which takes longer than to run it.
_WAYS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material")
FOR_A_FEW = "; ".join(
    ("SET LOCAL plan_cache_mode = force_generic_plan", *(f"SET LOCAL {name} = off" for name in ("jit", *_WAYS)))
)
# They undo the settings FOR_A_FEW for the rest of the transaction.
AS_USUAL = [Statement(f"SET LOCAL {name} = DEFAULT") for name in ("plan_cache_mode", *_WAYS)]
_COUNTS = "SELECT distinct_ids, updated, inserted FROM _merged"  # of a statement that begins with `_upserting`
# When the row triggers are switched off, and again when they are back on, Postgres discards the plans of all statements
# of the connection, also those of the other triggers. For a few rows, to make these plans again takes longer than the
# row triggers.
_TRIGGERED = 100
# The triggers for change tracking and for the summary are ENABLE ALWAYS, so they still fire.
_SKIP_ROW_TRIGGERS = skipping_row_triggers(for_transaction=True)


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


def lock_table(
    session: Session, dataset: Dataset, *, timeout: float, few: bool = False, then: Sequence[Statement] = ()
) -> list[Result]:
    """Wait up to `timeout` seconds for the table's lock. Switch row triggers off if the database role may do that. With
    `few`, the transaction also gets the settings FOR_A_FEW. The statements `then` run in the round trip of the lock:
    return their results. Raises LockTimeout."""
    settings = f"{lock_timeout(timeout)}; {_SKIP_ROW_TRIGGERS}"
    session.run(f"{FOR_A_FEW}; {settings}" if few else settings)
    return session.run_together(locking(dataset), *then)[1:]


def locking(dataset: Dataset) -> Statement:
    """Return the statement that locks the table, so that a caller can send it together with other statements."""
    return Statement(f"LOCK TABLE {dataset.table} IN SHARE ROW EXCLUSIVE MODE")


def beginning(timeout: float, rows: int) -> str:
    """Return the statements at the beginning of a transaction that merges `rows` rows of a request. It waits up to
    `timeout` seconds for each lock. For at most _TRIGGERED rows, the row triggers stay on."""
    statements = f"BEGIN; {FOR_A_FEW}; {lock_timeout(timeout)}"
    return statements if rows <= _TRIGGERED else f"{statements}; {_SKIP_ROW_TRIGGERS}"


def skip_row_triggers(session: Session) -> None:
    """Switch row triggers off for the rest of the transaction, if the database role may do that. The caller must know
    that all references of the rows that it writes are right."""
    session.run(_SKIP_ROW_TRIGGERS)


def limiting_waits(timeout: float) -> Statement:
    """Return the statement that limits the wait for every further lock of the transaction to what is left of `timeout`
    seconds since its beginning."""
    passed = "CAST(1000 * extract(epoch FROM clock_timestamp() - now()) AS integer)"
    left = f"CAST(greatest(1, CAST(:timeout AS integer) - {passed}) AS text)"
    return Statement(f"SELECT set_config('lock_timeout', {left}, true)", {"timeout": round(timeout * 1000)})


def upsert(session: Session, dataset: Dataset, relation: Relation) -> Merged:
    """Insert rows with new ids, update rows that differ, and leave identical rows unchanged. If several rows have the
    same id, only the last of them is merged.

    This is one statement. It also deletes the orphans that have the same ids as the merged rows, because the merged
    rows are newer. The open rejects with these ids stay open. The caller must have locked the parents of all rows.
    """
    return _counted(session.run(f"{_upserting(dataset, relation)} {_COUNTS}", dataset=dataset.name))


def upsert_few(
    session: Session, dataset: Dataset, relation: Relation, *, then: Sequence[Statement] = ()
) -> tuple[Merged, list[Result]]:
    """Do the same as `upsert` for at most FEW rows of a staging table, and resolve the open rejects with their ids. The
    transaction has the settings FOR_A_FEW. The statements `then` run in the same round trip: return their results."""
    upserting = _upserting(dataset, relation, few=True, resolves=True)
    merge = Statement(f"{upserting} {_COUNTS}", {"dataset": dataset.name})
    merged, *results = session.run_together(merge, *then)
    return _counted(merged.rows), results


def upserting_request(load: RequestLoad, relation: Relation, params: Mapping[str, str]) -> Statement:
    """Return the statement that does the same as `upsert` for the rows of a request, resolves the open rejects with
    their ids, and records the load. `load.recorded` reads its result. `params` are the parameters of the relation."""
    upserting = _upserting(load.dataset, relation, few=True, resolves=True)
    sql = f"{upserting}, _recorded AS ({outcomes.recording('_merged')}) SELECT * FROM _recorded"
    return Statement(sql, {**params, **load.params})


def _counted(rows: list[list[Any]]) -> Merged:
    [[distinct, updated, inserted]] = rows
    return Merged(distinct, inserted, updated)


def _upserting(dataset: Dataset, relation: Relation, *, few: bool = False, resolves: bool = False) -> str:
    """Return the WITH clause that does the work of `upsert`. Its part `_merged` has the counts. `few` says that there
    are at most FEW rows, and that the plan looks up each row in an index. With `resolves`, the open rejects with the
    ids of the rows are resolved. The statement has the parameter `dataset`."""
    sql = MergeSql(dataset, relation)
    # The array makes Postgres look up each id in the index, also if it planned this when there were few orphans.
    using, is_same = ("", "o.id = ANY (ARRAY(SELECT id FROM _new))") if few else ("USING _new w ", "o.id = w.id")
    forgetting = f"DELETE FROM orphans o {using}WHERE o.dataset = :dataset AND {is_same}"
    forgotten = f", _forgotten AS ({forgetting})" if dataset.references else ""
    resolving = f", {open_rejects.resolving('_new')}" if resolves else ""
    return (
        f"WITH _new AS MATERIALIZED ({sql.compared_rows}),"
        f" _changed AS ({sql.update('_new', IS_DIFFERENT)} RETURNING 1),"
        f" _added AS ({sql.insert('_new')} WHERE {IS_NEW} RETURNING 1){forgotten}{resolving},"
        " _merged AS MATERIALIZED (SELECT (SELECT count(*) FROM _new) AS distinct_ids,"
        " (SELECT count(*) FROM _changed) AS updated,"
        " (SELECT count(*) FROM _added) AS inserted)"
    )


def load(session: Session, dataset: Dataset, relation: Relation) -> Merged:
    """Do the same as `upsert` for the many rows of a staging table. This function compares the rows with the table
    first, then runs only the statements that are needed. Unlike `upsert`, it does not delete orphans.

    If every id is larger than all ids in the table, no join is needed. This is the case in a first load and in most
    later loads. Otherwise a join counts the rows to insert and to update. If the file changes nothing, no other
    statement than this join runs.
    """
    _plan_for_many(session)
    sql = MergeSql(dataset, relation)
    rows = f"({sql.last_rows})"
    if _all_new(session, dataset, relation):
        inserted = session.affected(sql.insert(rows))
        return Merged(inserted, inserted, 0)
    differences = _compared(session, dataset, relation)
    if differences.updated:
        session.run(sql.update(rows))
    if differences.inserted:
        session.run(f"{sql.insert(rows)} WHERE {sql.is_new}")
    return differences


def preview(session: Session, dataset: Dataset, relation: Relation) -> Merged:
    """Return the result that `load` would have, and write nothing. The caller needs a snapshot instead of the lock."""
    _plan_for_many(session)
    if _all_new(session, dataset, relation):
        ids = f"SELECT DISTINCT id FROM {relation.source} WHERE id IS NOT NULL"
        distinct = session.scalar(f"SELECT count(*) FROM ({ids}) w")
        return Merged(distinct, distinct, 0)
    return _compared(session, dataset, relation)


def _plan_for_many(session: Session) -> None:
    """Configure the planner for statements with many rows."""
    # JIT compilation would take longer than these few statements. The default random_page_cost is meant for hard disks:
    # with the default, the planner would scan a whole table to find a few thousand rows. To look up these rows by their
    # ids is faster, because the ids are sorted.
    session.run("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL random_page_cost = 1.1")


def _all_new(session: Session, dataset: Dataset, relation: Relation) -> bool:
    """Return whether every id in `relation` is larger than all ids in the table."""
    largest = session.scalar(f"SELECT max(id) FROM {dataset.table}")
    return largest is None or (session.scalar(f"SELECT min(id) FROM {relation.source}") or 0) > largest


def _compared(session: Session, dataset: Dataset, relation: Relation) -> Merged:
    """Compare the last rows of all ids with the table: count the new ids and the rows that differ."""
    sql = MergeSql(dataset, relation)
    [[distinct, new, different]] = session.run(
        "SELECT count(*), count(*) FILTER (WHERE t.id IS NULL),"
        f" count(*) FILTER (WHERE t.id = w.id AND {sql.differ})"
        f" FROM ({sql.last_rows}) w LEFT JOIN {dataset.table} t ON t.id = w.id"
    )
    return Merged(distinct, new, different)


def next_ids(session: Session, dataset: Dataset, count: int, taken: Collection[int]) -> list[int]:
    """Return `count` new ids that are not in `taken`. `taken` has the ids that other rows of the same request have.

    Normally, the new ids are larger than all ids that are in use or were ever assigned. Ids end at MAX_ID. If fewer
    than `count` such ids are left, ids that were assigned earlier may be used again: the new ids are then only larger
    than all ids in use. If there are still too few, the lowest free ids are added.
    Returns fewer than `count` ids only if no other id is free.
    """
    [[last, top]] = session.run(
        f"SELECT last_id, coalesce((SELECT max(id) FROM {dataset.table}), 0) FROM dataset_state"
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
        f" WHERE NOT EXISTS (SELECT FROM {dataset.table} t WHERE t.id = g.id) LIMIT :enough",
        top=top,
        enough=count + len(taken),
    )
    return [free for [free] in rows if free not in taken][:count]
