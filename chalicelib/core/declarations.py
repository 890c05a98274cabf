"""Reads the declarations of a sender about a file: `encoding`, `delimiter`, `dates`, `max-rejected`, `corrects`.

A sender declares them in one of four ways: as metadata of an S3 object (`x-amz-meta-encoding`), as members of the body
of `POST /uploads`, as query parameters of `POST /uploads/check`, or as options of the command line. This module reads
all of them. A declaration takes precedence over what Hireflow finds in the file.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

Dates = Literal["iso", "dmy", "mdy"]
DATES: Final[tuple[Dates, ...]] = ("iso", "dmy", "mdy")

DELIMITERS: Final[Mapping[str, str]] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# The encodings that programs commonly write. The names are those that IANA has registered.
ENCODINGS: Final = (
    *("utf-8", "utf-16", "utf-16le", "utf-16be"),
    *(f"windows-{number}" for number in range(1250, 1259)),
    *(f"iso-8859-{part}" for part in range(1, 17) if part != 12),
    *("macintosh", "ibm437", "ibm850", "ibm852", "koi8-r", "koi8-u"),
    *("shift_jis", "euc-jp", "gbk", "gb18030", "big5", "euc-kr"),
)
NAMES: Final = ("encoding", "delimiter", "dates", "max-rejected", "corrects")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_COUNT = re.compile(r"[0-9]{1,18}")
_LOAD_ID = re.compile(r"0*[1-9][0-9]{0,17}")


class UnknownValue(ValueError):
    """A declaration has an invalid value. The message begins with the declaration's name, and says what is valid."""


@dataclass(frozen=True)
class MaxRejected:
    """The most rows that a load may reject: a count, or a share of the received rows (0 to 1). If a load rejects more
    rows, the whole load fails.

    The share is exact: as a float, 29 of 100 rows would be more than 29%.
    """

    count: int | None = None
    share: Fraction | None = None

    def exceeded_by(self, rejected: int, received: int) -> bool:
        """Return whether `rejected` of `received` rows are too many. `rejected` must not include waiting rows."""
        if self.count is not None:
            return rejected > self.count
        return self.share is not None and rejected > self.share * received

    def __str__(self) -> str:
        return str(self.count) if self.share is None else f"{float(self.share * 100):.10g}%"


@dataclass(frozen=True)
class Declarations:
    """The declarations about one file. A field is None if the sender declared nothing; `dates` is then "iso".

    `encoding` is one of ENCODINGS. `corrects` is the id of the load whose corrected rejects are in the file.
    """

    encoding: str | None = None
    delimiter: str | None = None  # the character itself
    dates: Dates = "iso"
    max_rejected: MaxRejected | None = None
    corrects: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Declarations":
        """Read the declarations in `given`. Their keys are in NAMES; all other keys are ignored.

        Raises UnknownValue for the first invalid value.
        """
        read = {name.replace("-", "_"): _READERS[name](given[name].strip()) for name in NAMES if name in given}
        return cls(**read)  # type: ignore[arg-type]  # each reader returns its field's type

    def given(self) -> dict[str, str]:
        """Return the declarations by name, in the form that `of` reads. What the sender did not declare is left out."""
        delimiter = next((name for name, mark in DELIMITERS.items() if mark == self.delimiter), None)
        dates = None if self.dates == "iso" else self.dates
        most = None if self.max_rejected is None else str(self.max_rejected)
        corrects = None if self.corrects is None else str(self.corrects)
        values = (self.encoding, delimiter, dates, most, corrects)
        return {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}


UNDECLARED = Declarations()


def _encoding(value: str) -> str:
    known = _known_encodings()
    try:
        return known[codecs.lookup(value).name]
    except (LookupError, ValueError):
        raise UnknownValue(
            f"encoding {value[:40]!r} is not known: write utf-8, utf-16, windows-1252, iso-8859-1 or another of"
            f" {', '.join(ENCODINGS)}"
        ) from None


def _known_encodings() -> dict[str, str]:
    """Return the names in ENCODINGS by Python's names for the same encodings."""
    return {codecs.lookup(name).name: name for name in ENCODINGS}


def _delimiter(value: str) -> str:
    if value.lower() in DELIMITERS:
        return DELIMITERS[value.lower()]
    raise UnknownValue(f"delimiter {value[:40]!r} is not known: write one of {', '.join(DELIMITERS)}")


def _dates(value: str) -> str:
    if value.lower() in DATES:
        return value.lower()
    raise UnknownValue(f"dates {value[:40]!r} is not known: write dmy for 27/07/2021, or mdy for 07/27/2021")


def _max_rejected(value: str) -> MaxRejected:
    if _COUNT.fullmatch(value):
        return MaxRejected(count=int(value))
    if (share := _SHARE.fullmatch(value)) and Fraction(share[1]) <= 100:
        return MaxRejected(share=Fraction(share[1]) / 100)
    raise UnknownValue(f"max-rejected {value[:40]!r} is not known: write a count of rows, or a share such as 5%")


def _corrects(value: str) -> int:
    if _LOAD_ID.fullmatch(value):
        return int(value)
    raise UnknownValue(
        f"corrects {value[:40]!r} is not known: write the id of the load whose rejects the file corrects"
    )


_READERS: dict[str, Callable[[str], object]] = {
    "encoding": _encoding,
    "delimiter": _delimiter,
    "dates": _dates,
    "max-rejected": _max_rejected,
    "corrects": _corrects,
}
