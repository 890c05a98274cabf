"""Reads the values of --encoding, --delimiter, --dates, --max-rejected and --corrects.

A test compares the values that are valid here with those in chalicelib/core/declarations.py.
"""

import codecs
import re

DELIMITERS = ("comma", "semicolon", "tab", "pipe")
DATES = ("iso", "dmy", "mdy")
ENCODINGS = (
    *("utf-8", "utf-16", "utf-16le", "utf-16be"),
    *(f"windows-{number}" for number in range(1250, 1259)),
    *(f"iso-8859-{part}" for part in range(1, 17) if part != 12),
    *("macintosh", "ibm437", "ibm850", "ibm852", "koi8-r", "koi8-u"),
    *("shift_jis", "euc-jp", "gbk", "gb18030", "big5", "euc-kr"),
)
Declared = dict[str, str]  # the value of each declaration, by the name that the API uses
_COUNT_OR_SHARE = re.compile(r"[0-9]{1,18}|[0-9]{1,3}(?:\.[0-9]{1,6})?\s*%")


def encoding(name: str) -> str | None:
    """Return the API's name for an encoding, None if the API does not know the encoding. The user may write any name
    that Python knows, such as cp1252."""
    try:
        return {codecs.lookup(known).name: known for known in ENCODINGS}.get(codecs.lookup(name.strip()).name)
    except (LookupError, ValueError):
        return None


def max_rejected(text: str) -> str | None:
    """Return the text, which is a count of rows (`10`) or a share of them (`5%`). Return None if it is neither."""
    text = text.strip()
    is_valid = _COUNT_OR_SHARE.fullmatch(text) and not (text.endswith("%") and float(text[:-1].strip()) > 100)
    return text if is_valid else None
