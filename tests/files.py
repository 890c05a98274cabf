"""Generates rows of any dataset, and writes them as CSV, XLSX, Avro or JSON."""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import fastavro
from hypothesis import strategies as st

from chalicelib.core.dataset import Column, Dataset
from tests import values, workbooks
from tests.dialects import Dialect, dialects, written
from tests.model import INVALID, Said

Texts = dict[str, str]  # a field for each column; an empty field is a null
KNOWN, UNKNOWN = (1, 2), (3, 4)  # ids of parents that exist from the beginning, and of parents that may come
FIRST_OF_REFUSED = 100  # rows that are refused have ids from here on, so that they do not meet rows that wait
_EXCEL_EPOCH = date(1901, 1, 1)


def rows(dataset: Dataset, *, most: int = 5) -> st.SearchStrategy[list[Texts]]:
    """Generate rows with few different ids. Either some rows are refused or wait, or several rows have the same id."""
    good = st.lists(_row(dataset, waits=False), min_size=1, max_size=most)
    mixed = st.lists(
        _row(dataset, waits=False) | _row(dataset, waits=True) | _refused(dataset),
        min_size=1,
        max_size=most,
        unique_by=lambda row: row["id"],
    )
    return good | mixed


def _row(dataset: Dataset, *, waits: bool) -> st.SearchStrategy[Texts]:
    fields = {column.name: _field(column, waits=waits) for column in dataset.values}
    return st.fixed_dictionaries({"id": st.integers(1, 6).map(str), **fields})


def _field(column: Column, *, waits: bool) -> st.SearchStrategy[str]:
    if column.parent is not None:
        found = st.sampled_from((*KNOWN, *(UNKNOWN if waits else ()))).map(str)
    else:
        found = values.sent(column.kind)
    return st.just("") | found if column.optional else found


@st.composite
def _refused(draw: st.DrawFn, dataset: Dataset) -> Texts:
    row = draw(_row(dataset, waits=False))
    bad = draw(st.sampled_from(dataset.values))
    wrong = [values.invalid(bad.kind), *([] if bad.optional else [""])]
    return row | {"id": str(draw(st.integers(FIRST_OF_REFUSED, 120))), bad.name: draw(st.sampled_from(wrong))}


def said(dataset: Dataset, row: Texts, names: Sequence[str]) -> dict[str, Any]:
    """Return what the fields of a row under these names say."""
    return {c.name: _value(c, row[c.name]) for c in dataset.columns if c.name in names}


def said_by_position(dataset: Dataset, row: Texts, width: int) -> dict[str, Any]:
    """Return what a row says whose columns are taken by position. Empty fields at its end leave out their columns."""
    names = list(dataset.column_names[:width])
    columns = {column.name: column for column in dataset.columns}
    while names and not row[names[-1]] and columns[names[-1]].may_be_absent:
        names.pop()
    return said(dataset, row, names)


def _value(column: Column, text: str) -> Any:
    if text == values.invalid(column.kind):
        return INVALID
    return values.meaning(column, text) if text else None


# ---- files


@st.composite
def csv_file(draw: st.DrawFn, dataset: Dataset) -> tuple[bytes, list[Said], Dialect]:
    """Generate a file in any dialect, and what its rows say."""
    dialect, found = draw(dialects(dataset)), draw(rows(dataset))
    body = written(dataset, [[row[name] for name in dataset.column_names] for row in found], dialect)
    columns = dialect.columns or dataset.column_names
    if dialect.has_header:
        return body, [said(dataset, row, columns) for row in found], dialect
    return body, [said_by_position(dataset, row, len(columns)) for row in found], dialect


def names(draw: st.DrawFn, dataset: Dataset) -> list[str]:
    """Draw the columns that a file has: all mandatory ones, and some of the others, in any order."""
    chosen = [c.name for c in dataset.columns if not c.may_be_absent or draw(st.booleans())]
    return list(draw(st.permutations(chosen)))


@st.composite
def xlsx_file(draw: st.DrawFn, dataset: Dataset) -> tuple[bytes, list[Said]]:
    """Generate a workbook with a header. A cell has Excel's own type where Excel has one for the value."""
    columns, found = names(draw, dataset), draw(rows(dataset))
    by_name = {column.name: column for column in dataset.columns}
    cells = [[_cell(by_name[name], row[name], own=draw(st.booleans())) for name in columns] for row in found]
    return workbooks.table([columns, *cells]), [said(dataset, row, columns) for row in found]


def _cell(column: Column, text: str, *, own: bool) -> object:
    value = _value(column, text)
    if not own or value is INVALID:
        return text or None
    if isinstance(value, datetime):
        return value.replace(tzinfo=None) if value.date() >= _EXCEL_EPOCH else text
    if isinstance(value, date):
        return value if value >= _EXCEL_EPOCH else text
    is_small = type(value) is int and abs(value) < 10**15
    return value if is_small or isinstance(value, bool) else text or None


_AVRO: Mapping[str, Any] = {
    "integer": "long",
    "text": "string",
    "timestamptz": {"type": "long", "logicalType": "timestamp-micros"},
    "date": {"type": "int", "logicalType": "date"},
    "bigint": "long",
    "boolean": "boolean",
}


@st.composite
def avro_file(draw: st.DrawFn, dataset: Dataset) -> tuple[bytes, list[Said]]:
    """Generate a file of another program. Its columns stand in any order, and every type is a union with null."""
    columns = names(draw, dataset)
    by_name = {column.name: column for column in dataset.columns}
    found = draw(st.lists(_row(dataset, waits=True), min_size=1, max_size=5, unique_by=lambda row: row["id"]))
    rows_said = [said(dataset, row, columns) for row in found]
    schema = {
        "type": "record",
        "name": "Row",
        "fields": [{"name": name, "type": ["null", _avro_type(by_name[name])]} for name in columns],
    }
    file = io.BytesIO()
    fastavro.writer(file, schema, rows_said, codec=draw(st.sampled_from(["null", "deflate"])))
    return file.getvalue(), list(rows_said)


def _avro_type(column: Column) -> Any:
    kind = values.type_of(column.kind)
    if kind != "numeric":
        return _AVRO[kind]
    precision, scale = values.sizes(column.kind)
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


# ---- requests


@st.composite
def batch(draw: st.DrawFn, dataset: Dataset) -> tuple[bytes, list[Said]]:
    """Generate the body of a batch. Each row leaves out some of the columns that it may leave out."""
    members, found = [], []
    for row in draw(rows(dataset)):
        columns = names(draw, dataset)
        by_name = {column.name: column for column in dataset.columns}
        members.append([f"{json.dumps(name)}: {_json(draw, by_name[name], row[name])}" for name in columns])
        found.append(said(dataset, row, columns))
    body = '{"data": [' + ", ".join("{" + ", ".join(fields) + "}" for fields in members) + "]}"
    return body.encode(), list(found)


def _json(draw: st.DrawFn, column: Column, text: str) -> str:
    """Return a JSON value: null, a text, or the number or the Boolean that the text means."""
    value = _value(column, text)
    if not text:
        return "null"
    if isinstance(value, bool):
        return draw(st.sampled_from([json.dumps(value), str(int(value)), json.dumps(text)]))
    if values.type_of(column.kind) in ("integer", "bigint", "numeric") and value is not INVALID:
        return draw(st.sampled_from([f"{value:f}" if not isinstance(value, int) else str(value), json.dumps(text)]))
    return json.dumps(text)
