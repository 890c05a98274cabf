"""Measures the memory that a sheet of an XLSX workbook will take, before a library reads the sheet.

The library keeps all cells of the rectangle that a sheet spans. Each cell that refers to a shared text gets a copy of
the text. Therefore a file of some kilobytes could fill the memory. Measuring takes little memory for every file.
"""

from array import array
from collections.abc import Iterable, Sequence

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB
from chalicelib.formats.xlsx_parts import STRINGS, FirstSheet, Parts, XmlParser, invalid
from chalicelib.formats.xlsx_plain_rows import PlainRows

MAX_CELLS = 4_000_000  # cells of the rectangle that the sheet spans
MAX_TEXT = 96 * MIB  # the most bytes of the shared texts, and the most bytes of their copies in the cells
MAX_ERRORS = 200_000  # cells that hold an error of Excel
MAX_ELEMENTS = 16_000_000  # the most elements of a part; parsing this many takes some seconds
_MAX_DEPTH = 64
_DIGITS = "0123456789"

Errors = dict[int, dict[int, str]]


class _Elements:
    """Parses a part, and limits its number of elements. Subclasses handle the names, attributes and texts of the
    elements."""

    def __init__(self) -> None:
        self._count = self._depth = 0

    def read(self, chunks: Iterable[bytes]) -> None:
        parser = XmlParser()
        parser.expat.StartElementHandler = self._start
        parser.expat.EndElementHandler = self._end
        parser.expat.CharacterDataHandler = self._text
        for chunk in chunks:
            parser.feed(chunk)
            if self._count > MAX_ELEMENTS:
                raise LoadError("the XLSX file has too many elements: save it as CSV UTF-8")
        parser.feed(b"", is_final=True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise invalid("its elements are nested too deeply")
        self._opened(name.rpartition(":")[2] if ":" in name else name, attributes)

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _opened(self, name: str, attributes: dict[str, str], /) -> None: ...
    def _text(self, text: str) -> None: ...


class SharedTexts(_Elements):
    """Measures the shared texts. `sizes` has the size of each text in bytes, by the index of the text."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = array("L")

    def _opened(self, name: str, _attributes: dict[str, str], /) -> None:
        if name == "si":
            if len(self.sizes) >= MAX_CELLS:
                raise LoadError(f"the XLSX file has over {MAX_CELLS} texts: save it as CSV UTF-8")
            self.sizes.append(0)

    def _text(self, text: str) -> None:
        if self.sizes:
            self.sizes[-1] += len(text.encode())


class SheetSize(_Elements):
    """Measures the rectangle of a sheet's cells that have a value, and collects the errors of Excel in them:
    {row: {column: text}}. Rows and columns are numbered from 1."""

    def __init__(self, shared: Sequence[int]) -> None:
        super().__init__()
        self.errors: Errors = {}
        self._shared, self._text_left = shared, MAX_TEXT
        self._row = self._column = self._widest = self._longest = self._error_count = 0
        self._first_column = 2**63
        self._row_digits = self._kind = ""
        self._is_value = False
        self._numbers: dict[str, int] = {}  # the numbers of columns, by their letters

    def _opened(self, name: str, attributes: dict[str, str], /) -> None:
        self._is_value = name == "v"
        if name == "c":
            self._kind = attributes.get("t", "")
            if "r" in attributes:
                self._move(attributes["r"])
            else:
                self._column += 1
        elif self._is_value or name == "is":
            self._widest = max(self._widest, self._column)
            self._first_column = min(self._first_column, self._column)
            self._longest = self._row
        elif name == "row":
            self._row_digits, self._column = "", 0
            self._go_to(int(attributes["r"]) if attributes.get("r", "").isdecimal() else self._row + 1)

    def _move(self, reference: str) -> None:
        """Set the current cell from a reference such as C12."""
        letters = reference.rstrip(_DIGITS)
        if letters not in self._numbers:
            self._numbers[letters] = column_number(letters)
        self._column = self._numbers[letters]
        digits = reference[len(letters) :]
        if digits != self._row_digits:
            if not 0 < len(digits) < 8:
                raise invalid("the reference of a cell has no valid row")
            self._row_digits = digits
            self._go_to(int(digits))

    def _go_to(self, row: int) -> None:
        if row < self._row:
            raise invalid("its rows are not in ascending order")
        self._row = row

    def _text(self, text: str) -> None:
        if not self._is_value:
            return
        if self._kind == "s":
            index = int(text) if text.isdecimal() else -1
            self._text_left -= self._shared[index] if 0 <= index < len(self._shared) else 0
            if self._text_left < 0:
                raise LoadError(f"the texts of the first sheet have over {MAX_TEXT // MIB} MB: save it as CSV UTF-8")
        elif self._kind == "e":
            self._error_count += 1
            if self._error_count > MAX_ERRORS:
                raise LoadError(f"over {MAX_ERRORS} cells hold an error of Excel: correct their formulas")
            self.errors.setdefault(self._row, {})[self._column] = text[:40]

    def check(self) -> None:
        """Raise LoadError if the sheet spans too many cells."""
        if (self._widest - self._first_column + 1) * self._longest > MAX_CELLS:
            raise LoadError(f"the first sheet spans over {MAX_CELLS} cells: delete empty rows, or save it as CSV UTF-8")


def measured(parts: Parts, first: FirstSheet) -> Errors:
    """Measure all parts, and return the errors of Excel in the first sheet. Raises LoadError if a limit is exceeded.

    If it is not clear which part has the first sheet, all parts that may have it are measured as sheets.
    """
    shared = SharedTexts()
    for name in parts.names:
        if name.casefold() == STRINGS.casefold():
            shared.read(parts.chunks(name))
    if sum(shared.sizes) > MAX_TEXT:
        raise LoadError(f"the texts of the XLSX file have over {MAX_TEXT // MIB} MB: save it as CSV UTF-8")
    errors: Errors = {}
    for name in parts.names:
        is_strings = name.casefold() == STRINGS.casefold()
        if first.part in (name, None) and name.casefold().endswith(".xml") and not is_strings:
            errors = errors or _measured_sheet(parts, name, shared.sizes)
        elif not is_strings:
            for _ in parts.chunks(name):
                pass
    return errors


def _measured_sheet(parts: Parts, name: str, shared: Sequence[int]) -> Errors:
    """Measure a sheet, and return its errors of Excel. If the patterns find that a limit is exceeded, the parser
    measures the sheet again, and raises the error for this limit."""
    plain = PlainRows(shared)
    if plain.read(parts.chunks(name)):
        columns = [column_number(letters.decode()) for letters in plain.columns] or [1]
        cells = (max(columns) - min(columns) + 1) * plain.longest
        if cells <= MAX_CELLS and plain.text_size <= MAX_TEXT and len(plain.errors) <= MAX_ERRORS:
            return _by_row(plain.errors)
    sheet = SheetSize(shared)
    sheet.read(parts.chunks(name))
    sheet.check()
    return sheet.errors


def _by_row(errors: Iterable[tuple[bytes, bytes, bytes]]) -> Errors:
    by_row: Errors = {}
    for letters, row, text in errors:
        by_row.setdefault(int(row), {})[column_number(letters.decode())] = text.decode("utf-8", "replace")[:40]
    return by_row


def column_number(letters: str) -> int:
    """Return the number of a column from 1, by its letters. Raises LoadError."""
    number = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z" or number > MAX_CELLS:
            raise invalid("the reference of a cell has no valid column")
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
