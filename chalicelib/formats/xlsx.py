"""Reads the first sheet of an XLSX workbook as rows of texts, with the Rust library python-calamine.

python-calamine reads the whole sheet into memory. Therefore `xlsx_parts` and `xlsx_sheet_size` measure the workbook
first, and refuse a workbook that would take too much memory.
"""

import io
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB
from chalicelib.formats.xlsx_parts import Parts, invalid
from chalicelib.formats.xlsx_sheet_size import Errors, measured

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

MAX_SIZE = 20 * MIB  # bytes of the file
MAX_COLUMNS = 200
_EXACT = 10**15  # Excel keeps 15 digits of a number


class Sheet:
    """The rows of a sheet. Each row begins at the first column that is not empty in the whole sheet. The rows can be
    read several times."""

    def __init__(self, cells: "CalamineSheet", errors: Errors) -> None:
        self._cells, self._errors = cells, errors
        self._before = cells.start[1] + 1 if cells.start else 1  # the number of the first column

    @classmethod
    def of(cls, data: bytes) -> "Sheet":
        """Read a workbook. Raises LoadError if the file is not a valid workbook, or exceeds a limit."""
        from python_calamine import CalamineError, CalamineWorkbook

        if len(data) > MAX_SIZE:
            raise too_large()
        parts = Parts(data)
        first = parts.first_sheet()
        errors = measured(parts, first)
        try:
            cells = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(first.number)
        except (CalamineError, ValueError, OSError) as error:
            raise invalid(error) from error
        except BaseException as error:  # a panic of Rust is not an Exception
            if type(error).__name__ != "PanicException":
                raise
            raise invalid("its cells cannot be read") from error
        if cells.width > MAX_COLUMNS:
            raise LoadError(f"the first sheet has more than {MAX_COLUMNS} columns: delete those that are not needed")
        return cls(cells, errors)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the texts of each row. Numbers begin with 1, and dates are in ISO 8601."""
        for number, cells in enumerate(self._cells.iter_rows(), 1):
            texts = [cell if isinstance(cell, str) else _text(cell) for cell in cells]
            for column, error in self._errors.get(number, {}).items() if self._errors else ():
                texts[column - self._before] = error
            yield number, texts


def too_large() -> LoadError:
    """Return the error for a file that is larger than MAX_SIZE."""
    return LoadError(f"the XLSX file has more than {MAX_SIZE // MIB} MB: save it as CSV UTF-8")


def _without_exponent(number: str) -> str:
    return f"{Decimal(number):f}" if "e" in number else number


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        is_whole = cell.is_integer() and abs(cell) >= _EXACT
        return str(int(cell)) if is_whole else _without_exponent(f"{cell:.15g}")
    if isinstance(cell, datetime):  # Excel stores days as a float, so microseconds are not exact
        return cell.isoformat(timespec="milliseconds" if cell.microsecond else "seconds")
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell)
