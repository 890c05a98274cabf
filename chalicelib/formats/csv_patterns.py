"""Byte patterns for clean lines and for CSV records. The pattern for clean lines is derived from the dataset.

The clean-line pattern is the fast path. Every line that it matches is valid and goes to COPY without parsing, at the
speed of C. It does not match every valid line: the slow path checks the others. But it never matches an invalid line.
Possessive quantifiers (Python 3.11) prevent backtracking, so that matching a run of lines takes linear time.
"""

import re
from dataclasses import dataclass
from functools import cache

from chalicelib.core.dataset import Dataset
from chalicelib.core.kinds.ids import CLEAN_DECIMALS
from chalicelib.core.kinds.text import DROPPED, plain_character
from chalicelib.formats.csv_layout import CsvLayout


@dataclass(frozen=True)
class Patterns:
    """The patterns of records whose fields are separated by one delimiter.

    `record` matches a well-formed record, and `field` matches one of its fields. `any_record` matches also a record
    that breaks the rules of quoting. In it, a field that begins with a quote goes on at least to its closing quote. The
    other patterns match parts of such a record. `fields` matches whole fields with their delimiters. `spaces` matches
    the spaces before a quoted field, `ended` matches a quoted field, and `rest_of_field` matches the characters after
    its closing quote. `quoted` matches a field up to the next quote that may close it. `ended` does not match if this
    quote opens another field instead.
    """

    blank_lines: re.Pattern[bytes]
    field: re.Pattern[bytes]
    record: re.Pattern[bytes]
    any_record: re.Pattern[bytes]
    fields: re.Pattern[bytes]
    spaces: re.Pattern[bytes]
    quoted: re.Pattern[bytes]
    ended: re.Pattern[bytes]
    rest_of_field: re.Pattern[bytes]


_EMPTY = rb'(?:"")?'
REST_OF_LINE = re.compile(rb"[^\n]*+")
_QUOTED = rb'"(?:[^"]++|"")*+"'


@cache
def patterns(delimiter: bytes) -> Patterns:
    """Return the patterns for a delimiter, which is one byte."""
    d = re.escape(delimiter)
    bare = rb'[^"' + d + rb"\n]*+"
    rest = rb"[^" + d + rb"\n]*+"
    spaces = rb"[ ]*+" if delimiter == b"\t" else rb"[ \t]*+"
    field = rb"(?:" + _QUOTED + rb"|" + bare + rb")"
    # A quote on a later line opens a new field if it begins a field of that line and another quote ends that field.
    # Such a quote does not close this field. Spaces before a quote are against the rules, but a program that writes
    # them still means a quoted field, so line breaks inside it do not end the record.
    on_one_line = rb'"(?:[^"\n]++|"")*+"'
    end = rb"(?:" + d + rb"|\r{0,2}\n)"
    opens = rb"(?:(?<=[" + d + rb'\n]")|(?<=[' + d + rb'\n] "))[^"\n]++(?:""[^"\n]*+)*+"' + end
    ended = rb"(?:" + on_one_line + rb"|" + _QUOTED + rb"(?:(?=" + end + rb")|(?!" + opens + rb")))"
    # Quotes inside an unquoted field are ordinary characters.
    any_field = rb"(?:" + spaces + ended + rest + rb"|(?!" + spaces + rb'")' + rest + rb")"
    return Patterns(
        blank_lines=re.compile(rb"(?:(?:[ \t\r\x0b\x0c" + d + rb"]|" + rb"|".join(DROPPED) + rb")*+\n)+"),
        field=re.compile(rb"(" + _QUOTED + rb"|" + bare + rb")[" + d + rb"\n]"),
        record=re.compile(field + rb"(?:" + d + field + rb")*+\r{0,2}\n"),
        any_record=re.compile(any_field + rb"(?:" + d + any_field + rb")*+\n"),
        fields=re.compile(rb"(?:" + any_field + d + rb")*+"),
        spaces=re.compile(spaces),
        quoted=re.compile(_QUOTED),
        ended=re.compile(ended),
        rest_of_field=re.compile(rest),
    )


