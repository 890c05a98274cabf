"""Declares a dataset with a column of every kind, and generates all spellings of values of each kind, also invalid
ones."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st

from chalicelib.core import json_patterns, reasons
from chalicelib.core.dataset import Column, Dataset
from chalicelib.core.json_numbers import JsonNumber, whole
from chalicelib.core.kinds.decimals import DecimalNumber
from chalicelib.core.kinds.table import KINDS, Kind
from chalicelib.core.kinds.values import Broken, Missing
from chalicelib.core.reasons import Reason
from chalicelib.core.value_limits import MAX_ID, MAX_TEXT, MAX_WHOLE_NUMBER, MIN_WHOLE_NUMBER

# Decimals with all shapes of digits: none before the point, none after it, eight bytes or sixteen.
DECIMALS = tuple(Kind.decimal(*sizes) for sizes in ((12, 2), (5, 0), (4, 4), (18, 9), (38, 10)))
ALL = tuple(dict.fromkeys((*KINDS, *DECIMALS)))


def name_of(kind: Kind) -> str:
    """Return a name for a column of this kind, or for a test."""
    return re.sub(r"\W+", "_", kind.name).strip("_").lower()


# A dataset with a mandatory column of every kind.
SAMPLES = Dataset(
    "samples",
    "sample",
    (Column("id", Kind.ID), *(Column(f"a_{name_of(kind)}", kind) for kind in ALL if kind is not Kind.ID)),
)

WHITE = st.sampled_from(["", "", "", " ", "\t", "\u00a0", "\u200b"])
SIGNS = st.sampled_from(["", "", "-", "+"])
WHOLE_NUMBERS = (
    st.integers(-99, 99)
    | st.integers(-(2**66), 2**66)
    | st.sampled_from([MIN_WHOLE_NUMBER, MIN_WHOLE_NUMBER - 1, MAX_WHOLE_NUMBER, MAX_WHOLE_NUMBER + 1])
)
EXPONENTS = st.builds("{}e{}".format, st.sampled_from(["1", "1.5", "12.50", "0", "-7"]), st.integers(-45, 45))
FORMS_OF_DATES = st.sampled_from(
    (
        *("%Y-%m-%d", "%Y%m%d", "%G-W%V-%u", "%GW%V%u"),  # valid forms
        *("%d/%m/%Y", "%m.%d.%Y", "%Y-%m-%dT00:00", "%Y-%m", "%Y%m%dT1602"),
    )
)
DATES = st.builds(date.strftime, st.dates(date(1000, 1, 1)), FORMS_OF_DATES)
WORDS = st.sampled_from(
    [*["true", "false", "t", "f", "yes", "no", "y", "n", "1", "0", "on", "off", "2", "tru", "1.0", "ja"]]
)
CASES = st.sampled_from([str.lower, str.upper, str.title])
ODD = st.sampled_from(
    [*("", " ", "x", "NULL", "NaN", "Infinity", "1_000", "0x1F", "\u0661", "12e1"), "a\tb", "\\N", "#REF!"]
)


def texts(kind: Kind) -> st.SearchStrategy[str]:
    """Generate texts of a file: valid values of this kind in all their spellings, and invalid values."""
    usual: dict[Kind, st.SearchStrategy[str]] = {
        Kind.ID: st.integers(0, MAX_ID + 1).map(str) | st.integers(0, 99).map("{}.00".format),
        Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
        Kind.INSTANT: st.datetimes().map(str) | st.from_regex(json_patterns.INSTANT, fullmatch=True),
        Kind.DATE: DATES | st.dates().map(str),
        Kind.WHOLE_NUMBER: WHOLE_NUMBERS.map(str) | _numbers(18, 2),
        Kind.BOOLEAN: st.builds(lambda word, case: str(case(word)), WORDS, CASES),
    }
    if isinstance(kind, DecimalNumber):
        usual[kind] = _numbers(kind.before, kind.scale)
    return st.builds("{}{}{}".format, WHITE, usual[kind] | usual[kind] | ODD, WHITE)


def _numbers(before: int, after: int) -> st.SearchStrategy[str]:
    """Generate numbers with about this many digits before and after the point."""
    whole = st.text("0123456789", max_size=before) | st.sampled_from(["0", "000", "9" * before, "1" + "0" * before])
    fraction = st.text("0123456789", max_size=after) | st.sampled_from(["9" * after, "0" * (after + 1)])
    return st.builds("{}{}{}{}".format, SIGNS, whole, st.sampled_from([".", ".", "", ","]), fraction)


def json_values(kind: Kind) -> st.SearchStrategy[Any]:
    """Generate JSON values: texts as in files, and numbers and booleans. A number is given as the body of a request is
    parsed: with its digits."""
    numbers = st.builds("{}.{}".format, WHOLE_NUMBERS, st.text("0123456789", min_size=1, max_size=9)) | EXPONENTS
    others: st.SearchStrategy[Any] = st.sampled_from([None, [], {}, True, False, 0, 1, 2, "x" * (MAX_TEXT + 1)])
    return texts(kind) | numbers.map(JsonNumber) | WHOLE_NUMBERS | others


# The reasons that a schema cannot express: the calendar, and the scale of a number, because validators compute
# `multipleOf` with floats.
BEYOND_SCHEMAS = frozenset(
    {*map(str, (reasons.NOT_A_DATE, reasons.NOT_A_DATETIME, reasons.OUT_OF_RANGE)), "too_many_decimals"}
)


def is_beyond_schemas(value: Any, code: str | None = None, reason: str = "") -> bool:
    """Return whether the schema of a kind may give another result than its rule. `code` and `reason` say why the rule
    refuses the value, unless the rule accepts it."""
    if isinstance(value, str):
        # Hardly any client sends these, so the patterns leave them out.
        return reason in BEYOND_SCHEMAS or "\u200b" in value or "#REF!" in value
    if isinstance(value, JsonNumber) and value.is_integer() and whole(value) != int(value):
        return True  # a validator sees the float, without some of the digits
    return code in BEYOND_SCHEMAS


def outcome(check: Callable[..., Any], *arguments: Any) -> tuple[str, Any, Reason | None]:
    """Call a rule. Return "valid" with the checked form, "broken" with the reason, or "missing"."""
    try:
        return "valid", check(*arguments), None
    except Missing:
        return "missing", None, None
    except Broken as broken:
        return "broken", broken.reason.code, broken.reason
