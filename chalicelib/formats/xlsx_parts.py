"""Decompresses the parts of an XLSX workbook to measure them, and finds the part with the first sheet.

A workbook is a zip archive. The sizes in its directory are not trusted. A directory that two programs may read in
different ways is refused, so that the library that reads the sheet cannot find parts that were not measured.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from chalicelib.core.errors import LoadError
from chalicelib.core.streams import MIB

MAX_INFLATED = 256 * MIB  # bytes of all parts after decompression
MAX_PARTS = 2_000
STRINGS = "xl/sharedStrings.xml"
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_MAX_INDEX = 4 * MIB  # bytes of the two parts that list the sheets
_OTHER_KINDS = {"mimetype", "content.xml", "xl/workbook.bin"}  # with these parts, the library would read another format
_END = struct.Struct("<4s4H2LH")  # the last bytes of an archive without a comment
_CHUNK = MIB
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # as byte order marks


@dataclass(frozen=True)
class FirstSheet:
    """The sheet to read: its number in the workbook, from 0, and the name of its part. `part` is None if the workbook
    does not say clearly which part has the sheet."""

    number: int
    part: str | None


class Parts:
    """The parts of a workbook. All methods raise LoadError if the file is damaged or exceeds a limit."""

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = ZipFile(io.BytesIO(data))
        except (BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise invalid(error) from error
        entries = self._archive.infolist()
        self.names = [entry.filename for entry in entries]
        _check_directory(data, len(entries))
        if len(entries) > MAX_PARTS:
            raise LoadError(f"the XLSX file has more than {MAX_PARTS} parts: save it as CSV UTF-8")
        if len({name.casefold() for name in self.names}) < len(entries):
            raise invalid("it has two parts of the same name")
        if any(entry.flag_bits & 1 for entry in entries):
            raise LoadError("a password protects the XLSX file: save it without a password")
        if any(entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for entry in entries):
            raise invalid("its compression is unknown")
        if _WORKBOOK not in self.names or not _OTHER_KINDS.isdisjoint(name.casefold() for name in self.names):
            raise invalid("it is a file of another kind")
        self._left = MAX_INFLATED
        self._counted: dict[str, int] = {}  # the bytes of each part that were counted, because a part may be read twice

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a part. All parts together have at most MAX_INFLATED bytes."""
        entry = copy(self._archive.getinfo(name))
        stated, entry.file_size, size = entry.file_size, MAX_INFLATED + 1, 0  # else reading stops there
        try:
            with self._archive.open(entry) as part:
                while chunk := part.read(_CHUNK):
                    if not size and chunk.startswith(_UTF_16) and name.casefold().endswith((".xml", ".rels")):
                        raise invalid("a part of it is in UTF-16")  # a library would find no cells there
                    size += len(chunk)
                    self._left -= max(0, size - self._counted.get(name, 0))
                    self._counted[name] = max(size, self._counted.get(name, 0))
                    if self._left < 0:
                        raise LoadError(
                            f"the XLSX file decompresses to over {MAX_INFLATED // MIB} MB: save it as CSV UTF-8"
                        )
                    yield chunk
        except (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise invalid(error) from error
        if size != stated:
            raise invalid("the size of a part differs from the size in its directory")

    def first_sheet(self) -> FirstSheet:
        """Find the first visible sheet with cells. If all sheets with cells are hidden, find the first of them."""
        sheets = [found for name, found in self._elements(_WORKBOOK) if name == "sheet"]
        targets: dict[str, str] = {}
        is_clear = _RELATIONS in self.names
        for name, found in self._elements(_RELATIONS) if is_clear else ():
            if name == "Relationship" and "Id" in found and "Target" in found:
                is_clear = is_clear and found["Id"] not in targets and "&" not in found["Target"]
                targets[found["Id"]] = found["Target"]
        numbered = [(number, targets.get(_relation(sheet), ""), sheet) for number, sheet in enumerate(sheets)]
        of_cells = [each for each in numbered if not any(kind in each[1] for kind in _WITHOUT_CELLS)] or numbered
        shown = [each for each in of_cells if each[2].get("state", "visible") == "visible"] or of_cells
        if not shown:
            raise invalid("it has no sheet")
        number, target, _ = shown[0]
        path = target.lstrip("/") if target.startswith(("/", "xl/")) else f"xl/{target}"
        return FirstSheet(number, path if is_clear and path in self.names else None)

    def _elements(self, name: str) -> list[tuple[str, dict[str, str]]]:
        """Return the name, without prefix, and the attributes of each element in a small part."""
        found: list[tuple[str, dict[str, str]]] = []
        size = 0
        parser = XmlParser()
        parser.expat.StartElementHandler = lambda tag, attributes: found.append((tag.rpartition(":")[2], attributes))
        for chunk in self.chunks(name):
            size += len(chunk)
            if size > _MAX_INDEX:
                raise invalid("the list of its sheets is too long")
            parser.feed(chunk)
        parser.feed(b"", is_final=True)
        return found


class XmlParser:
    """A parser of XML that refuses document types. Only a document type can declare entities, which could expand to a
    huge text."""

    def __init__(self) -> None:
        self.expat = expat.ParserCreate()
        self.expat.buffer_text = True
        self.expat.StartDoctypeDeclHandler = _refuse_document_type

    def feed(self, chunk: bytes, *, is_final: bool = False) -> None:
        """Parse the next bytes of a document. Raises LoadError if they are not valid XML."""
        try:
            self.expat.Parse(chunk, is_final)
        except expat.ExpatError as error:
            raise invalid(error) from error


def invalid(why: object) -> LoadError:
    """Return the error for a file that is not a valid workbook."""
    remedy = "open it in Excel and save it again, as XLSX or CSV UTF-8"
    return LoadError(f"the file is not a valid XLSX workbook: {str(why)[:200]}; {remedy}")


_WITHOUT_CELLS = ("chartsheets/", "dialogsheets/", "macrosheets/")


def _relation(sheet: dict[str, str]) -> str:
    return next((value for name, value in sheet.items() if name.endswith(":id")), "")


def _check_directory(data: bytes, entries: int) -> None:
    """Raise LoadError unless the archive ends with its directory, and begins with its first part."""
    magic, _, _, _, count, size, offset, comment = _END.unpack(data[-_END.size :])
    if (magic, count, offset + size + _END.size, comment) != (b"PK\x05\x06", entries, len(data), 0):
        raise invalid("its directory is not at its end")


def _refuse_document_type(*_: object) -> None:
    raise invalid("it declares entities")
