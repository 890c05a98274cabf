"""Stores orphans, and heals them. Orphans, or waiting rows, are rows of files and restores that were rejected only
because a parent did not exist.

Orphans wait for their parents, at most for the grace period. When their parents arrive, the orphans are loaded: this is
called healing. If a later load brings a row with the same id, the orphan is deleted.

No orphan is overlooked, whichever load commits first: a load of parents looks for orphans after its commit, and a load
that leaves orphans looks for their parents after its commit. The sweep does both, because a worker may crash between
the commit and the search.

Healing first locks the dataset's table and then the parents. A load locks them in the opposite order. `completion`
explains why this does not cause deadlocks.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from chalicelib.cloud.database import Session
from chalicelib.cloud.statements import Statement
from chalicelib.core.dataset import Dataset
from chalicelib.core.datasets import DATASETS, children
from chalicelib.core.errors import HireflowError
from chalicelib.ingest import open_rejects, parents, staging_table
from chalicelib.ingest.merge import FEW, lock_table, upsert
from chalicelib.ingest.relation import Relation, flag
from chalicelib.ingest.staging_table import StagingTable

LOCK_TIMEOUT = 60.0  # seconds that a load or the sweep waits for the lock of a table
REQUEST_LIMIT = 20_000  # if more orphans wait, an API request leaves the healing to the sweep
REQUEST_LOCK_TIMEOUT = 0.5  # seconds that an API request waits for the lock of a table
_KEPT = "_kept_missing"  # the view of the rows that lack a parent in the staging table that a connection keeps
_ID = "_orphan_id"  # a column of this staging table
_HEALING = "_healing"  # the temporary table with the orphans that are to be loaded


def set_apart(session: Session, dataset: Dataset, relation: Relation) -> int:
    """Take the rows of a relation that lack a parent out of it, and lock the parents of all other rows. The rows are
    then in `missing(relation)`. The source of the relation is a table. Returns the number of these rows. Must be called
    in the load's transaction.

    If the connection does not keep the table, this function creates it, unless no row lacks a parent."""
    conditions = parents.absent(session, dataset, relation, lock=True)
    if not conditions:  # all rows leave out all references
        return 0
    lacking = f"s.id IS NOT NULL AND ({' OR '.join(conditions.values())})"
    flags = {_absence(c.name): conditions.get(c.name, "false") for c, _ in dataset.references}
    table = missing(relation)
    if table == _KEPT:
        marks = ", ".join(f"{flag_name} = {condition}" for flag_name, condition in flags.items())
        return session.affected(f"UPDATE {relation.source} s SET {_ID} = id, id = NULL, {marks} WHERE {lacking}")
    # Most files have no orphans. A table would cost a file more than this look, and grow the catalogs.
    orphans = f"FROM {relation.source} s WHERE {lacking}"
    if not session.scalar(f"SELECT EXISTS (SELECT {orphans})"):
        return 0
    named = ", ".join(f"{condition} AS {flag_name}" for flag_name, condition in flags.items())
    count = session.affected(
        f"CREATE TEMP TABLE {table} ON COMMIT DROP AS SELECT s.ctid AS _place, s.*, {named} {orphans}"
    )
    statistics = f"ANALYZE {table}; " if count > FEW else ""
    session.run(f"{statistics}DELETE FROM {relation.source} s USING {table} m WHERE s.ctid = m._place")
    return count


def missing(relation: Relation) -> str:
    """Return the name of the rows that lack a parent: a temporary table, which lasts as long as the transaction, or a
    view of the staging table that the connection keeps. For each reference, it has a column `_no_<column>`, which is
    true if this parent does not exist."""
    return _KEPT if relation.source == staging_table.KEPT else "_missing"


def keeping(table: StagingTable) -> str:
    """Return the statements that let the staging table that the connection keeps hold the rows that lack a parent, too.
    Such a row has its id in the column _ID instead of `id`. A second table would take a commit almost as long as the
    staging table: with its texts, it consists of three files, and the commit empties each of them."""
    flags = [_absence(column.name) for column, _ in table.dataset.references]
    added = ", ".join((f"ADD COLUMN {_ID} integer", *(f"ADD COLUMN {name} boolean" for name in flags)))
    columns = ", ".join(("seq", f"{_ID} AS id", *(name for name in table.column_names if name != '"id"'), *flags))
    return (
        f"ALTER TABLE {table.name} {added};"
        f" CREATE TEMP VIEW {_KEPT} AS SELECT {columns} FROM {table.name} WHERE {_ID} IS NOT NULL"
    )


def _absence(reference: str) -> str:
    """Return the name of the flag of a reference. The flag is true for a row whose parent does not exist. It begins
    with `_`, so no column of a dataset has this name."""
    return f"_no_{reference}"


def listing(columns: Iterable[str], relation: Relation) -> str:
    """Return the COPY statement of the table `missing(relation)` for an OrphanReport about these columns."""
    ids = ", ".join(f'CASE WHEN {_absence(name)} THEN "{name}" END' for name in columns)
    return f"COPY (SELECT seq, {ids} FROM {missing(relation)} ORDER BY seq) TO STDOUT"


def remembering(dataset: Dataset, load_id: int, relation: Relation) -> Statement:
    """Return the statement that stores the rows of `missing(relation)` as orphans of a load, in the load's transaction.
    An orphan has the columns of `relation`, except for the columns that it leaves out. Only the last row of each id is
    stored. No row of an id is stored if `relation` has a valid row with this id that comes later in the file."""
    return Statement(
        f"""
        WITH valid AS (
            SELECT id, max(seq) AS seq FROM {relation.source}
            WHERE id IN (SELECT id FROM {missing(relation)}) GROUP BY id
        )
        INSERT INTO orphans (dataset, id, load_id, "row", rejected_at)
        SELECT DISTINCT ON (m.id) '{dataset.name}', m.id, CAST(:load_id AS bigint), {_as_json(relation)}, now()
        FROM {missing(relation)} m LEFT JOIN valid v ON v.id = m.id AND v.seq > m.seq
        WHERE v.id IS NULL
        ORDER BY m.id, m.seq DESC
        ON CONFLICT (dataset, id) DO UPDATE
        SET load_id = excluded.load_id, "row" = excluded."row", rejected_at = excluded.rejected_at
        """,
        {"load_id": load_id},
    )


def _as_json(relation: Relation) -> str:
    """Return the SQL expression that makes JSON of a row `m`, without the columns that the row leaves out."""
    columns = ", ".join(f'm."{name}"' for name in relation.columns)
    left_out = ", ".join(
        f"CASE WHEN {condition.format(row='m')} THEN '{name}' END" for name, condition in relation.left_out.items()
    )
    json = f"CAST(to_jsonb(_row) - array_remove(ARRAY[{left_out}], NULL) AS json)" if left_out else "row_to_json(_row)"
    return f"(SELECT {json} FROM (SELECT {columns}) _row)"


def forget(session: Session, dataset: Dataset, table: str) -> None:
    """Delete the orphans for whose ids `table` has valid rows. Must be called in the load's transaction."""
    if dataset.references:
        session.run(f"DELETE FROM orphans o USING {table} s WHERE o.dataset = '{dataset.name}' AND o.id = s.id")


