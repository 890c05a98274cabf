"""Says what breaks the rules of quoting in a record, and so what its sender has to change."""

from typing import Final

from chalicelib.core import reasons
from chalicelib.core.reasons import Problem, Reason
from chalicelib.core.texts import stripped
from chalicelib.formats.csv_patterns import patterns

_QUOTE: Final = b'"'
_FAULTS: Final = {
    reason: reason.of()
    for reason in (
        reasons.SPACE_BEFORE_QUOTE,
        reasons.QUOTE_INSIDE,
        reasons.BACKSLASH_BEFORE_QUOTE,
        reasons.TEXT_AFTER_QUOTE,
    )
}


def bad_quoting(raw: bytes, delimiter: bytes) -> Problem:
    """Return what is wrong with the first badly quoted field of a record, which has no line end."""
    return _FAULTS[_fault(raw + b"\n", delimiter)]


def _fault(record: bytes, delimiter: bytes) -> Reason:
    shapes, begin = patterns(delimiter), 0
    while field := shapes.field.match(record, begin):
        begin = field.end()
    if (opening := record.find(_QUOTE, begin)) > begin:
        is_seen = stripped(record[begin:opening].decode("utf-8", "replace"))
        return reasons.QUOTE_INSIDE if is_seen else reasons.SPACE_BEFORE_QUOTE
    quoted = shapes.quoted.match(record, begin)
    if quoted and quoted.group().endswith(b'\\"'):
        return reasons.BACKSLASH_BEFORE_QUOTE
    return reasons.TEXT_AFTER_QUOTE
