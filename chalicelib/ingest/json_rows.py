"""Makes a relation of the rows of a request. Postgres reads the rows from one JSON text, which is the parameter `rows`
of the statement."""

from collections.abc import Sequence
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.ingest.relation import Relation, flag


def relation(dataset: Dataset, rows: Sequence[dict[str, Any]], left_out: Sequence[frozenset[int]]) -> Relation:
    """Return the relation of these rows. Each row has `seq` and all columns. `left_out` has, for each row, the indexes
    of the columns that the row leaves out.

    The relation lacks the columns that all rows leave out. If only some rows leave out a column, a flag for
    this column is added to every item of `rows`.
    """
    by_all = frozenset.intersection(*left_out)
    present = [column for at, column in enumerate(dataset.columns) if at not in by_all]
    by_some = {dataset.columns[at].name: at for at in sorted(frozenset.union(*left_out) - by_all)}
    for row, of_row in zip(rows, left_out, strict=True) if by_some else ():
        row.update({flag(name): at in of_row for name, at in by_some.items()})
    types = ", ".join((*(f"{c.quoted} {c.kind.sql}" for c in present), *(f"{flag(name)} boolean" for name in by_some)))
    source = f"json_to_recordset(CAST(:rows AS json)) AS s (seq integer, {types})"
    return Relation.flagged(source, [column.name for column in present], by_some)
