"""Passes an Avro file through the product, and compares the result with the oracle's."""

import io
from dataclasses import replace

from chalicelib.core.dataset import Dataset
from chalicelib.core.errors import LoadError
from chalicelib.core.kinds.table import Kind
from chalicelib.core.rules import check_stored
from chalicelib.core.streams import Peekable
from chalicelib.ingest.file_reading import FileReading
from tests.fuzz.oracle_avro import Unreadable, Wanted, avro_rows
from tests.fuzz.staged import Row, Unaccounted, same, staged, value


def check_avro(dataset: Dataset, data: bytes) -> int:
    """Return the number of rows, or 0 if both the reader and the oracle refuse the file.

    Raises Unaccounted if the results of the reader and the oracle differ."""
    kinds = {Kind.ID: "id", Kind.TEXT: "text", Kind.INSTANT: "instant"}
    try:
        expected = avro_rows(data, [Wanted(c.name, kinds[c.kind], c.aliases) for c in dataset.columns])
    except Unreadable:
        expected = None
    try:
        own = FileReading.of_own_backup(dataset, Peekable(io.BytesIO(data)))
        reading = replace(own, is_own_backup=False)
        found = staged(dataset, reading.tokens(io.BytesIO(data)), reading.copy_format)
    except LoadError as error:
        same("refusal", expected, None)
        same("message", bool(error.detail), True)
        return 0
    if expected is None:
        raise Unaccounted("an unreadable file was read")
    rows: list[Row | None] = []
    for row in expected:
        checked = check_stored(dataset, row)
        valid = tuple(map(value, dataset.columns, map(str, checked.values))) if checked.valid else None
        rows.append(valid)
    same("rows", found.rows, rows)
    same("rejects", [r.place for r in found.rejects], [n for n, row in enumerate(rows, 1) if row is None])
    same("sum", (found.received, found.rejected), (len(rows), rows.count(None)))
    return len(rows)
