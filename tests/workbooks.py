"""Writes XLSX workbooks: valid ones, as Excel writes them, and damaged or hostile ones."""

import io
from collections.abc import Callable, Iterable
from datetime import date, datetime
from zipfile import ZIP_DEFLATED, ZipFile

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
_SHEET = (
    '<?xml version="1.0"?>{before}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>{rows}</sheetData></worksheet>"
)


def workbook(
    *fill: Callable[[Workbook, Worksheet], object], shares_texts: bool = True, from_1904: bool = False
) -> bytes:
    """Return a workbook with one sheet for each function in `fill`. The function writes the cells of its sheet."""
    file = io.BytesIO()
    book = Workbook(file, {"constant_memory": not shares_texts, "in_memory": shares_texts, "date_1904": from_1904})
    for each in fill:
        each(book, book.add_worksheet())
    book.close()
    return file.getvalue()


def table(rows: Iterable[Iterable[object]], at: tuple[int, int] = (0, 0), **options: bool) -> bytes:
    """Return a workbook with these rows. `at` is the row and the column of the first cell, counted from 0."""

    def fill(book: Workbook, sheet: Worksheet) -> None:
        whole_days = book.add_format({"num_format": "dd/mm/yyyy"})
        with_time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for row, cells in enumerate(rows, at[0]):
            for column, cell in enumerate(cells, at[1]):
                if isinstance(cell, datetime):
                    sheet.write_datetime(row, column, cell, with_time)
                elif isinstance(cell, date):
                    sheet.write_datetime(row, column, cell, whole_days)
                elif isinstance(cell, str):
                    sheet.write_string(row, column, cell)
                elif cell is not None:
                    sheet.write(row, column, cell)

    return workbook(fill, **options)


def parts(data: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(contents: dict[str, bytes], compression: int = ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file.getvalue()


def changed(data: bytes, name: str, content: bytes | str) -> bytes:
    """Return a copy of a workbook in which one part has this content."""
    return packed(parts(data) | {name: content.encode() if isinstance(content, str) else content})


def of_rows(rows: str, before: str = "") -> bytes:
    """Return a workbook whose first sheet has this XML as its rows. `before` is XML before the root element."""
    return changed(table([["id", "job"]]), SHEET, _SHEET.format(rows=rows, before=before))
