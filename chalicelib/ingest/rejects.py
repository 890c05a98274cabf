"""Defines a rejected row in the form of the reject file, and counts the rejected rows for each kind of reason."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Protocol

from chalicelib.core.dataset import Dataset
from chalicelib.core.json_numbers import JsonNumber
from chalicelib.core.reasons import OTHER_CODE, Problem
from chalicelib.loads.outcomes import CountedReason

_UNLOADABLE = re.compile("[\0\ud800-\udfff]")  # some JSON parsers refuse these characters even if they are escaped
_Kind = tuple[str | None, str | None, str]  # field, code and general reason
MOST_KINDS = 100  # the most kinds of reasons that are counted separately; the declared columns have about twenty kinds
OTHER = "other reasons"


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected row. For a row of a file, `place` is the number of the row's first physical line, counted from 1. For
    a row of a request, `place` is the row's index, counted from 0.

    `row` is None if the record could not be split into columns.
    """

    place: int
    problems: tuple[Problem, ...]
    raw: bytes
    row: Mapping[str, str | None] | None

    @property
    def reasons(self) -> list[str]:
        return [problem.text for problem in self.problems]

    @property
    def fields(self) -> list[str]:
        """The names of the columns that have problems, in the order of the problems, each name once."""
        return list(dict.fromkeys(p.field for p in self.problems if p.field is not None))

    @property
    def codes(self) -> list[str]:
        """The codes of the reasons, in the order of `reasons`."""
        return [problem.code for problem in self.problems]

    def shown(self, place: str) -> dict[str, Any]:
        """Return {`place`, "reasons", "fields", "codes", "raw", "row"}. The strings are valid for every JSON parser."""
        return {
            place: self.place,
            "reasons": [loadable(reason) for reason in self.reasons],
            "fields": self.fields,
            "codes": self.codes,
            "raw": loadable(self.raw.decode("utf-8", "replace")),
            "row": self.row and {name: text and loadable(text) for name, text in self.row.items()},
        }


class Rejects(Protocol):
    """A receiver of rejected rows. If it is full, it only counts further rejects."""

    @property
    def is_full(self) -> bool: ...
    def add(self, reject: Reject) -> None: ...
    def count(self, problems: Sequence[Problem], rows: int) -> None:
        """Count `rows` rejects with the same problems, without recording them."""


class Reasons:
    """Counts the rejected rows for each kind of reason. A row with several kinds of reasons is counted for each of
    them. After MOST_KINDS kinds, the rows with other kinds are counted together."""

    def __init__(self) -> None:
        self._rows: dict[_Kind, int] = {}
        self._others = 0

    def add(self, problems: Iterable[Problem], rows: int = 1) -> None:
        """Count the problems of a row, or of `rows` rows with the same problems."""
        counts, others = self._rows, 0
        for kind in _kinds(tuple(problems)):
            if kind in counts:
                counts[kind] += rows
            elif len(counts) < MOST_KINDS:
                counts[kind] = rows
            else:
                others = rows
        self._others += others

    def kept(self) -> dict[str, Any]:
        """Return all counts as a dictionary that can be stored as JSON. `of` makes an equal object from it."""
        rows = [[field, reason, rows] for (field, _, reason), rows in self._rows.items()]
        return {"rows": rows, "codes": [code for _, code, _ in self._rows], "others": self._others}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Reasons":
        reasons = cls()
        rows = zip_longest(kept.get("rows", ()), kept.get("codes", ()))  # the previous release stores no codes
        reasons._rows = {(field, code, reason): rows for (field, reason, rows), code in rows}
        reasons._others = kept.get("others", 0)
        return reasons

    def counted(self) -> list[CountedReason]:
        """Return the counts by reason, the most frequent reason first."""
        counted: list[CountedReason] = [
            {"reason": f"{field} {reason}" if field else reason, "code": code, "count": rows}
            for (field, code, reason), rows in self._rows.items()
        ]
        if self._others:
            counted.append({"reason": OTHER, "code": OTHER_CODE, "count": self._others})
        return sorted(counted, key=lambda each: (-each["count"], each["reason"]))

    def by_code(self) -> dict[str, int]:
        """Return the counts by code, the most frequent code first. A row with several reasons counts once for each of
        them."""
        counts: Counter[str] = Counter()
        for each in self.counted():
            counts[each["code"] or OTHER_CODE] += each["count"]
        return dict(counts.most_common())


@lru_cache(maxsize=256)
def _kinds(problems: tuple[Problem, ...]) -> tuple[_Kind, ...]:
    """Return the kinds of these problems, each kind once."""
    return tuple({(field, code, general or reason): None for field, code, reason, general in problems})


def row_of_fields(dataset: Dataset, fields: Sequence[bytes | None]) -> dict[str, str | None]:
    """Return the fields of a CSV record by column, as they were sent, and None for a column that the record leaves
    out."""
    named = zip(dataset.column_names, fields, strict=True)
    return {name: None if field is None else field.decode("utf-8", "replace") for name, field in named}


def row_of_object(dataset: Dataset, sent: object) -> dict[str, str | None] | None:
    """Return the columns of a JSON row as strings, or None if `sent` is not a JSON object. Other keys of the row are
    left out, so that all rejects have the same keys. The member `raw` of the reject still shows the other keys."""
    if not isinstance(sent, Mapping):
        return None
    return {name: _as_text(sent.get(name)) for name in dataset.column_names}


def _as_text(value: object) -> str | None:
    if isinstance(value, JsonNumber):
        return value.text
    return value if value is None or isinstance(value, str) else json.dumps(value)


def loadable(text: str) -> str:
    """Replace the characters that some JSON parsers refuse with U+FFFD."""
    return _UNLOADABLE.sub("\ufffd", text)
