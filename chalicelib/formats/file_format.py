"""Finds the format of a file from its first bytes and its declarations, before any row is loaded.

`describe` is a pure function: equal bytes and declarations always give the same format. Therefore a check, every
invocation of a load, and the second reading use the same format.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import DELIMITERS, UNDECLARED, Dates, Declarations
from chalicelib.core.errors import LoadError
from chalicelib.core.rules import check_fields, holds_a_value, is_instant
from chalicelib.core.streams import Readable
from chalicelib.core.texts import is_blank
from chalicelib.formats.containers import HEAD, Container, container_of, refuse_markup, unpacked
from chalicelib.formats.csv_header import is_header, is_whole_number, read_header
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_patterns import Patterns, patterns, split, without_terminator
from chalicelib.formats.gzip_stream import Unzipped
from chalicelib.formats.transcoding import LineFeeds, Transcoded, as_utf8, byte_order_mark, endian

_SEP = re.compile(rb'"?sep=([,;|\t])"?\r*\n', re.IGNORECASE)
# A quoted field of a text whose delimiter is not known yet. The end of the text may cut the field off.
_QUOTED_FIELD = re.compile(rb'(?:(?<=[,;|\t\r\n])|\A)"(?:[^"]++|"")*+(?:"(?=[,;|\t\r\n]|\Z)|\Z)')
BY_POSITION = (
    "the first record is neither a header nor a row: columns were taken by their position, in the order {columns}"
)


@dataclass(frozen=True)
class Coding:
    """How the bytes of a file become text in UTF-8. `has_bare_cr` is true if the lines of the file end with CR, without
    LF."""

    is_gzipped: bool = False
    encoding: str = "utf-8"
    has_bare_cr: bool = False

    def decoded(self, stream: Readable) -> Readable:
        """Convert the stream of the file's bytes into a stream of UTF-8. Its lines end with LF or CR, LF."""
        if self.is_gzipped:
            stream = Unzipped(stream)
        if self.encoding != "utf-8":
            stream = Transcoded(stream, self.encoding)
        return LineFeeds(stream) if self.has_bare_cr else stream


PLAIN = Coding()


@dataclass(frozen=True)
class Format:
    """How the bytes of a file become records. `notices` are sentences about what looks odd in the file."""

    container: Container
    layout: CsvLayout
    coding: Coding = PLAIN
    ignored_columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    declared: Declarations = UNDECLARED

    @property
    def has_ranges(self) -> bool:
        """Whether reading can begin in the middle of the file. Compressed files, and text that is not UTF-8, must be
        read from the beginning."""
        return self.container is Container.TEXT and not self.coding.is_gzipped and self.coding.encoding == "utf-8"

    @property
    def encoding(self) -> str | None:
        """The encoding of a text file, None for Avro and XLSX."""
        return self.coding.encoding if self.container is Container.TEXT else None

    def text(self, stream: Readable) -> Readable:
        """Convert the stream of the file's bytes into a stream of its text in UTF-8."""
        return self.coding.decoded(stream)

    def shown(self) -> dict[str, Any]:
        """Return {"type", "delimiter", "encoding", "header", "ignored_columns"} for the history of loads."""
        is_text = self.container is Container.TEXT
        return {
            "type": self.container.value,
            "delimiter": self.layout.delimiter.decode() if is_text else None,
            "encoding": self.encoding,
            "header": self.layout.has_header,
            "ignored_columns": list(self.ignored_columns),
        }


def describe(dataset: Dataset, head: bytes, *, complete: bool, declared: Declarations = UNDECLARED) -> Format:
    """Return the format of a file of `dataset`. `head` is the first HEAD bytes of the file, or all of its bytes if
    `complete`.

    Raises LoadError for a file that Hireflow does not read, or whose header lacks a column. The header and the columns
    of Avro and XLSX files are not yet in the format: `describe_avro` and `describe_sheet` add them.
    """
    head, complete = head[:HEAD], complete and len(head) <= HEAD
    container, is_gzipped = container_of(head), False
    if container is Container.GZIP:
        head, all_unpacked = unpacked(head)
        complete = complete and all_unpacked
        container, is_gzipped = container_of(head), True
    if is_gzipped and container is not Container.TEXT:
        raise LoadError("the file is packed by gzip, and holds another packed file: send that file itself")
    by_position = Format(container, CsvLayout.by_position(dataset), Coding(is_gzipped), declared=declared)
    return _describe_text(dataset, by_position, head, complete) if container is Container.TEXT else by_position


def _describe_text(dataset: Dataset, file_format: Format, head: bytes, complete: bool) -> Format:
    """Complete the format of a text file. `file_format` has its container and its declarations. `head` is the beginning
    of the text, after decompression."""
    declared = file_format.declared
    marked = byte_order_mark(head)
    encoding = endian(declared.encoding, head) if declared.encoding else marked[1] if marked else "utf-8"
    text = as_utf8(head, encoding, final=complete)
    refuse_markup(text)
    has_bare_cr = _has_bare_cr(text, complete)
    text = text.replace(b"\r", b"\n") if has_bare_cr else text
    text += b"\n" if complete and not text.endswith(b"\n") else b""
    sep = _SEP.match(text)
    text = text[sep.end() :] if sep else text
    delimiter = (declared.delimiter or "").encode() or (sep[1] if sep else _delimiter(dataset, text, complete))
    records = _records(text, delimiter, complete)
    first = next(records, None)
    header = read_header(dataset, first) if first is not None else None
    if header:
        layout = CsvLayout(delimiter, header.positions, has_header=True, names=header.names)
    else:
        layout = _by_position(dataset, delimiter, chain((first,), records), declared.dates)
    notices = () if header or first is None else notices_of(dataset, first, declared.dates)
    ignored = header.ignored if header else ()
    return replace(
        file_format,
        layout=replace(layout, has_sep_line=bool(sep)),
        coding=replace(file_format.coding, encoding=encoding, has_bare_cr=has_bare_cr),
        ignored_columns=ignored,
        notices=notices,
    )