def without_terminator(record: bytes) -> bytes:
    """Return a record without its line end. The line end may be CR, CR, LF: Python's csv module writes this on Windows
    if the file was opened without `newline=""`."""
    return record[:-1].removesuffix(b"\r").removesuffix(b"\r")


def split(record: bytes, delimiter: bytes) -> list[bytes]:
    """Return the fields of a well-formed record, without their quotes. `record` has no line end."""
    return [_unquoted(field) for field in patterns(delimiter).field.findall(record + b"\n")]


def _unquoted(field: bytes) -> bytes:
    return field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field


@cache
def clean_lines(dataset: Dataset, layout: CsvLayout) -> re.Pattern[bytes]:
    """Return the pattern of the longest run of clean lines of this layout. Each field has no quotes, or is wholly in
    quotes. The field of an optional column may be empty, which means NULL."""
    line = _clean_line(dataset, layout, re.escape(layout.delimiter))
    # The atomic group avoids a bug of early releases of Python 3.11 (CPython issue 106052): a possessive repeat of
    # lines may end in the middle of a line that does not match.
    return re.compile(rb"(?:(?>" + line + rb"\r{0,2}\n))*+")


@dataclass(frozen=True)
class Decimals:
    """Removes the decimals of ids and whole numbers from runs of clean lines without quotes: `12.0` becomes `12`.

    `line` matches a line, and `kept` is the replacement for it. `possible` matches a field that ends with such
    decimals. `without` matches a run whose ids and whole numbers have none. A search for `possible` and a match of
    `without` are several times faster than a replacement, and most files need no replacement: `.0` stands only in their
    texts and decimal numbers.
    """

    line: re.Pattern[bytes]
    kept: bytes
    possible: re.Pattern[bytes]
    without: re.Pattern[bytes]

    def removed(self, lines: bytes) -> bytes:
        if b"." not in lines or not self.possible.search(lines) or self.without.fullmatch(lines):
            return lines
        return self.line.sub(self.kept, lines)


@cache
def decimals(dataset: Dataset, layout: CsvLayout) -> Decimals:
    """Return the object that removes decimals from clean lines of this layout."""
    d = re.escape(layout.delimiter)
    wholes = [b"" if at is None else dataset.columns[at].kind.whole for at in layout.positions]
    fields = [rb"(?:" + whole + rb")?" if whole else rb"[^" + d + rb"\n]*+" for whole in wholes]
    line = d.join(
        rb"(" + field + rb")" + (CLEAN_DECIMALS if whole else b"") for field, whole in zip(fields, wholes, strict=True)
    )
    kept = layout.delimiter.join(rb"\g<%d>" % number for number in range(1, len(fields) + 1))
    possible, without = rb"\.00?[" + d + rb"\n]", rb"(?:(?>" + d.join(fields) + rb"\n))*+"
    return Decimals(re.compile(line + rb"\n"), kept + rb"\n", re.compile(possible), re.compile(without))


def _clean_line(dataset: Dataset, layout: CsvLayout, d: bytes) -> bytes:
    """Return the pattern of a clean line without its end. `d` is the delimiter, escaped."""
    line, last = b"", len(layout.positions) - 1
    for at, position in reversed(list(enumerate(layout.positions))):
        field = _clean_field(dataset, position, d)
        column = None if position is None else dataset.columns[position]
        may_be_empty = rb"|" + _EMPTY if column and column.optional else b""
        line = rb"(?:" + field + rb"|\"" + field + rb"\"" + may_be_empty + rb")" + (d + line if line else b"")
        if column and column.may_be_absent and not column.optional and not layout.has_header:
            # The column is mandatory, so its field may be empty only if all fields after it are empty, too. Then the
            # row leaves out all of these columns.
            line = rb"(?:" + line + rb"|" + d.join([_EMPTY] * (last - at + 1)) + rb")"
    return line


def _clean_field(dataset: Dataset, position: int | None, d: bytes) -> bytes:
    return plain_character(d) + rb"*+" if position is None else dataset.columns[position].kind.clean(d)
