"""Recognises the type of a file by its first bytes. The name of the file does not matter."""

import re
import zlib
from enum import Enum

from chalicelib.core.errors import LoadError

HEAD = 64 * 1024  # a file is understood from this many bytes at its beginning, before and after decompression


class Container(Enum):
    """How the records of a file are packed."""

    TEXT = "csv"
    GZIP = "gzip"
    XLSX = "xlsx"
    AVRO = "avro"


# Types of files that Hireflow does not read, by the bytes at their beginning. The text names the type, and says what to
# do instead.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet file: export it as CSV or Avro"),
    (b"%PDF-", "a PDF file: export the table as CSV or XLSX"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # a workbook with a password has the format of old Excel files, too
        "an old Excel file (XLS) or one with a password: save it as XLSX without a password, or as CSV UTF-8",
    ),
    (b"BZh", "packed by bzip2: pack it by gzip, or send it as it is"),
    (b"\xfd7zXZ\x00", "packed by xz: pack it by gzip, or send it as it is"),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard: pack it by gzip, or send it as it is"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: pack the file by gzip, or send it as it is"),
    (b"Rar!\x1a\x07", "a RAR archive: pack the file by gzip, or send it as it is"),
    (b"ORC", "an ORC file: export it as CSV or Avro"),
    (b"SQLite format 3\x00", "an SQLite database: export the table as CSV"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"{\\rtf", "an RTF document: export the table as CSV or XLSX"),
)
_ZIPPED: tuple[tuple[bytes, str], ...] = (
    (b"application/vnd.oasis.opendocument.spreadsheet", "an OpenDocument spreadsheet: save it as XLSX or CSV UTF-8"),
    (b"word/", "a Word document: export the table as CSV or XLSX"),
    (b"ppt/", "a PowerPoint document: export the table as CSV or XLSX"),
    (b"xl/workbook.bin", "a binary Excel file (XLSB): save it as XLSX or CSV UTF-8"),
)
_MARKUP = re.compile(rb"\s*+<(?:!doctype\s|html|head|body|table|\?xml|!--)", re.IGNORECASE)
_JSON = re.compile(rb"\s*+(?:\[\s*+[\[{]|\[\s*+\]|\{\s*+(?:\"(?:[^\"\\]|\\.)*+\"\s*+:|\}))")
_ZIP, _EMPTY_ZIP, _GZIP = b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b"
_OF_XLSX = (b"xl/", b"[Content_Types].xml")


def container_of(head: bytes) -> Container:
    """Return the container of a file by its first bytes. Raises LoadError for a type of file that Hireflow does not
    read. The error names the type."""
    if head.startswith(_GZIP):
        return Container.GZIP
    if head.startswith(b"Obj\x01"):
        return Container.AVRO
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _zipped(head)
    for magic, kind in _OTHERS:
        if head.startswith(magic) and not _is_text(head):
            raise LoadError(f"the file is {kind}")
    return Container.TEXT


def refuse_markup(text: bytes) -> None:
    """Raise LoadError if `text`, the beginning of a text file in UTF-8, looks like HTML, XML or JSON."""
    if _MARKUP.match(text):
        kind = "an XML file" if text.lstrip().startswith(b"<?xml") else "an HTML page"
        raise LoadError(f"the file is {kind}: export the table as CSV or XLSX")
    if _JSON.match(text):
        raise LoadError("the file is JSON: send rows as JSON to the API, or export them as CSV")


def unpacked(head: bytes) -> tuple[bytes, bool]:
    """Decompress the beginning of a gzip file. Returns at most HEAD bytes, and whether they are all that `head` holds.

    Raises LoadError if the file is not valid gzip.
    """
    parts, size = [], 0
    try:
        while head and size < HEAD:
            member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            parts.append(member.decompress(head, HEAD - size))
            size += len(parts[-1])
            if not member.eof:
                return b"".join(parts), False
            head = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise LoadError(f"the object is not a sound gzip file: {error}") from error
    return b"".join(parts), not head


def _zipped(head: bytes) -> Container:
    for mark, kind in _ZIPPED:
        if mark in head:
            raise LoadError(f"the file is {kind}")
    if any(mark in head for mark in _OF_XLSX):
        return Container.XLSX
    raise LoadError("the file is a zip archive: send the files in it one by one, or pack each of them by gzip")


def _is_text(head: bytes) -> bool:
    """Return whether a file is text although its first bytes are those of another type. A CSV file may begin with, for
    example, `ORC,`. Such a file has a first line of printable ASCII with a comma."""
    line = head.split(b"\n", 1)[0][:200]
    return head[:3].isalpha() and b"," in line and all(32 <= byte < 127 or byte in b"\t\r" for byte in line)
