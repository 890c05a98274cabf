"""Finds out whether the parents of rows exist.

`existing` and `finding` do this for a few ids, `absent` for all rows of a table at once. `finding` and `absent` can
lock the existing parents with FOR KEY SHARE, the lock that foreign keys use. Until the transaction ends, no other
transaction can delete these parents or change their ids. The other columns of the parents can still change.

A row may be written only if a locking statement has *returned* its parents. If only a later join finds a parent, the
parent has no lock, and could be deleted before the commit.
"""

from collections.abc import Iterable

from chalicelib.cloud.database import Session
from chalicelib.cloud.statements import Statement
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.kinds.values import Value
from chalicelib.ingest.relation import Relation

_LOCK = "FOR KEY SHARE"


def existing(session: Session, parent: str, ids: Iterable[Value | None]) -> set[Value]:
    """Return the `ids` that exist in the table `parent`."""
    query = finding(parent, ids, lock=False)
    return {row[0] for row in session.run(query.sql, **query.params)} if query.params["ids"] else set()


def finding(parent: str, ids: Iterable[Value | None], *, lock: bool) -> Statement:
    """Return the query for the `ids` that exist in the table `parent`, so that a caller can send it together with other
    statements."""
    wanted = sorted(i for i in set(ids) if isinstance(i, int))
    return Statement(
        f'SELECT id FROM "{parent}" WHERE id = ANY(:ids) ORDER BY id {_LOCK if lock else ""}', {"ids": wanted}
    )


def absent(session: Session, dataset: Dataset, relation: Relation, *, lock: bool) -> dict[str, str]:
    """Return an SQL condition for each column of the relation that refers to a parent, in a dictionary by column name.
    The condition is true for a row `s` whose parent does not exist, and false for a row that refers to no parent."""
    references = relation.references(dataset)
    if not references:
        return {}
    queries = (f"({_referenced(parent, column, relation.source, lock)})" for column, parent in references)
    [found] = session.run(f"SELECT {', '.join(queries)}")
    return {column.name: _condition(column, ids) for (column, _), ids in zip(references, found, strict=True)}


def _condition(column: Column, referenced: str) -> str:
    condition = f"s.{column.quoted} <> ALL ('{referenced}'::integer[])"
    # NULL refers to no parent, but `NULL <> ALL ('{}')` is true.
    return f"s.{column.quoted} IS NOT NULL AND {condition}" if column.optional else condition


def _referenced(parent: str, column: Column, source: str, lock: bool) -> str:
    """Return the query for the existing ids of `parent` to which `column` of the relation refers, as an array literal.

    Postgres searches an array of constants with a hash table. This search takes half the time of a join.
    """
    return (
        f"SELECT CAST(coalesce(array_agg(id), '{{}}') AS text) FROM (SELECT id FROM \"{parent}\""
        f" WHERE id IN (SELECT {column.quoted} FROM {source} WHERE id IS NOT NULL)"
        f" {_LOCK if lock else ''}) referenced"
    )
