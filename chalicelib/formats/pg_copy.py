"""Writes rows in the two formats of COPY: text and binary. Clean CSV lines need almost no change for the text format.

A row of NULLs stands for a line without a valid row (see `ingest.staging_table`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat
from struct import Struct, calcsize
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.kinds.values import Value
from chalicelib.formats.csv_layout import CsvLayout

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

    def row(self, values: Sequence[Value | None], corrected_line: str | None = None) -> bytes:
        """Return the line of a row. `values` are in the order of the dataset's columns. `corrected_line` is the line of
        the reject that the row replaces."""
        sent = values[: self._width] if self._layout.is_plain else self._layout.as_sent(values)
        if corrected_line is not None and self._layout.line_at is not None:
            sent = [*sent[: self._layout.line_at], corrected_line, *sent[self._layout.line_at + 1 :]]
        return (self._delimiter.join(map(self._escaped, sent)) + "\n").encode()

    def null_row(self, width: int) -> bytes:
        return (self._delimiter * (width - 1) + "\n").encode()

    def _escaped(self, value: Value | None) -> str:
        if value is None:
            return ""
        return value.translate(self._escapes) if isinstance(value, str) else str(value)


def binary_rows(dataset: Dataset, columns: Sequence[Sequence[Any]]) -> bytes:
    """Return rows in COPY's binary format. `columns` has a sequence of stored values for each column.

    The loops over rows run in C. One struct packs all fields that lie between two fields of different sizes.
    """
    pieces: list[Iterable[bytes]] = []
    layout = "!h"
    packed: list[Iterable[Any]] = [repeat(len(columns))]
    for column, values in zip(dataset.columns, columns, strict=True):
        kind, fields = column.kind, column.kind.for_copy(values)
        if kind.packing:
            size = calcsize(f"!{kind.packing}")
            layout, packed = layout + "i" + kind.packing, [*packed, repeat(size), fields]
        else:
            texts = list(fields)
            pieces += [map(Struct(layout + "i").pack, *packed, map(len, texts)), texts]
            layout, packed = "!", []
    if packed:
        pieces.append(map(Struct(layout).pack, *packed))
    return b"".join(chain.from_iterable(zip(*pieces, strict=True)))


def _null_tuple(width: int) -> bytes:
    return Struct(f"!h{width}i").pack(width, *repeat(-1, width))


BINARY = CopyFormat("FORMAT binary", b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff", _null_tuple)