def _by_position(dataset: Dataset, delimiter: bytes, records: Iterable[list[bytes] | None], dates: Dates) -> CsvLayout:
    """Return the layout of a text without a header.

    The first record that is a valid row says how many columns the file has. A record that is rejected says nothing
    about the other records: an additional comma in it may look like one more column. If no record is valid, the first
    well-formed record decides.
    """
    first: CsvLayout | None = None
    for fields in records if dataset.fewest < len(dataset.columns) else ():
        if fields is not None:
            layout = CsvLayout.by_position(dataset, delimiter, len(fields))
            sent = layout.trimmed(fields)
            if not layout.miscounted(sent) and check_fields(dataset, layout.values(dataset, sent), dates).valid:
                return layout
            first = first or layout
    return first or CsvLayout.by_position(dataset, delimiter)


def _has_bare_cr(text: bytes, complete: bool) -> bool:
    """Whether CR alone ends the lines of a text. Excel for Macintosh writes LF only inside quotes, for a line break in
    a cell."""
    text = text if complete else text.rstrip(b"\r")  # LF may follow
    if b"\r" not in text:
        return False
    if b"\n" in text:
        text = _QUOTED_FIELD.sub(b"", text)
    return b"\r" in text and b"\n" not in text


def _delimiter(dataset: Dataset, text: bytes, complete: bool) -> bytes:
    """Return the delimiter of a text. A record fits a delimiter as `_fits` says. The comma wins if at least one record
    fits it. Otherwise, the delimiter that most records fit wins. If no record fits any delimiter, it is the comma."""
    comma, *others = (name.encode() for name in DELIMITERS.values())
    if any(_fits(dataset, text, comma, complete)):
        return comma
    fitting = {delimiter: sum(_fits(dataset, text, delimiter, complete)) for delimiter in others}
    best = max(others, key=fitting.__getitem__)
    return best if fitting[best] else comma


def _fits(dataset: Dataset, text: bytes, delimiter: bytes, complete: bool) -> Iterator[bool]:
    """Yield for each record whether it fits the delimiter. A record fits if it has enough fields, nothing beyond the
    last column, and a whole number as its id. A header fits if it names a column of any dataset."""
    fewest, most, id_at = dataset.fewest, len(dataset.columns), 0
    for number, fields in enumerate(_records(text, delimiter, complete)):
        if fields is None:
            yield False
            continue
        texts = [field.decode("utf-8", "replace") for field in fields]
        if not number and len(fields) > 1 and is_header(texts):
            yield True
            with suppress(LoadError):  # after the delimiter was chosen, the header is read again and the error raised
                header = read_header(dataset, fields)
                if header:
                    fewest = most = len(header.positions)
                    id_at = header.positions.index(0)
        else:
            has_columns = len(fields) >= fewest and all(map(is_blank, texts[most:]))
            # If there is a tab beside the number, the delimiter of the file is the tab.
            yield has_columns and "\t" not in texts[id_at] and is_whole_number(texts[id_at])


def _records(text: bytes, delimiter: bytes, complete: bool) -> Iterator[list[bytes] | None]:
    """Yield the fields of each record, or None for a record that breaks the rules of quoting. Blank lines are skipped.
    The last record is left out if it is cut off. In a `complete` text, no record is cut off."""
    shapes, position = patterns(delimiter), 0
    while True:
        if blank := shapes.blank_lines.match(text, position):
            position = blank.end()
        well_formed = shapes.record.match(text, position)
        if well_formed:
            position = well_formed.end()
            yield split(without_terminator(well_formed.group()), delimiter)
        elif (end := _end_of_malformed(shapes, text, position, complete)) is not None:
            position = end
            yield None
        else:
            return


def _end_of_malformed(shapes: Patterns, text: bytes, position: int, complete: bool) -> int | None:
    """Return the position after a record that breaks the rules of quoting, or None if the record is cut off.

    A record with a quote that is never closed ends with the line of that quote. If the text is not complete, the
    closing quote may follow after its end, so the end of the record is unknown.
    """
    if record := shapes.any_record.match(text, position):
        return record.end()
    opening = shapes.spaces.match(text, shapes.fields.match(text, position).end()).end()  # type: ignore[union-attr]
    if text[opening : opening + 1] != b'"' or shapes.ended.match(text, opening):
        return None
    if not complete and not shapes.quoted.match(text, opening):
        return None
    return text.find(b"\n", opening) + 1 or None


def notices_of(dataset: Dataset, first: Sequence[bytes], dates: Dates = "iso") -> tuple[str, ...]:
    """Return the notices for a file whose first record is not a header. `first` has the fields of this record.

    If no field is a whole number, a date or a valid value of its column, the record cannot be a row, either, and the
    result is one notice. Columns for texts do not count, because nearly every text is valid for them.
    """
    texts = [field.decode("utf-8", "replace") for field in first]
    if any(is_whole_number(text) or is_instant(text, dates) for text in texts) or holds_a_value(dataset, texts, dates):
        return ()
    return (BY_POSITION.format(columns=", ".join(dataset.column_names)),)
