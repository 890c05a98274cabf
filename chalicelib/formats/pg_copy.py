"""Writes rows in the two formats of COPY: text and binary. Clean CSV lines need almost no change for the text format.

A row of NULLs stands for a line without a valid row (see `ingest.staging_table`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from struct import Struct
from typing import Any

from chalicelib.core.datasets import Dataset, Kind
from chalicelib.core.rules import Value

EPOCH = 946_684_800_000_000  # microseconds from 1970 to 2000; Postgres's binary formats count from 2000
_ESCAPES = str.maketrans({"\\": "\\\\", ",": "\\,", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True)
class CopyFormat:
    """A format of COPY: its options, the bytes at the beginning and end of every COPY, and a row of NULLs."""

    options: str
    head: bytes
    tail: bytes
    null_row: Callable[[Dataset], bytes]


def copy_line(values: Iterable[Value | None]) -> bytes:
    """Return one row in COPY's text format with `,` as delimiter."""
    return (",".join(map(_escaped, values)) + "\n").encode()


def _escaped(value: Value | None) -> str:
    if value is None:
        return "\\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)


def binary_rows(dataset: Dataset, columns: Sequence[Sequence[Any]]) -> bytes:
    """Return rows in COPY's binary format. `columns` has a sequence of values for each column: ids as int, texts as
    str, instants as int microseconds since 1970 UTC.

    The loops over rows run in C. One struct packs all fields that lie between two texts.
    """
    pieces: list[Iterable[bytes]] = []
    layout, packed = "!h", [repeat(len(columns))]
    for column, values in zip(dataset.columns, columns, strict=True):
        if column.kind is Kind.TEXT:
            texts = [text.encode() for text in values]
            pieces += [map(Struct(layout + "i").pack, *packed, map(len, texts)), texts]
            layout, packed = "!", []
        elif column.kind is Kind.ID:
            layout, packed = layout + "ii", [*packed, repeat(4), values]  # type: ignore[list-item]
        else:
            shifted = [instant - EPOCH for instant in values]
            layout, packed = layout + "iq", [*packed, repeat(8), shifted]  # type: ignore[list-item]
    if packed:
        pieces.append(map(Struct(layout).pack, *packed))
    return b"".join(chain.from_iterable(zip(*pieces, strict=True)))


def _null_line(dataset: Dataset) -> bytes:
    return copy_line(repeat(None, len(dataset.columns)))


def _null_tuple(dataset: Dataset) -> bytes:
    width = len(dataset.columns)
    return Struct(f"!h{width}i").pack(width, *repeat(-1, width))


TEXT = CopyFormat("FORMAT text, DELIMITER ','", b"", b"", _null_line)
BINARY = CopyFormat("FORMAT binary", b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff", _null_tuple)
