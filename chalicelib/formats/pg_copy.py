"""Writes rows in the two formats of COPY: text and binary. Clean CSV lines need almost no change for the text format.

A row of NULLs stands for a line without a valid row (see `ingest.staging_table`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, repeat
from struct import Struct, calcsize
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.kinds.table import Kind
from chalicelib.core.kinds.values import ABSENT, Value
from chalicelib.formats.csv_layout import CsvLayout

_NOTHING: Mapping[int, str] = {}
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class CopyFormat:
    """A format of COPY: its options, the bytes at the beginning and end of every COPY, and a function that returns a
    row of NULLs of a given width.

    `layout` says which fields a row has. If `layout` is None, a row has the columns of the dataset in their order.
    """

    options: str
    head: bytes
    tail: bytes
    null_row: Callable[[int], bytes]
    layout: CsvLayout | None = None


@cache
def text_format(layout: CsvLayout) -> CopyFormat:
    """Return COPY's text format, with the delimiter and the fields of a file."""
    line = LineFormat(layout)
    delimiter = layout.delimiter.decode()
    return CopyFormat(f"FORMAT text, DELIMITER '{delimiter}', NULL ''", b"", b"", line.null_row, layout)


class LineFormat:
    """Writes rows in COPY's text format, with the delimiter and the fields of a file. An empty field is NULL."""

    def __init__(self, layout: CsvLayout) -> None:
        self._layout, self._delimiter, self._width = layout, layout.delimiter.decode(), len(layout.positions)
        self._escapes = str.maketrans({self._delimiter: f"\\{self._delimiter}"} | _ESCAPES)

    def row(self, values: Sequence[Value | None], apart: Mapping[int, str] = _NOTHING) -> bytes:
        """Return the line of a row. `values` are in the order of the dataset's columns. `apart` has texts of ignored
        fields by their indexes. All other ignored fields are NULL."""
        sent = values[: self._width] if self._layout.is_plain else self._layout.as_sent(values)
        if apart:
            sent = [apart.get(at, value) for at, value in enumerate(sent)]
        return (self._delimiter.join(map(self._escaped, sent)) + "\n").encode()

    def null_row(self, width: int) -> bytes:
        return (self._delimiter * (width - 1) + "\n").encode()

    def _escaped(self, value: Value | None) -> str:
        if value is None:
            return ""
        return value.translate(self._escapes) if isinstance(value, str) else str(value)


def binary_rows(dataset: Dataset, columns: Sequence[Sequence[Any]]) -> bytes:
    """Return rows in COPY's binary format. `columns` has a sequence of stored values for each column, with None for
    NULL. If the values of a column are ABSENT, the rows do not have the column.

    The loops over rows run in C. One struct packs all neighbouring fields that have a fixed size.
    """
    present = [(c, v) for c, v in zip(dataset.columns, columns, strict=True) if v[0] is not ABSENT]
    pieces: list[Iterable[bytes]] = []
    layout = "!h"
    packed: list[Iterable[Any]] = [repeat(len(present))]
    for column, values in present:
        kind, has_nulls = column.kind, column.optional and None in values
        if kind.packing and not has_nulls:
            size = calcsize(f"!{kind.packing}")
            layout, packed = layout + "i" + kind.packing, [*packed, repeat(size), kind.for_copy(values)]
        else:
            sizes, fields = _with_nulls(kind, values) if has_nulls else _sized(kind, values)
            pieces += [map(Struct(layout + "i").pack, *packed, sizes), fields]
            layout, packed = "!", []
    if packed:
        pieces.append(map(Struct(layout).pack, *packed))
    return b"".join(chain.from_iterable(zip(*pieces, strict=True)))


def _sized(kind: Kind, values: Sequence[Any]) -> tuple[Iterable[int], Iterable[bytes]]:
    """Return the sizes of the fields in bytes, and the fields. No value may be None."""
    fields: Iterable[Any] = kind.for_copy(values)
    fields = list(map(Struct(f"!{kind.packing}").pack, fields) if kind.packing else fields)
    return map(len, fields), fields


def _with_nulls(kind: Kind, values: Sequence[Any]) -> tuple[Iterable[int], Iterable[bytes]]:
    """Do the same for values with None. The size of NULL is -1, and its field has no bytes."""
    given = [value for value in values if value is not None]
    sizes, fields = _sized(kind, given)
    next_size, next_field = iter(sizes).__next__, iter(fields).__next__
    return (
        [-1 if value is None else next_size() for value in values],
        [b"" if value is None else next_field() for value in values],
    )


def _null_tuple(width: int) -> bytes:
    return Struct(f"!h{width}i").pack(width, *repeat(-1, width))


def binary_format(layout: CsvLayout) -> CopyFormat:
    """Return COPY's binary format for rows with the columns of a file, in the order of the dataset."""
    return replace(BINARY, layout=layout)


BINARY = CopyFormat("FORMAT binary", b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff", _null_tuple)
