"""The kind of texts: up to 10,000 characters of Unicode, without NUL and without lone surrogates."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.core import json_patterns, reasons
from chalicelib.core.kinds.kind import Conversion, Json, Kind, same
from chalicelib.core.kinds.values import Broken, Missing, present
from chalicelib.core.texts import EXCEL_ERRORS, INVISIBLE, SURROGATE
from chalicelib.core.value_limits import MAX_TEXT

_UNCLEAN = re.compile("\0[\0\\s]|\\s\0|[\ud800-\udfff]")
_INVISIBLE_END = re.compile(f"\0[{INVISIBLE}]|[{INVISIBLE}]\0")
# The characters beyond ASCII, in UTF-8, that the rules remove at both ends of a value. A clean text must not begin or
# end with one of them.
DROPPED = (
    rb" ",
    rb"\xc2[\x85\xa0\xad]",
    rb"\xe1\x9a\x80",
    rb"\xe2\x80[\x80-\x8f\xa8-\xaf]",
    rb"\xe2\x81[\x9f-\xa4\xa6-\xa9]",
    rb"\xe3\x80\x80",
    rb"\xef\xbb\xbf",
)
# These texts go to the slow path. It rejects the errors of Excel (#REF!), and counts the words that mean "no value" in
# other programs.
_SUSPICIOUS = rb"#|(?i:null|none|nan|n/a)[\"\r\n%s]"
# Nearly every text begins and ends with an ordinary character. The first alternative finds this quickly, with one byte.
_BEGINS_WELL = rb"(?:(?=[!$-MO-mo-~])|(?!" + rb"|".join((_SUSPICIOUS, *DROPPED)) + rb"))"
_ENDS_WELL = rb"(?:(?<=[!-~])|" + b"".join(rb"(?<!" + dropped + rb")" for dropped in DROPPED) + rb")"


class Text(Kind):
    name, sql, example, athena = "text", "text", "text", "string"
    avro, avro_plain, avro_wanted = "string", "string", "string"
    takes_any_text = True

    def check(self, value: Any) -> str:
        value = present(value)
        if not isinstance(value, str):
            raise Broken(reasons.NOT_TEXT)
        if value in EXCEL_ERRORS:
            raise Broken(reasons.EXCEL_ERROR)
        if "\0" in value:
            raise Broken(reasons.NUL)
        if not value.isascii() and SURROGATE.search(value):
            raise Broken(reasons.HALF_SURROGATE)
        if len(value) > MAX_TEXT:
            raise Broken(reasons.TOO_LONG)
        return value

    def check_stored(self, value: Any, *, is_trusted: bool) -> str:
        """Accept any text that Postgres can hold, if it is trusted: a release with other rules may have stored it."""
        if not is_trusted:
            return self.check(value)
        if isinstance(value, Exception):
            raise value
        if not isinstance(value, str):
            raise Missing
        if "\0" in value:
            raise Broken(reasons.NUL)
        return value

    def are_usual(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {str} and self.are_valid(values)

    def are_valid(self, stored: Sequence[Any]) -> bool:
        """Return whether all texts are valid.

        Checking one long string is faster than checking every text. So the texts are joined, with a NUL between them.
        If a text contains a NUL, the string has too many NULs. `_UNCLEAN` matches at an empty text, at white space at
        either end of a text, and at half of a surrogate pair. `_INVISIBLE_END` matches at an invisible character at
        either end.
        """
        joined = "\0".join(("", *stored, ""))
        return (
            joined.count("\0") == len(stored) + 1
            and max(map(len, stored)) <= MAX_TEXT
            and not _UNCLEAN.search(joined)
            and (joined.isascii() or not _INVISIBLE_END.search(joined))
            and ("\0#" not in joined or EXCEL_ERRORS.isdisjoint(stored))
        )

    def can_be_stored(self, stored: Sequence[Any]) -> bool:
        joined = "\0".join(stored)
        return joined.count("\0") == len(stored) - 1 and (joined.isascii() or not SURROGATE.search(joined))

    def clean(self, delimiter: bytes) -> bytes:
        return _BEGINS_WELL % delimiter + plain_character(delimiter) + rb"{1,%d}+" % MAX_TEXT + _ENDS_WELL

    def for_copy(self, stored: Sequence[Any]) -> Iterable[Any]:
        return [text.encode() for text in stored]

    def aggregate(self, column: str) -> str:
        # NUL separates the texts, because a text in Postgres contains no NUL.
        return f"string_agg(textsend({column}), '\\x00')"

    def written(self, field: memoryview) -> Sequence[str]:
        return str(field, "utf-8").split("\0")

    def length(self, column: str) -> str:
        # Postgres reads the length from the header of the row, so it neither decompresses nor fetches the text.
        return f"octet_length({column})"

    @property
    def avro_readable(self) -> Mapping[str, Conversion]:
        return {"string": same, "bytes": same, "string uuid": same}

    def schema(self) -> tuple[str, Json]:
        about = "white space around the text is removed; the rest must not be empty or contain NUL"
        return about, {"type": "string", "maxLength": MAX_TEXT, "pattern": json_patterns.TEXT}


def plain_character(delimiter: bytes) -> bytes:
    """Return the pattern of a byte that needs no quotes in CSV and no escape in COPY's text format."""
    return rb'[^"\\\x00-\x1f\x7f' + delimiter + rb"]"