def heal_children(session: Session, parent: Dataset, grace: timedelta, *, at_most: int | None = None) -> int:
    """Load the orphans that waited for rows of `parent`. Returns the number of loaded orphans. `at_most` is as in
    `heal`."""
    return sum(heal(session, child, grace, at_most=at_most) for child in children(parent))


def heal_all(session: Session, grace: timedelta) -> int:
    """Load every orphan whose parents exist, and delete the orphans whose grace period has ended. Returns the number of
    loaded orphans. An orphan that cannot be stored holds up only its own dataset: the error is raised at the end."""
    healed, failure = 0, None
    for dataset in DATASETS.values():
        if dataset.references:
            try:
                healed += heal(session, dataset, grace)
            except HireflowError:
                raise
            except Exception as error:  # an error of Postgres about the rows
                failure = error
    session.run(f"DELETE FROM orphans WHERE rejected_at <= now() - {interval(grace)}")
    if failure is not None:
        raise failure
    return healed


def extend(session: Session, stopped_at: datetime) -> None:
    """Extend the grace period of orphans by the length of an outage, which began at `stopped_at`.

    Otherwise orphans would expire although S3 accepted their parents in time: a parent that arrived shortly before or
    during the outage is loaded only after the outage.
    """
    session.run(
        "UPDATE orphans SET rejected_at = least(now(), rejected_at + (now() - CAST(:stopped_at AS timestamptz)))",
        stopped_at=stopped_at,
    )


