"""Makes regular expressions for JSON Schema. They match the values that the rules accept, and mean the same in
ECMA-262, Python and Rust.

The expressions describe only the shape of a date. For example, 30 February matches, but the rules refuse this date.
"""

from collections.abc import Iterable

from chalicelib.core.texts import INVISIBLE


def up_to(high: int) -> str:
    """Return a pattern for the decimal digits of a whole number from 1 to `high`. Leading zeros are allowed."""
    digits = str(high)
    shorter = f"[1-9][0-9]{{0,{len(digits) - 2}}}" if len(digits) > 1 else ""
    same_length = [
        f"{digits[:i]}[{'1' if i == 0 else '0'}-{int(digit) - 1}][0-9]{{{len(digits) - i - 1}}}"
        for i, digit in enumerate(digits)
        if int(digit) > (i == 0)
    ]
    return f"0*(?:{'|'.join(filter(None, [shorter, *same_length, digits]))})"


def surrounded(pattern: str) -> str:
    """Return a pattern that matches `pattern` with any white space around it. White space is what `str.strip`
    removes."""
    return f"^{_WHITE}*(?:{pattern}){_WHITE}*$"


_WHITE_CHARACTERS = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WHITE = f"[{_WHITE_CHARACTERS}]"
_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_HOUR, _SIXTY = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_WEEK = "W(?:0[1-9]|[1-4][0-9]|5[0-3])"
_EXTENDED_DATE = f"[0-9]{{4}}-(?:{_MONTH}-{_DAY}|{_WEEK}-[1-7])"
_BASIC_DATE = f"[0-9]{{4}}(?:{_MONTH}{_DAY}|{_WEEK}[1-7])"
_PART = r"(?:[.,][0-9]+)?"
_EXTENDED_TIME = f"{_HOUR}:{_SIXTY}(?::{_SIXTY}{_PART})?"
_BASIC_TIME = f"{_HOUR}{_SIXTY}(?:{_SIXTY}{_PART})?"
_ZONE = f"(?:[Zz]| UTC|[+-]{_HOUR}(?::?{_SIXTY})?)?"

DATE = f"{_EXTENDED_DATE}|{_BASIC_DATE}"
INSTANT = (
    rf"{_EXTENDED_DATE}(?:[Tt ]{_EXTENDED_TIME}{_ZONE})?"
    rf"|{_BASIC_DATE}(?:[Tt ](?:{_EXTENDED_TIME}|{_BASIC_TIME}){_ZONE})?"
)
MAX_REJECTED = surrounded(rf"[0-9]{{1,18}}|(?:0?[0-9]{{1,2}}(?:\.[0-9]{{1,6}})?|100(?:\.0{{1,6}})?){_WHITE}*%")
# The rules ignore white space and invisible characters at the ends of a value.
_IGNORED = _WHITE_CHARACTERS + "".join(c if c == "-" else f"\\u{ord(c):04x}" for c in INVISIBLE)
BLANK = f"^[{_IGNORED}]*$"
TEXT = rf"^[^\0]*[^\0{_IGNORED}][^\0]*$"


def file_name(endings: Iterable[str]) -> str:
    """Return a pattern for file names that end with one of `endings`. The endings are ASCII; their case is ignored."""
    any_case = ("".join(f"[{c}{c.upper()}]" if c.isalpha() else rf"\{c}" for c in ending) for ending in endings)
    return rf"^[^\x00-\x1f\x7f-\x9f/\\]+(?:{'|'.join(any_case)})$"
