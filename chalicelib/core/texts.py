"""Declares the characters and texts that the rules treat in a special way."""

import re
from functools import cache

SURROGATE = re.compile("[\ud800-\udfff]")
# Programs leave invisible characters in texts: soft hyphens, zero-width characters, direction marks, invisible
# operators and byte order marks.
INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
# Characters that nobody sees in a text, or that change the order in which a text is shown: control characters except
# tab and line breaks, direction marks, and invisible characters. U+200C and U+200D are not among them, because words of
# some languages and emoji contain them. The text is a part of a character class, in Python and in JavaScript.
HIDDEN = (
    r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb"
)
EXCEL_ERRORS = frozenset({"#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"})
# Characters that programs write around names: quotes of any kind, brackets, backslashes. The text is a part of a
# character class in a regular expression.
QUOTES = r"\"'`«»‘-‟‹›\[\]\\"
_HIDDEN = re.compile(f"[{HIDDEN}]")
_NOT_IN_FILE_NAMES = re.compile(rf"""[{HIDDEN}\t\n\r\ud800-\udfff\\/:*?"<>|]""")
_NOT_COMPARED = re.compile(rf"[\s_{QUOTES}{INVISIBLE}-]+")


def stripped(text: str) -> str:
    """Return the text without white space and invisible characters at its ends."""
    short = text.strip()
    return short if short.isascii() else short.strip(_dropped())


def is_blank(field: str | bytes) -> bool:
    """Return whether a field has nothing but white space and invisible characters."""
    return not stripped(field if isinstance(field, str) else field.decode("utf-8", "replace"))


def with_visible_marks(text: str) -> str:
    """Return the text with a mark such as [U+202E] in place of each hidden character."""
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(lambda one: f"[U+{ord(one[0]):04X}]", text)


def as_file_name(name: str) -> str:
    """Return a name that every system accepts as the name of a file. An underscore takes the place of each character
    that may separate folders, that a system does not allow, or that hides or reorders a part of the name."""
    return _NOT_IN_FILE_NAMES.sub("_", name)


def bare_name(text: str) -> str:
    """Return the part of a name in a header that is compared: the name without its case, white space, hyphens,
    underscores, quotes and invisible characters."""
    return _NOT_COMPARED.sub("", text).casefold()


@cache
def _dropped() -> str:
    """Return all characters that `stripped` removes. The search for them takes some milliseconds, so it runs only when
    the first text comes that is not ASCII. No such character lies beyond U+FFFF."""
    return "".join(re.findall(rf"[\s{INVISIBLE}]", "".join(map(chr, range(0x10000)))))
