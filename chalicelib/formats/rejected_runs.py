"""Reads runs of lines that are rejected for the same reason: a wrong number of fields, or a quote inside a field.

A file of garbage has very many such lines. When further rejects are only counted, all lines of a run are counted
together. A record for each line would take most of the time of the load.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from chalicelib.core import reasons
from chalicelib.core.reasons import Problem

_DELIMITERS = b",;|\\t"
_VISIBLE = rb"\x00\x21\x23-\x2b\x2d-\x3a\x3c-\x7b\x7d\x7e\xf8-\xff"  # bytes that no blank field has, for a class


def never() -> bool:
    return False


@dataclass(frozen=True)
class RejectedRun:
    """A run of lines with the same problem. `line` is the number of the first line. `problem` has the general reason,
    which is the same for all lines."""

    line: int
    data: bytes
    lines: int
    problem: Problem

    def for_copy(self) -> None:
        return None  # no line becomes a row

    def distinct(self) -> Iterator[tuple[bytes, int]]:
        """Yield each distinct line without its line end, and how often it occurs."""
        if self.data.isascii() and b"\0" not in self.data:
            yield b"", self.lines  # no line has any other problem, so the texts do not matter
            return
        for raw, times in Counter(self.data.split(b"\n")[:-1]).items():
            yield raw.removesuffix(b"\r").removesuffix(b"\r"), times


@cache
def shapes(delimiter: bytes, width: int) -> tuple[tuple[re.Pattern[bytes], Problem], ...]:
    """Return patterns of runs of lines, each with the problem of these lines: too few fields, too many fields, or a
    quote inside the only field. `width` is the right number of fields.

    The patterns match only lines that are neither blank nor a header. Another delimiter may separate the names
    of a header, or CR may end it. So the patterns match no line that contains another delimiter than `delimiter`, or a
    CR before its end.
    """
    d, other = re.escape(delimiter), rb'[^"\r\n' + _DELIMITERS + rb"]*+"
    # The first visible character is found without going back: otherwise, a long field would take quadratic time.
    seen = rb'[^"\r\n' + _DELIMITERS + _VISIBLE + rb"]*+[" + _VISIBLE + rb"]" + other
    end = rb"\r{0,2}\n"
    found = []
    if width > 1:
        before = rb"(?:" + other + d + rb"){0,%d}" % (width - 2)
        # A quoted field is never blank, even if nothing is inside the quotes.
        field = rb'(?:"' + other + rb'"|' + other + rb")"
        few = rb"(?=" + before + rb'(?:"|' + seen + rb"))" + field + rb"(?:" + d + field + rb"){0,%d}+" % (width - 2)
        found.append((_run_of(few + end), _general(reasons.TOO_FEW_FIELDS, width)))
    many = other + rb"(?:" + d + other + rb"){%d,}" % (width - 1) + d + seen
    found.append((_run_of(many + end), _general(reasons.TOO_MANY_FIELDS, width)))
    if width > 1:  # otherwise, such a line may be a header
        quoted = rb"[" + _VISIBLE + rb"]" + other + rb'"[^\r\n' + _DELIMITERS + rb"]*+"
        found.append((_run_of(quoted + end), reasons.QUOTE_INSIDE.of()))
    return tuple(found)


def _run_of(line: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:(?>" + line + rb"))+")


def _general(reason: reasons.Reason, width: int) -> Problem:
    problem = reason.of(wanted=width, sent="")
    return problem._replace(reason=problem.general or problem.reason)
