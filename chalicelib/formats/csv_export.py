"""Rows -> CSV that is safe to open in a spreadsheet.

Spreadsheets take text for a formula by its first character. As OWASP advises ("CSV Injection"), such
a cell gets an apostrophe in front, and every text is quoted, so that none begins a new cell where a
spreadsheet splits at semicolons or tabs.
"""

import csv
import io
from collections.abc import Iterable, Sequence

Cell = str | int | float | None
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # full-width ones are formulas in some locales


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """RFC 4180 with CRLF: a header, then the rows. Numbers stay numbers, None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([_safe(name) for name in header])
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue()


def _safe(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
