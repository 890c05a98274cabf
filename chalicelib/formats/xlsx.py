"""The rows of an XLSX workbook's first sheet, as the fields of CSV records.

python-calamine reads the sheet, at the speed of Rust, into a rectangle of cells. So before it sees the file, the parts
of the workbook are decompressed once to measure them: a small file may hold gigabytes, or a single cell in the last
row and the last column.
"""

import io
import re
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from zipfile import BadZipFile, ZipFile

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB

MAX_SIZE = 20 * MIB  # bytes of the file
MAX_INFLATED = 400 * MIB  # bytes of all its parts
MAX_PARTS = 2_000
MAX_COLUMNS = 200
MAX_CELLS = 8_000_000  # of the rectangle that the sheet spans
_CHUNK = MIB
_REFERENCE = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br="([A-Z]{1,3})(\d{1,7})"')
_LONGEST_TAG = 200  # bytes of a cell's tag that two chunks may divide
_FIRST_SHEET = re.compile(rb"<(?:\w+:)?sheet\b[^>]*?\br:id=\"([^\"]+)\"")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"


def rows(data: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of each row of the first sheet, from 1, with its cells as texts in UTF-8.

    Whole numbers have no decimals, and dates are ISO 8601. Raises LoadError for a file that is not a workbook, or that
    is beyond a limit.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    _measure(data)
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
        for number, cells in enumerate(sheet.iter_rows(), 1):
            yield number, [_text(cell) for cell in cells]
    except (CalamineError, ValueError, OSError) as error:
        raise LoadError(f"the file is not a valid XLSX workbook: {str(error)[:200]}") from error


def _text(cell: object) -> bytes:
    if isinstance(cell, bool):
        return str(cell).upper().encode()
    if isinstance(cell, float):
        return (str(int(cell)) if cell.is_integer() else repr(cell)).encode()
    if isinstance(cell, datetime):  # Excel counts days, so seconds may lack a microsecond
        return cell.isoformat(timespec="milliseconds" if cell.microsecond else "seconds").encode()
    if isinstance(cell, date):
        return cell.isoformat().encode()
    return str(cell).encode("utf-8", "surrogatepass")


def _measure(data: bytes) -> None:
    """Raise LoadError if the workbook is beyond a limit. Its directory of parts is not believed."""
    if len(data) > MAX_SIZE:
        raise LoadError(f"the XLSX file has more than {MAX_SIZE // MIB} MB: save it as CSV UTF-8")
    try:
        with ZipFile(io.BytesIO(data)) as workbook:
            if len(workbook.infolist()) > MAX_PARTS:
                raise LoadError(f"the XLSX file has more than {MAX_PARTS} parts")
            first, left = _first_sheet(workbook), MAX_INFLATED
            for name in workbook.namelist():
                left -= _measure_part(workbook, name, left, is_first_sheet=first in (name, None))
    except (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, KeyError) as error:
        raise LoadError(f"the file is not a valid XLSX workbook: {str(error)[:200]}") from error


def _measure_part(workbook: ZipFile, name: str, left: int, *, is_first_sheet: bool) -> int:
    """Return the size of a part in bytes. Raises LoadError beyond `left`, or for a sheet that spans too many cells."""
    size, rest, widest, longest = 0, b"", 0, 0
    with workbook.open(name) as part:
        while chunk := part.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise LoadError(f"the XLSX file decompresses to over {MAX_INFLATED // MIB} MB: save it as CSV UTF-8")
            if is_first_sheet:
                text = rest + chunk
                cells = _REFERENCE.findall(text)
                widest = max((widest, *map(_column, {letters for letters, _ in cells})))
                longest = max((longest, *map(int, {row for _, row in cells})))
                rest = text[-_LONGEST_TAG:]
    if widest > MAX_COLUMNS:
        raise LoadError(f"the first sheet has more than {MAX_COLUMNS} columns: delete those that are not needed")
    if widest * longest > MAX_CELLS:
        raise LoadError(f"the first sheet spans over {MAX_CELLS} cells: delete empty rows, or save it as CSV UTF-8")
    return size


def _first_sheet(workbook: ZipFile) -> str | None:
    """Return the name of the part that holds the first sheet; None if the workbook does not say."""
    first = _FIRST_SHEET.search(_beginning(workbook, _WORKBOOK))
    for relation in _RELATION.findall(_beginning(workbook, _RELATIONS)) if first else ():
        target = re.search(rb'\bTarget="([^"]+)"', relation)
        if target and first and b'Id="' + first[1] + b'"' in relation:
            path = target[1].decode("utf-8", "replace")
            return path.lstrip("/") if path.startswith("/") else f"xl/{path}"
    return None


def _beginning(workbook: ZipFile, name: str) -> bytes:
    with workbook.open(name) as part:
        return part.read(4 * MIB)


def _column(letters: bytes) -> int:
    """Return the number of a column from 1, by its letters."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
