"""Makes a relation of the rows of a request. Postgres gets each column as the text of one array, which is a parameter
of the statement. Postgres reads arrays in half the time that it needs for JSON, and Python writes them faster, too."""

from collections.abc import Sequence

from chalicelib.core.dataset import Dataset
from chalicelib.core.kinds.values import Value
from chalicelib.ingest.relation import Relation, flag

_BETWEEN = '","'  # between two texts in quotes


def relation(
    dataset: Dataset, columns: Sequence[Sequence[Value | None]], left_out: Sequence[frozenset[int]]
) -> tuple[Relation, dict[str, str]]:
    """Return the relation of some rows, and the parameters of its statement.

    `columns` has the values of all rows for each column of the dataset, in the checked form. `left_out` has, for each
    row, the indexes of the columns that the row leaves out.

    The relation lacks the columns that all rows leave out. If only some rows leave out a column, the relation has a
    flag for this column.
    """
    by_all = frozenset.intersection(*left_out)
    by_some = {dataset.columns[at].name: at for at in sorted(frozenset.union(*left_out) - by_all)}
    present = [(at, column) for at, column in enumerate(dataset.columns) if at not in by_all]
    arrays = [(column.quoted, column.kind.sql, columns[at]) for at, column in present]
    arrays += [(flag(name), "boolean", [at in of_row for of_row in left_out]) for name, at in by_some.items()]
    casts = ", ".join(f"CAST(:array_{number} AS {sql}[])" for number, (_, sql, _) in enumerate(arrays))
    names = ", ".join(name for name, _, _ in arrays)
    source = f"unnest({casts}) WITH ORDINALITY AS s ({names}, seq)"
    parameters = {f"array_{number}": array(values) for number, (_, _, values) in enumerate(arrays)}
    return Relation.flagged(source, [column.name for _, column in present], by_some), parameters


def array(values: Sequence[Value | None]) -> str:
    """Return values in the checked form as the text of an array of Postgres."""
    types = set(map(type, values))
    if types == {int}:
        return f"{{{','.join(map(str, values))}}}"
    if types == {str}:  # this branch loops in C, because most columns are like this
        texts = list(map(str, values))
        together = "".join(texts)
        quoted = texts if '"' not in together and "\\" not in together else map(_escaped, texts)
        return f'{{"{_BETWEEN.join(quoted)}"}}'
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Value | None) -> str:
    if value is None:
        return "NULL"
    return f'"{_escaped(value)}"' if isinstance(value, str) else str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
