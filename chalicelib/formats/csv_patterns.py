"""Byte patterns for clean lines and for CSV records. The pattern for clean lines is derived from the dataset.

The clean-line pattern is the fast path. Every line that it matches is valid and goes to COPY without parsing, at the
speed of C. It does not match every valid line: the slow path checks the others. But it never matches an invalid line.
Possessive quantifiers (Python 3.11) prevent backtracking, so that matching a run of lines takes linear time.
"""

import re
from dataclasses import dataclass
from functools import cache

from chalicelib.core.datasets import MAX_TEXT, Dataset, Kind
from chalicelib.formats.csv_layout import CsvLayout

_DAY = rb"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_TIME = rb"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_OFFSET = rb"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?"
# What the rules drop at both ends of a value beyond ASCII, as UTF-8: such a sequence must neither start nor end a text.
_DROPPED = (
    rb" ",
    rb"\xc2[\x85\xa0\xad]",
    rb"\xe1\x9a\x80",
    rb"\xe2\x80[\x80-\x8f\xa8-\xaf]",
    rb"\xe2\x81[\x9f-\xa4\xa6-\xa9]",
    rb"\xe3\x80\x80",
    rb"\xef\xbb\xbf",
)
# The slow path judges what Excel writes for an error (#REF!), and counts the words that mean "nothing" elsewhere.
_SUSPICIOUS = rb"#|(?i:null|none|nan|n/a)[\"\r\n%s]"
# Nearly every text begins and ends with an ordinary character, which one look at a byte tells.
_BEGINS_WELL = rb"(?:(?=[!$-MO-mo-~])|(?!" + rb"|".join((_SUSPICIOUS, *_DROPPED)) + rb"))"
_ENDS_WELL = rb"(?:(?<=[!-~])|" + b"".join(rb"(?<!" + dropped + rb")" for dropped in _DROPPED) + rb")"
_ID = rb"[1-9]\d{0,8}"
_DECIMALS = rb"(?:\.00?)?"  # pandas and Excel write whole numbers like this


@dataclass(frozen=True)
class Patterns:
    """How records look that are separated by one delimiter.

    `record` is a well-formed record, `field` one of its fields. `any_record` is a record that may break the rules of
    quoting: a field that begins with a quote includes its closing quote. The others are the parts of such a record:
    `fields` whole fields with their delimiters, `spaces` before a quoted field, `ended` a quoted field, `rest_of_field`
    what follows its closing quote. `quoted` is a field up to the next quote that may close it: `ended` does not match
    where this quote opens another field instead.
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


REST_OF_LINE = re.compile(rb"[^\n]*+")
_QUOTED = rb'"(?:[^"]++|"")*+"'


@cache
def patterns(delimiter: bytes) -> Patterns:
    """The patterns for one of the delimiters, a single byte."""
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
        blank_lines=re.compile(rb"(?:(?:[ \t\r\x0b\x0c" + d + rb"]|" + rb"|".join(_DROPPED) + rb")*+\n)+"),
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
    """A record without its line end, which may be CR, CR, LF: Python's csv module writes that on Windows."""
    return record[:-1].removesuffix(b"\r").removesuffix(b"\r")


def split(record: bytes, delimiter: bytes) -> list[bytes]:
    """The fields of a well-formed record without its line end, without their quotes."""
    return [_unquoted(field) for field in patterns(delimiter).field.findall(record + b"\n")]


def _unquoted(field: bytes) -> bytes:
    return field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field


@cache
def clean_lines(dataset: Dataset, layout: CsvLayout) -> re.Pattern[bytes]:
    """The longest run of lines of this layout that are clean, each field bare or wholly in quotes."""
    d = re.escape(layout.delimiter)
    fields = [_clean_field(dataset, position, d) for position in layout.positions]
    line = d.join(rb"(?:" + field + rb"|\"" + field + rb"\")" for field in fields)
    # The atomic group is for early Pythons 3.11 (CPython issue 106052): after a failed repetition they leave a
    # possessive repeat inside the line that did not match.
    return re.compile(rb"(?:(?>" + line + rb"\r{0,2}\n))*+")


@cache
def decimal_ids(dataset: Dataset, layout: CsvLayout) -> tuple[re.Pattern[bytes], bytes]:
    """A pattern of clean lines without quotes, and its replacement: the same lines with `12` in place of `12.0`."""
    d = re.escape(layout.delimiter)
    parts = [
        rb"(" + (d if at else b"") + (_ID + rb")" + _DECIMALS if _is_id(dataset, position) else rb"[^" + d + rb"\n]*+)")
        for at, position in enumerate(layout.positions)
    ]
    kept = b"".join(rb"\g<%d>" % number for number in range(1, len(parts) + 1))
    return re.compile(b"".join(parts) + rb"\n"), kept + rb"\n"


def _is_id(dataset: Dataset, position: int | None) -> bool:
    return position is not None and dataset.columns[position].kind is Kind.ID


def _clean_field(dataset: Dataset, position: int | None, d: bytes) -> bytes:
    plain = rb'[^"\\\x00-\x1f\x7f' + d + rb"]"  # needs no quoting in CSV and no escape in COPY's text format
    if position is None:
        return plain + rb"*+"
    kind = dataset.columns[position].kind
    if kind is Kind.ID:
        return _ID + _DECIMALS
    if kind is Kind.INSTANT:
        return rb"(?:19|20)\d\d-" + _DAY + rb"[T ]" + _TIME + _OFFSET
    return _BEGINS_WELL % d + plain + rb"{1,%d}+" % MAX_TEXT + _ENDS_WELL
