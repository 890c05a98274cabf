"""Byte patterns for clean lines and for CSV records. The pattern for clean lines is derived from the dataset.

The clean-line pattern is the fast path. Every line that it matches is valid and goes to COPY without parsing, at the
speed of C. It does not match every valid line: the slow path checks the others. But it never matches an invalid line.
Possessive quantifiers (Python 3.11) prevent backtracking, so that matching a run of lines takes linear time.
"""

import re
from functools import cache

from chalicelib.core.datasets import MAX_TEXT, Dataset, Kind

_DAY = rb"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_TIME = rb"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_OFFSET = rb"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?"
# The characters outside ASCII that str.strip() removes, in UTF-8. A clean text must not begin or end with one of them.
_UNICODE_SPACES = (
    rb"\xc2[\x85\xa0]",
    rb"\xe1\x9a\x80",
    rb"\xe2\x80[\x80-\x8a\xa8\xa9\xaf]",
    rb"\xe2\x81\x9f",
    rb"\xe3\x80\x80",
)
_NO_SPACE_AHEAD = rb"(?!" + rb"|".join((b" ", *_UNICODE_SPACES)) + rb")"
_NO_SPACE_BEHIND = b"".join(rb"(?<!" + space + rb")" for space in (b" ", *_UNICODE_SPACES))
_PLAIN = rb'[^",\\\x00-\x1f\x7f]'  # needs no quoting in CSV and no escape in COPY's text format

_CLEAN_FIELD = {
    Kind.ID: rb"[1-9]\d{0,8}",
    Kind.TEXT: _NO_SPACE_AHEAD + _PLAIN + rb"{1,%d}+" % MAX_TEXT + _NO_SPACE_BEHIND,
    Kind.INSTANT: rb"(?:19|20)\d\d-" + _DAY + rb"[T ]" + _TIME + _OFFSET,
}

_QUOTED = rb'"(?:[^"]++|"")*+"'
_BARE = rb'[^",\n]*+'
_FIELD = rb"(?:" + _QUOTED + rb"|" + _BARE + rb")"

# A quoted field up to its closing quote. Text after the closing quote is not included. Not every quote on a later line
# closes the field. If a quote begins a field of that line, and another quote ends that field on the same line, then the
# first of these two quotes opens a new field. Spaces before a quote are against the rules. But a program that writes
# such spaces still intends a quoted field, so line breaks inside the field do not end the record.
_ON_ONE_LINE = rb'"(?:[^"\n]++|"")*+"'
_OPENS = rb'(?:(?<=[,\n]")|(?<=[,\n] "))[^"\n]++(?:""[^"\n]*+)*+"(?:,|\r?\n)'
_ENDED = rb"(?:" + _ON_ONE_LINE + rb"|" + _QUOTED + rb"(?:(?=,|\r?\n)|(?!" + _OPENS + rb")))"
_ANY_FIELD = (
    rb"(?:[ \t]*+" + _ENDED + rb"[^,\n]*+|(?![ \t]*+\")[^,\n]*+)"
)  # quotes inside an unquoted field are ordinary characters

BLANK_LINES = re.compile(rb"(?:[ \t\r]*\n)+")
FIELD = re.compile(rb"(" + _QUOTED + rb"|" + _BARE + rb")[,\n]")
RECORD = re.compile(_FIELD + rb"(?:," + _FIELD + rb")*+\r?\n")
# Any record, also if it breaks the rules of quoting. A field that begins with a quote includes its closing quote.
ANY_RECORD = re.compile(_ANY_FIELD + rb"(?:," + _ANY_FIELD + rb")*+\n")
# The parts of such a record: whole fields with their commas, spaces before a quoted field, a quoted field, the rest of
# a field after its closing quote, the rest of a line.
FIELDS = re.compile(rb"(?:" + _ANY_FIELD + rb",)*+")
SPACES = re.compile(rb"[ \t]*+")
ENDED = re.compile(_ENDED)
REST_OF_FIELD = re.compile(rb"[^,\n]*+")
REST_OF_LINE = re.compile(rb"[^\n]*+")


@cache
def clean_lines(dataset: Dataset) -> re.Pattern[bytes]:
    """Return the pattern of a run of clean lines of `dataset`. Each field is either unquoted or completely quoted."""
    fields = [_CLEAN_FIELD[column.kind] for column in dataset.columns]
    line = rb",".join(rb"(?:" + field + rb"|\"" + field + rb"\")" for field in fields)
    # The atomic group is for early releases of Python 3.11 (CPython issue 106052). In these releases, a match without
    # the atomic group could end inside the first line that is not clean.
    return re.compile(rb"(?:(?>" + line + rb"\r?\n))*+")
