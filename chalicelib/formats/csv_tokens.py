"""Defines the tokens into which a file is divided, and the positions between records."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.reasons import Problem
from chalicelib.core.rules import Checked
from chalicelib.formats.csv_patterns import Decimals


@dataclass(frozen=True)
class Checkpoint:
    """A position between two records, from which another CSV reader can continue.

    `offset` and `lines` are the numbers of bytes and physical lines before the position. `records` is true if there is
    a record before the position.
    """

    offset: int = 0
    lines: int = 0
    records: bool = False


BEGINNING = Checkpoint()


@dataclass(frozen=True)
class Clean:
    """A run of clean lines. `line` is the number of the first line, from 1. `decimals` removes the decimals of ids and
    whole numbers."""

    line: int
    data: bytes
    lines: int
    decimals: Decimals

    def for_copy(self) -> bytes:
        """Return the run in COPY's text format, with the delimiter and the columns of the file."""
        data = self.data.replace(b'"', b"") if b'"' in self.data else self.data
        data = data.replace(b"\r", b"") if b"\r" in data else data
        return self.decimals.removed(data)


@dataclass(frozen=True, slots=True)
class Record:
    """One record with its fields, or with the problem that prevents splitting the record. It begins on `line` and has
    `lines` physical lines. `fields` has a field for each column of the dataset, and None for a column that the record
    leaves out.

    If the rules have already checked the values, `checked` is the result. The rules have checked whole values, even if
    `raw` and `fields` contain only the beginning of long values.
    """

    line: int
    lines: int
    raw: bytes
    fields: tuple[bytes | None, ...] | None = None
    problem: Problem | None = None
    checked: Checked | None = None

    def for_copy(self) -> None:
        return None  # the rules have to check the record first


@dataclass(frozen=True, slots=True)
class Skipped:
    """Blank lines or the header. They are neither loaded nor rejected."""

    line: int
    lines: int

    def for_copy(self) -> None:
        return None


class Token(Protocol):
    """A part of the file: `lines` physical lines, beginning with number `line`."""

    @property
    def line(self) -> int: ...
    @property
    def lines(self) -> int: ...
    def for_copy(self) -> bytes | None:
        """Return the rows in a format of COPY. Return None if the part has no rows, or if they must be checked
        first."""
