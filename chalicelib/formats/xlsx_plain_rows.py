"""Measures a sheet fast, with regular expressions, if the sheet has the form that nearly all programs write.

All rows must match a strict pattern: each row and each cell has its position, and no text contains markup. Therefore
the patterns find everything that a library can find in these rows. The XML parser in `xlsx_sheet_size` measures all
other sheets.
"""

import re
from collections.abc import Iterable, Sequence

from chalicelib.core.streams import MIB

_MAX_REST = 4 * MIB  # the most bytes of a row, and of the parts of the document before and after the rows
_ATTRIBUTES = rb'(?: [\w:.]++="[^"<>]*+")*+'
_FORMULA = rb"(?:<f" + _ATTRIBUTES + rb"(?:/>|>[^<]*+</f>))?+"
_INLINE = rb"<is><t" + _ATTRIBUTES + rb"(?:/>|>[^<]*+</t>)</is>"
_CONTENT = _FORMULA + rb"(?:<v>[^<]*+</v>|<v/>|" + _INLINE + rb")?+"
_CELL = rb'<c r="[A-Z]{1,3}+\1"' + _ATTRIBUTES + rb"(?:/>|>" + _CONTENT + rb"</c>)"
_ROW = rb'<row r="(\d{1,7}+)"' + _ATTRIBUTES + rb"(?:/>|>(?:(?>" + _CELL + rb"))*+</row>)"
_ROWS = re.compile(rb"(?:(?>" + _ROW + rb"))*+")  # atomic because of a bug in Python 3.11; see `csv_patterns`
_NUMBER_OF_ROW = re.compile(rb'<row r="(\d++)"')
_FILLED = re.compile(rb'<c r="([A-Z]++)(\d++)"' + _ATTRIBUTES + rb">")
_SHARED_MARK, _ERROR_MARK = b't="s"', b't="e"'
_SHARED = re.compile(rb't="s"' + _ATTRIBUTES + rb">" + _FORMULA + rb"<v>(\d{1,9}+)</v>")
_ERROR = re.compile(
    rb'<c r="([A-Z]++)(\d++)"(?: s="\d++")?+ t="e"' + _ATTRIBUTES + rb">" + _FORMULA + rb"<v>([^<]*+)</v>"
)
_BEGIN, _END = b"<sheetData>", b"</sheetData>"
_OF_ROWS = re.compile(rb"<(?:[^\s<>/]*:)?(?:c|row|sheetData)[\s/>]|<!")


class PlainRows:
    """Measures the rows of a sheet: the letters of their columns, the number of the last row with a value, the size of
    their shared texts in bytes, and the errors of Excel as (letters, row, text)."""

    def __init__(self, shared: Sequence[int]) -> None:
        self.columns: set[bytes] = set()
        self.longest = self.text_size = 0
        self.errors: list[tuple[bytes, bytes, bytes]] = []
        self._shared, self._row = shared, 0

    def read(self, chunks: Iterable[bytes]) -> bool:
        """Read a sheet. Returns False if the sheet does not have the usual form. The results are then not valid."""
        unread, is_inside, is_after = b"", False, False
        for chunk in chunks:
            unread += chunk
            if not is_inside and (begin := unread.find(_BEGIN)) >= 0:
                if _OF_ROWS.search(unread, 0, begin):
                    return False
                is_inside, unread = True, unread[begin + len(_BEGIN) :]
            if is_inside and not is_after:
                rows = _ROWS.match(unread)
                if rows is None or not self._take(rows.group()):
                    return False
                unread = unread[rows.end() :]
                is_after = unread.startswith(_END)
            if len(unread) > _MAX_REST:
                return False
        return is_after and not _OF_ROWS.search(unread)

    def _take(self, rows: bytes) -> bool:
        """Measure some rows. Returns False if a pattern does not find all values in them."""
        numbers = [self._row, *map(int, _NUMBER_OF_ROW.findall(rows))]
        if numbers != sorted(numbers):
            return False
        self._row = numbers[-1]
        if filled := _FILLED.findall(rows):
            self.columns |= {letters for letters, _ in filled}
            self.longest = int(filled[-1][1])
        if _SHARED_MARK in rows:
            indexes = list(map(int, _SHARED.findall(rows)))
            if len(indexes) != rows.count(_SHARED_MARK) or max(indexes) >= len(self._shared):
                return False
            self.text_size += sum(map(self._shared.__getitem__, indexes))
        if _ERROR_MARK in rows:
            self.errors += (found := _ERROR.findall(rows))
            return len(found) == rows.count(_ERROR_MARK)
        return True
