"""Moves records into the staging table: valid rows go to COPY in blocks, other records become rejects."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from chalicelib.cloud.database import Session
from chalicelib.core import deadline
from chalicelib.core.declarations import Dates
from chalicelib.core.kinds.values import Value
from chalicelib.core.reasons import Problem
from chalicelib.core.remembered import Remembered
from chalicelib.core.rules import Checked, check_fields, check_unsplit, missing_parent
from chalicelib.formats.csv_patterns import split
from chalicelib.formats.csv_reader import MAX_RECORD
from chalicelib.formats.csv_tokens import Record, Token
from chalicelib.formats.pg_copy import LineFormat
from chalicelib.formats.rejected_runs import RejectedRun
from chalicelib.ingest import parents
from chalicelib.ingest.oddities import Oddities, is_undecodable_record
from chalicelib.ingest.rejects import Reject, Rejects, row_of_fields
from chalicelib.ingest.staging_table import StagingTable

LINES_PER_COPY = 250_000  # after each COPY, the load reports its progress in the history
BLOCK = 256 * 1024  # bytes of one COPY message
PENDING_REJECTS = 4 * 1024 * 1024  # bytes of rejects that are kept in memory while a COPY runs
MOST_EMPTY = MAX_RECORD + 1  # most rows of NULLs in one string; no valid record has more lines


@dataclass(frozen=True)
class Portion:
    """The limits of one COPY. It ends after about `lines` lines, or at `pause_at`, which is a time of
    time.monotonic()."""

    lines: int = LINES_PER_COPY
    pause_at: float = inf


class _Refused(NamedTuple):
    """What the rules say about a record that they reject. `parents` are the ids of its parents by the index of their
    column. `is_undecodable` is as Oddities define it."""

    problems: tuple[Problem, ...]
    row: Mapping[str, str | None] | None
    parents: Mapping[int, Value]
    is_undecodable: bool


class Stager:
    """Feeds tokens to COPY in portions, counts the rows, and reports rejects.

    `lines` counts the physical lines that this stager has read, `received` the records, and `rejected` the rejects.
    `oddities` also has the counts of earlier stagers of the load. `exhausted` is true if there are no more tokens.
    `dates` is the declared order of day and month. A row that breaks a rule is also checked for missing parents, so
    that its reject has all reasons. The parents can be looked up only when the current COPY has ended. Until then, the
    stager keeps the rejects in memory.
    """

    def __init__(
        self,
        table: StagingTable,
        tokens: Iterable[Token],
        rejects: Rejects,
        portion: Portion | None = None,
        *,
        oddities: Oddities | None = None,
        dates: Dates = "iso",
    ) -> None:
        self.lines = self.received = self.rejected = 0
        self.exhausted = False
        self._table, self._dataset, self._null_row = table, table.dataset, table.null_row
        self._references = [self._dataset.columns.index(column) for column, _ in self._dataset.references]
        self._line, self._dates = LineFormat(table.layout), dates
        self.oddities = oddities or Oddities()
        self._unread, self._rejects, self._limit = iter(tokens), rejects, portion or Portion()
        self._pending: list[tuple[int, bytes, _Refused]] = []  # the line and the bytes of each
        self._known = Remembered[tuple[bytes, Problem | None], _Refused]()
        self._pending_bytes = 0

    def run(self, session: Session) -> Iterator[int]:
        """Stage all tokens. Yield the number of received records after every COPY."""
        while not self.exhausted:
            self.portion(session)
            yield self.received

    def portion(self, session: Session) -> None:
        """Stage the next portion with one COPY, then report its rejects."""
        self._table.copy_in(session, self._blocks())
        self._report(session)

    def _blocks(self) -> Iterator[bytes]:
        """Yield the COPY blocks of the next portion. The portion ends early if many rejects are in memory, or if the
        time is up."""
        block, size, lines = [], 0, 0
        for token in self._unread:
            data = self._copy_data(token)
            block.append(data)
            size += len(data)
            lines += token.lines
            self.lines += token.lines
            if token.lines > MOST_EMPTY and isinstance(token, Record):  # too many lines to hold in memory
                yield b"".join(block)
                block, size = [], 0
                yield from _repeated(self._null_row, token.lines - MOST_EMPTY)
            if size >= BLOCK:
                yield b"".join(block)
                block, size = [], 0
                if deadline.passed() or time.monotonic() >= self._limit.pause_at:
                    break  # after a deadline, the next statement raises OutOfTime, and the connection stays usable
            if lines >= self._limit.lines or self._pending_bytes >= PENDING_REJECTS:
                break
        else:
            self.exhausted = True
        if block:
            yield b"".join(block)

    def _copy_data(self, token: Token) -> bytes:
        if (clean := token.for_copy()) is not None:
            self.received += token.lines
            return clean
        if isinstance(token, Record):
            self.received += 1
            refused = None if token.checked else self._known.get((token.raw, token.problem))
            if refused is None:
                checked = self._checked(token)
                if checked is not None and checked.valid:
                    self.oddities.add_row(checked.values)
                    return self._line.row(checked.values, self._apart(token)) + self._null_row * (token.lines - 1)
                refused = self._refused(token, checked)
            self._set_aside(token, refused)
        if isinstance(token, RejectedRun):
            self._count(token)
            return self._null_row * token.lines
        return self._null_row * min(token.lines, MOST_EMPTY)

    def _apart(self, record: Record) -> dict[int, str]:
        layout = self._table.layout
        has_none = layout.line_at is None and layout.left_out_at is None
        return {} if has_none else layout.staged_apart(split(record.raw, layout.delimiter))

    def _checked(self, record: Record) -> Checked | None:
        """Return the result of the rules, or None if the record could not be split."""
        if record.checked is not None or record.fields is None:
            return record.checked
        return check_fields(self._dataset, record.fields, self._dates)

    def _refused(self, record: Record, checked: Checked | None) -> _Refused:
        """Return what the rules say about a record that is not valid. Remember it if the record is short. The bytes of
        a record decide about it, unless the rules have checked the values before."""
        if checked is None:
            assert record.problem is not None
            problems = check_unsplit(record.raw, record.problem)
        else:
            problems = checked.problems
        row = row_of_fields(self._dataset, record.fields) if record.fields is not None else None
        values = checked.values if checked is not None else ()
        named = {at: value for at in self._references if values and (value := values[at]) is not None}
        refused = _Refused(problems, row, named, is_undecodable_record(record.raw, problems))
        if record.checked is None:
            self._known.remember((record.raw, record.problem), refused, len(record.raw))
        return refused

    def _set_aside(self, record: Record, refused: _Refused) -> None:
        self.rejected += 1
        if refused.is_undecodable:
            self.oddities.add_reject(record.line, record.raw, refused.problems)
        if self._rejects.is_full and not refused.parents:
            self._rejects.count(refused.problems, 1)  # no parents to look up, and nothing to record
            return
        self._pending.append((record.line, record.raw, refused))
        self._pending_bytes += 1000 + 3 * len(record.raw)

    def _count(self, run: RejectedRun) -> None:
        """Count a run of rejects that are not recorded."""
        self.received += run.lines
        self.rejected += run.lines
        for raw, rows in run.distinct():
            problems = check_unsplit(raw, run.problem)
            self.oddities.add_reject(run.line, raw, problems, rows)
            self._rejects.count(problems, rows)

    def _report(self, session: Session) -> None:
        """Report the rejects in memory. Add the missing parents of each row to its problems."""
        references = []
        for column, parent in self._dataset.references:
            at = self._dataset.columns.index(column)
            ids = [refused.parents.get(at) for _, _, refused in self._pending]
            references.append((at, column.name, parents.existing(session, parent, ids)))
        for line, raw, refused in self._pending:
            lacking = tuple(
                missing_parent(name, value)
                for at, name, existing_ids in references
                if (value := refused.parents.get(at)) is not None and value not in existing_ids
            )
            problems = (*refused.problems, *lacking) if lacking else refused.problems
            self._rejects.add(Reject(line, problems, raw, refused.row))
        self._pending.clear()
        self._pending_bytes = 0


def _repeated(null_row: bytes, lines: int) -> Iterator[bytes]:
    while lines > 0:
        yield null_row * min(lines, MOST_EMPTY)
        lines -= MOST_EMPTY