def heal(
    session: Session, dataset: Dataset, grace: timedelta, *, load_id: int | None = None, at_most: int | None = None
) -> int:
    """Load the orphans of `dataset` whose parents all exist, in a separate transaction. With `load_id`, only the
    orphans of that load are loaded. If more than `at_most` orphans wait, no orphan is loaded. Returns the number of
    loaded orphans."""
    waiting = f"FROM orphans WHERE dataset = '{dataset.name}' AND rejected_at > now() - {interval(grace)}"
    if load_id is not None:
        waiting += f" AND load_id = {load_id}"
    limit = "" if at_most is None else f" LIMIT {at_most + 1}"
    count = session.scalar(f"SELECT count(*) FROM (SELECT {waiting}{limit}) w")
    if not count or (at_most is not None and count > at_most):
        return 0
    # Most orphans still lack their parents. This search costs less than the lock and the temporary tables below.
    if not session.scalar(f"SELECT EXISTS (SELECT {waiting} AND {_has_parents(dataset)})"):
        return 0
    with session.transaction():
        lock_table(session, dataset, timeout=LOCK_TIMEOUT if at_most is None else REQUEST_LOCK_TIMEOUT)
        healed = _heal_locked(session, dataset, waiting)
    if healed:
        heal_children(session, dataset, grace, at_most=at_most)
    return healed


def _has_parents(dataset: Dataset) -> str:
    """Return the SQL condition that all parents of an orphan exist."""
    conditions = []
    for column, parent in dataset.references:
        sent = f"""(orphans."row" ->> '{column.name}')"""  # a parent may have a column of this name
        exists = f'EXISTS (SELECT FROM "{parent}" p WHERE p.id = CAST({sent} AS integer))'
        conditions.append(f"({sent} IS NULL OR {exists})" if column.optional else exists)
    return " AND ".join(conditions)


def _heal_locked(session: Session, dataset: Dataset, waiting: str) -> int:
    relation = Relation.flagged(_HEALING, dataset.column_names, (c.name for c in dataset.columns if c.may_be_absent))
    session.run(_healing(dataset, relation, waiting))
    set_apart(session, dataset, relation)
    # The merge also deletes the orphans with the ids of these rows.
    merged = upsert(session, dataset, relation)
    if merged.distinct:
        open_rejects.heal(session, dataset, _HEALING)
    return merged.distinct


def _healing(dataset: Dataset, relation: Relation, waiting: str) -> str:
    """Return the statements that make the temporary table of the orphans that are to be loaded.

    If an earlier release has stored an orphan, it may lack a value in a column that is mandatory now. Such an orphan is
    not loaded, and remains a reject.
    """
    columns = ", ".join(f"{c.quoted} {c.kind.sql}" for c in dataset.columns)
    flags = "".join(f""", {_is_left_out(name)} AS {flag(name)}""" for name in relation.left_out)
    complete = " AND ".join(
        f"(r.{c.quoted} IS NOT NULL OR {_is_left_out(c.name)})" if c.may_be_absent else f"r.{c.quoted} IS NOT NULL"
        for c in dataset.columns
        if not c.optional
    )
    return (
        f"CREATE TEMP TABLE {_HEALING} ON COMMIT DROP AS"
        f" SELECT CAST(row_number() OVER () AS integer) AS seq, o.load_id AS _load_id, r.*{flags}"
        f' FROM (SELECT load_id, "row" {waiting}) o CROSS JOIN LATERAL json_to_record(o."row") AS r({columns})'
        f" WHERE {complete}; ANALYZE {_HEALING}"
    )


def _is_left_out(column: str) -> str:
    """Return the SQL condition that the JSON of an orphan leaves a column out. For a JSON null, it is false."""
    return f"""(o."row" -> '{column}') IS NULL"""


def interval(age: timedelta) -> str:
    return f"interval '{age.total_seconds()} seconds'"
