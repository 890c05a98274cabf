"""Generates valid values of every kind of column, and rows of any dataset, without the code of the kinds. The type of a
kind in Postgres selects the values. `tests.kinds` generates all spellings of values, also invalid ones."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.kinds.table import Kind
from chalicelib.core.value_limits import MAX_ID, MAX_TEXT, MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER

Row = tuple[Any, ...]
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
TEXTS = _TEXT.map(str.strip).filter(bool)  # the rules strip a text and refuse an empty text
_LONG = st.builds(lambda text: (text * MAX_TEXT)[:MAX_TEXT].strip() or "x", TEXTS)
_INSTANTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)) | st.sampled_from(
    [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(1970, 1, 1)]
)
IDS = st.integers(1, MAX_ID) | st.sampled_from([1, 2, MAX_ID - 1, MAX_ID])


def type_of(kind: Kind) -> str:
    """Return the type in Postgres without its sizes: `numeric` for `numeric(12, 2)`."""
    return kind.sql.partition("(")[0].strip()


def sizes(kind: Kind) -> tuple[int, int]:
    """Return the precision and the scale of a decimal kind."""
    precision, _, scale = kind.sql.partition("(")[2].rstrip(")").partition(",")
    return int(precision), int(scale)


def decimals(kind: Kind) -> st.SearchStrategy[Decimal]:
    """Generate decimals with the digits and the scale of this kind, also the largest and the smallest ones."""
    precision, scale = sizes(kind)
    largest = 10**precision - 1
    unscaled = st.integers(-largest, largest) | st.sampled_from([0, 1, -1, largest, -largest])
    return unscaled.map(lambda digits: Decimal(f"{digits}E-{scale}"))


_STORED: Mapping[str, Callable[[Kind], st.SearchStrategy[Any]]] = {
    "integer": lambda _: IDS,
    "text": lambda _: TEXTS | _LONG,
    "timestamptz": lambda _: _INSTANTS.map(lambda at: at.replace(tzinfo=UTC).isoformat()),
    "date": lambda _: (st.dates() | st.sampled_from([date.min, date.max, date(1970, 1, 1)])).map(date.isoformat),
    "bigint": lambda _: (
        st.integers(MIN_WHOLE_NUMBER, MAX_WHOLE_NUMBER) | st.sampled_from([MIN_WHOLE_NUMBER, -1, 0, MAX_WHOLE_NUMBER])
    ),
    "boolean": lambda _: st.booleans(),
    "numeric": lambda kind: decimals(kind).map(lambda value: f"{value:f}"),
}


def stored(kind: Kind) -> st.SearchStrategy[Any]:
    """Generate values that Postgres can hold, as JSON from which Postgres makes the value of a column."""
    return _STORED[type_of(kind)](kind)


@st.composite
def databases(draw: st.DrawFn, datasets: Sequence[Dataset], most: int = 12) -> dict[str, list[Row]]:
    """Generate rows for every dataset. Their foreign keys are valid. Optional columns are sometimes None."""
    tables: dict[str, list[Row]] = {}
    for dataset in datasets:
        parents = [tables[parent] for column, parent in dataset.references if not column.optional]
        if not all(parents):
            tables[dataset.name] = []
            continue
        row = st.tuples(*(_values(column, tables) for column in dataset.values))
        rows = draw(st.dictionaries(IDS, row, max_size=most))
        tables[dataset.name] = sorted((row_id, *rest) for row_id, rest in rows.items())
    return tables


def _values(column: Column, tables: Mapping[str, list[Row]]) -> st.SearchStrategy[Any]:
    if column.parent is None:
        values = stored(column.kind)
    elif ids := [row[0] for row in tables[column.parent]]:
        values = st.sampled_from(ids)
    else:
        values = st.none()
    return st.none() | values if column.optional else values


# ---- files and requests

_SENT: Mapping[str, Callable[[Kind], st.SearchStrategy[str]]] = {
    "integer": lambda _: st.integers(1, MAX_ID).map(str),
    "text": lambda _: st.text("ab,;|\"' -.#", min_size=1, max_size=12).map(str.strip).filter(bool),
    "timestamptz": lambda _: st.datetimes().map(lambda at: f"{at.replace(microsecond=0).isoformat()}Z"),
    "date": lambda _: st.dates().map(date.isoformat),
    "bigint": lambda _: st.integers(MIN_WHOLE_NUMBER, MAX_WHOLE_NUMBER).map(str),
    "boolean": lambda _: st.sampled_from(["true", "false", "t", "F", "Yes", "NO", "y", "n", "1", "0"]),
    "numeric": lambda kind: decimals(kind).map(lambda value: f"{value:f}"),
}
_WRONG: Mapping[str, tuple[str, ...]] = {
    "integer": ("x", "0", "-1", "1.5", "1e3", "2147483648"),
    "text": ("#REF!", "NULL", "n/a"),
    "timestamptz": ("soon", "27/07/2021", "07.27.2021 16:02", "2021-02-30"),
    "date": ("soon", "27/07/2021", "2021-02-30", "2021-07-27T16:02:08Z"),
    "bigint": ("x", "1.5", "9223372036854775808", "1e3"),
    "boolean": ("maybe", "2", "on"),
    "numeric": ("x", "1e3", "NaN", "1.00000000000000000", "9" * 40, "1,5"),
}


def sent(kind: Kind) -> st.SearchStrategy[str]:
    """Generate valid values of this kind, as a file has them. The values are ASCII."""
    return _SENT[type_of(kind)](kind)


def invalid(kind: Kind) -> str:
    """Return a text that the rules of this kind refuse."""
    return _WRONG[type_of(kind)][0]


def doubtful(kind: Kind) -> st.SearchStrategy[str]:
    """Generate texts that are rejected, or that cause a notice. A few of them may be valid."""
    return st.sampled_from(_WRONG[type_of(kind)])


_MEANING: Mapping[str, Callable[[str], Any]] = {
    "integer": lambda text: int(Decimal(text)),
    "text": str,
    "timestamptz": lambda text: datetime.fromisoformat(text).astimezone(UTC),
    "date": date.fromisoformat,
    "bigint": lambda text: int(Decimal(text)),
    "boolean": lambda text: text.lower() in ("true", "t", "yes", "y", "1"),
    "numeric": Decimal,
}


def meaning(column: Column, text: str) -> Any:
    """Return the value that Postgres returns for a valid text of a file."""
    return _MEANING[type_of(column.kind)](text)
