"""The single declaration of the reasons for which a row is rejected.

Programs read the code of a reason. The code is stable. People read the text of the reason. The text may change in a
later release, for example to become clearer. If it helps, the text says what to write instead. In a text, names in
braces stand for values of the row. A load counts rejects by the text without these values (`general`). There are only a
few different general texts, so the counts stay small.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from chalicelib.core.value_limits import MAX_ID, MAX_TEXT, MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER

OTHER_CODE = "other"  # the code of all reasons that a load does not count by name


class Problem(NamedTuple):
    """One reason to reject a row. `field` is None if the problem concerns the row as a whole.

    If the reason quotes a value of the row, `general` is the reason without that value.
    """

    field: str | None
    code: str
    reason: str
    general: str | None = None

    @property
    def text(self) -> str:
        return f"{self.field} {self.reason}" if self.field else self.reason


@dataclass(frozen=True, eq=False)  # so the hash of a reason, which `of` needs for each problem, takes no time
class Reason:
    """A reason with its stable `code`. `instead` says what to write instead. `general` is the text without values."""

    code: str
    text: str
    instead: str = ""
    general: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.instead}" if self.instead else self.text

    def filled(self, **values: object) -> "Reason":
        """Return this reason with `values` instead of the names in braces. The values are limits of a kind, and not
        values of a row."""
        return replace(self, text=self.text.format(**values))

    def of(self, field: str | None = None, **values: object) -> Problem:
        """Return the problem of a row for this reason. `values` replace the names in braces in the text."""
        if not values:
            return _plain(self, field)
        general = self.general.format(**values) if self.general else None
        return Problem(field, self.code, str(self).format(**values), general)


@lru_cache(maxsize=1024)
def _plain(reason: Reason, field: str | None) -> Problem:
    """Return the problem for a reason without values. The result is cached, because a file may have the same problem in
    each of its rows."""
    return Problem(field, reason.code, str(reason).format(), reason.general.format() if reason.general else None)


# Reasons that begin with the name of a column
MISSING = Reason("missing", "is missing")
NOT_AN_ID = Reason("not_an_id", f"is not a whole number from 1 to {MAX_ID}")
NOT_A_DATETIME = Reason("not_a_datetime", "is not a date-time", "write 2021-07-27 or 2021-07-27T16:02:08Z")
UNDECLARED_DATE = Reason(
    "not_a_datetime",
    "is not a date-time",
    "write 2021-07-27 or 2021-07-27T16:02:08Z, or declare dates=dmy (27/07/2021) or dates=mdy (07/27/2021) for the"
    " file",
)
NOT_DMY = Reason(
    "not_a_datetime",
    "is not a date-time",
    "write 27/07/2021 or 27/07/2021 16:02:08, as dates=dmy is declared, or 2021-07-27",
)
NOT_MDY = Reason(
    "not_a_datetime",
    "is not a date-time",
    "write 07/27/2021 or 07/27/2021 16:02:08, as dates=mdy is declared, or 2021-07-27",
)
NOT_A_DATE = Reason("not_a_date", "is not a date", "write 2021-07-27, without a time")
UNDECLARED_ORDER = Reason(
    "not_a_date",
    "is not a date",
    "write 2021-07-27, or declare dates=dmy (27/07/2021) or dates=mdy (07/27/2021) for the file",
)
DATE_NOT_DMY = Reason("not_a_date", "is not a date", "write 27/07/2021, as dates=dmy is declared, or 2021-07-27")
DATE_NOT_MDY = Reason("not_a_date", "is not a date", "write 07/27/2021, as dates=mdy is declared, or 2021-07-27")
OUT_OF_RANGE = Reason("out_of_range", "is outside the years 1 to 9999")
NOT_A_WHOLE_NUMBER = Reason("not_a_whole_number", "is not a whole number", "write digits only, as in 12 or -12")
WHOLE_NUMBER_OUT_OF_RANGE = Reason("out_of_range", f"is outside {MIN_WHOLE_NUMBER} to {MAX_WHOLE_NUMBER}")
NOT_A_DECIMAL = Reason(
    "not_a_decimal", "is not a decimal number", "write digits and a point, as in 1234.5, without other characters"
)
TOO_MANY_DECIMALS = Reason("too_many_decimals", "has more than {scale} digits after the point")
DECIMAL_OUT_OF_RANGE = Reason("out_of_range", "has more than {digits} digits before the point")
NOT_A_BOOLEAN = Reason("not_a_boolean", "is neither true nor false", "write true or false, yes or no, 1 or 0")
NOT_TEXT = Reason("not_text", "is not text")
TOO_LONG = Reason("too_long", f"is longer than {MAX_TEXT} characters")
NUL = Reason("nul", "contains a NUL character")
EXCEL_ERROR = Reason("excel_error", "is an error of Excel", "correct the formula in its cell")
HALF_SURROGATE = Reason("half_surrogate", "contains half of a surrogate pair")
NOT_UTF8 = Reason("not_utf8", "is not valid UTF-8")
UNKNOWN_PARENT = Reason("unknown_parent", "{parent} does not exist", general="does not exist")
NO_FREE_ID = Reason("no_free_id", "cannot be assigned: all ids are in use")

# Reasons that concern a record as a whole
TOO_FEW_FIELDS = Reason(
    "wrong_field_count", "expected {wanted} fields, found {sent}", general="expected {wanted} fields, found fewer"
)
TOO_MANY_FIELDS = Reason(
    "wrong_field_count", "expected {wanted} fields, found {sent}", general="expected {wanted} fields, found more"
)
RECORD_TOO_LONG = Reason("record_too_long", "the record is longer than 1 MiB")
NEVER_CLOSED = Reason(
    "never_closed",
    "a quote is never closed (or not within 1 MiB)",
    "close it, or quote the whole field and double the quote",
)
SPACE_BEFORE_QUOTE = Reason(
    "bad_quoting", "a space or an invisible character stands before an opening quote", "remove it"
)
QUOTE_INSIDE = Reason(
    "bad_quoting",
    "a quote stands inside an unquoted field",
    "quote the whole field, and double the quotes inside",
)
BACKSLASH_BEFORE_QUOTE = Reason(
    "bad_quoting", "a backslash stands before a quote", "double the quote instead, without a backslash"
)
TEXT_AFTER_QUOTE = Reason(
    "bad_quoting", "text follows a closing quote", "quote the whole field, and double the quotes inside"
)
RECORD_NOT_UTF8 = Reason("not_utf8", "the record is not valid UTF-8")
RECORD_WITH_NUL = Reason("nul", "the record contains a NUL character")
NOT_AN_OBJECT = Reason("not_an_object", "the row is not an object")
UNKNOWN_COLUMN = Reason("unknown_column", "{name} is not a column", general="a key is not a column")
FURTHER_UNKNOWN_COLUMNS = Reason(
    "unknown_column", "{number} further keys are not columns", general="a key is not a column"
)

REASONS: tuple[Reason, ...] = tuple(value for value in vars().values() if isinstance(value, Reason))
CODES: tuple[str, ...] = tuple(dict.fromkeys(reason.code for reason in REASONS))
