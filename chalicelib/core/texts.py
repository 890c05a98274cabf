"""Declares the characters and texts that the rules treat in a special way."""

import re
from functools import cache

SURROGATE = re.compile("[\ud800-\udfff]")
# Programs leave invisible characters in texts: soft hyphens, zero-width characters, direction marks, invisible
# operators and byte order marks.
INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
EXCEL_ERRORS = frozenset({"#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"})
# Characters that programs write around names: quotes of any kind, brackets, backslashes. The text is a part of a
# character class in a regular expression.
QUOTES = r"\"'`«»‘-‟‹›\[\]\\"
_NOT_COMPARED = re.compile(rf"[\s_{QUOTES}{INVISIBLE}-]+")


def stripped(text: str) -> str:
    """Return the text without white space and invisible characters at its ends."""
    short = text.strip()
    return short if short.isascii() else short.strip(_dropped())


def is_blank(field: str | bytes) -> bool:
    """Return whether a field has nothing but white space and invisible characters."""
    return not stripped(field if isinstance(field, str) else field.decode("utf-8", "replace"))


def bare_name(text: str) -> str:
    """Return the part of a name in a header that is compared: the name without its case, white space, hyphens,
    underscores, quotes and invisible characters."""
    return _NOT_COMPARED.sub("", text).casefold()


@cache
def _dropped() -> str:
    """Return all characters that `stripped` removes. The search takes some milliseconds, so it waits for the first text
    that is not ASCII. No such character lies beyond U+FFFF."""
    return "".join(re.findall(rf"[\s{INVISIBLE}]", "".join(map(chr, range(0x10000)))))
