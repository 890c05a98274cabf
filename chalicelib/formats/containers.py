"""Recognises the type of a file by its first bytes. The name of the file does not matter."""

import codecs
import re
import zlib
from enum import Enum

from chalicelib.core.errors import LoadError
from chalicelib.formats.gzip_stream import invalid_gzip

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
# A document begins with a declaration, a comment, or a tag that has an attribute or that another tag follows. A value
# such as `<none>` is none of these.
_HTML_TAG = rb"(?:html|head|body|table|tr|meta|title|style|script|link|div|p|h[1-6]|pre|br|font|center)\b"
_HTML = re.compile(rb"\s*+<(?:!doctype\s|!--|" + _HTML_TAG + rb")", re.IGNORECASE)
_XML = re.compile(rb"\s*+<(?:\?xml|[a-z_][\w:.-]*+(?:\s++[\w:.-]++\s*+=|[^<>]*+>\s*+<))", re.IGNORECASE)
_JSON_TEXT = rb'"(?:[^"\\]|\\.)*+"'
_JSON = re.compile(
    rb"\s*+(?:\[\s*+(?:[\[{\]]|(?:" + _JSON_TEXT + rb"|-?\d[\d.eE+-]*+)\s*+,)|\{\s*+(?:" + _JSON_TEXT + rb"\s*+:|\}))"
)
_ZIP, _EMPTY_ZIP, _GZIP = b"PK\x03\x04", (b"PK\x05\x06", b"PK\x07\x08"), b"\x1f\x8b"
_TAR, _TAR_AT = b"ustar", 257  # bytes before the mark, which are the name, size and times of the first file
_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_OF_XLSX = (b"xl/", b"[Content_Types].xml")


def container_of(head: bytes) -> Container:
    """Return the container of a file by its first bytes. Raises LoadError for a type of file that Hireflow does not
    read. The error names the type."""
    if head.startswith(_GZIP):
        return Container.GZIP
    if head.startswith(b"Obj\x01"):
        return Container.AVRO
    if head.startswith((_ZIP, *_EMPTY_ZIP)):
        return _zipped(head)
    if head.startswith(_TAR, _TAR_AT) and b"\0" in head[:_TAR_AT]:
        raise LoadError("the file is a tar archive: send the files in it one by one, or pack each of them by gzip")
    if head.startswith(_UTF_32):
        raise LoadError("the file is text in UTF-32: save it as CSV UTF-8")
    for magic, kind in _OTHERS:
        if head.startswith(magic) and not _is_text(head):
            raise LoadError(f"the file is {kind}")
    return Container.TEXT


def refuse_markup(text: bytes) -> None:
    """Raise LoadError if `text`, the beginning of a text file in UTF-8, looks like HTML, XML or JSON."""
    for kind, pattern in (("an HTML page", _HTML), ("an XML file", _XML)):
        if pattern.match(text):
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
        raise invalid_gzip(error) from error
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
