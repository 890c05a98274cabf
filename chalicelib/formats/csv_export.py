"""Converts rows to CSV that is safe to open in a spreadsheet.

If a spreadsheet would treat a text as a formula, an apostrophe is put before the text (see `formulas`). Every text is
quoted, because some spreadsheets also split cells at semicolons or tabs.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from chalicelib.formats.formulas import FORMULA

Cell = str | int | float | Decimal | None


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return the header and the rows as RFC 4180 CSV with CRLF. Numbers are not quoted. True becomes `true`,
    False becomes `false`, and None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([_safe(name) for name in header])
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue()


def _safe(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return str(cell).lower()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
