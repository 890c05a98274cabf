"""Records -> the staging table: COPY blocks in, rejects out.

The staging table has one row per physical line, in order, so that its sequence number *is* the line
number and clean lines need no number of their own: a line that carries no valid row (a reject, the
header, a blank line, the second line of a quoted field) leaves a row of NULLs.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from math import inf

from chalicelib.cloud.database import Session
from chalicelib.core import deadline
from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import Checked, Value, check_fields, check_unsplit, missing_parent
from chalicelib.formats.csv_reader import MAX_RECORD, Record, Token
from chalicelib.formats.pg_copy import TEXT, Form, copy_line
from chalicelib.ingest.rejects import Reject, Rejects, row_of_fields

ROWS_PER_COPY = 250_000  # staged lines between two signs of life in the load's history
BLOCK = 256 * 1024  # bytes of one COPY message
PENDING_REJECTS = 4 * 1024 * 1024  # bytes of rejects held while a COPY runs
MOST_EMPTY = MAX_RECORD + 1  # rows of NULLs in one piece: no valid record has more lines


def create(session: Session, dataset: Dataset) -> None:
    """An empty staging table of this connection, whatever an earlier load left."""
    session.run(creation(dataset))


def creation(dataset: Dataset, on_commit: str = "PRESERVE ROWS") -> str:
    """The statements of `create`, to be sent together with others."""
    columns = ", ".join(f"{c.name} {c.kind.value}" for c in dataset.columns)
    return (
        "DROP TABLE IF EXISTS staging; CREATE TEMP TABLE staging"
        f" (seq integer GENERATED ALWAYS AS IDENTITY (CACHE 1000), {columns}) ON COMMIT {on_commit}"
    )


def analyze(session: Session) -> None:
    """Tell the planner of the size of the table; a small sample is enough for the few ways to join it."""
    session.run("SET default_statistics_target = 10; ANALYZE staging; RESET default_statistics_target")


def copy_sql(dataset: Dataset, form: Form, table: str = "staging") -> str:
    return f"COPY {table} ({', '.join(dataset.column_names)}) FROM STDIN ({form.options})"


@dataclass
class Stager:
    """Feeds one load's tokens to COPY in portions, counting and setting rejects aside.

    A row that breaks a rule is also checked for missing parents, so that its report is complete:
    its parents' ids are looked up when the COPY that was under way has ended.
    """

    dataset: Dataset
    tokens: Iterable[Token]
    rejects: Rejects
    form: Form = TEXT
    table: str = "staging"
    pause_at: float = inf  # by time.monotonic(); a COPY ends early then
    most_lines: int = ROWS_PER_COPY  # about, of a COPY
    lines: int = 0
    received: int = 0
    rejected: int = 0
    exhausted: bool = False
    _pending: list[tuple[Reject, Checked | None]] = field(default_factory=list)
    _pending_bytes: int = 0

    def __post_init__(self) -> None:
        self._unread = iter(self.tokens)

    def run(self, session: Session) -> Iterator[int]:
        """Stage everything, yielding the rows received so far after every COPY."""
        while not self.exhausted:
            self.portion(session)
            yield self.received

    def portion(self, session: Session) -> None:
        """Stage the next lines, by one COPY."""
        sql = copy_sql(self.dataset, self.form, self.table)
        nothing = self.form.nothing(self.dataset)
        session.copy_in(sql, chain((self.form.head,), self._portion(nothing), (self.form.tail,)))
        self._report(session)

    def _portion(self, nothing: bytes) -> Iterator[bytes]:
        """COPY blocks of the next lines; ends early when many rejects are waiting, or when time is up."""
        block, size, lines = [], 0, 0
        for token in self._unread:
            data = self._copy_data(token, nothing)
            block.append(data)
            size += len(data)
            lines += token.lines
            self.lines += token.lines
            if token.lines > MOST_EMPTY and isinstance(token, Record):  # too many lines to hold in memory
                yield b"".join(block)
                block, size = [], 0
                yield from _empty(nothing, token.lines - MOST_EMPTY)
            if size >= BLOCK:
                yield b"".join(block)
                block, size = [], 0
                if deadline.passed() or time.monotonic() >= self.pause_at:
                    break  # past a deadline, the next statement raises it, with the connection in order
            if lines >= self.most_lines or self._pending_bytes >= PENDING_REJECTS:
                break
        else:
            self.exhausted = True
        if block:
            yield b"".join(block)

    def _copy_data(self, token: Token, nothing: bytes) -> bytes:
        if (clean := token.for_copy()) is not None:
            self.received += token.lines
            return clean
        if isinstance(token, Record):
            self.received += 1
            checked = token.checked
            if checked is None and token.fields is not None:
                checked = check_fields(self.dataset, token.fields)
            if checked is not None and checked.valid:
                return copy_line(checked.values) + nothing * (token.lines - 1)
            self._set_aside(token, checked)
        return nothing * min(token.lines, MOST_EMPTY)

    def _set_aside(self, record: Record, checked: Checked | None) -> None:
        self.rejected += 1
        row = row_of_fields(self.dataset, record.fields) if record.fields is not None else None
        if checked is None:
            assert record.problem is not None
            problems = check_unsplit(record.raw, record.problem)
        else:
            problems = checked.problems
        self._pending.append((Reject(record.line, problems, record.raw, row), checked))
        self._pending_bytes += 1000 + 3 * len(record.raw)

    def _report(self, session: Session) -> None:
        """Write the rejects set aside, each with the parents it lacks on top of its own problems."""
        known = []
        for column, parent in self.dataset.references:
            position = self.dataset.columns.index(column)
            ids = [checked.values[position] for _, checked in self._pending if checked]
            known.append((position, column.name, _existing(session, parent, ids)))
        for reject, checked in self._pending:
            lacking = [
                missing_parent(name, value)
                for position, name, ids in known
                if checked is not None and (value := checked.values[position]) is not None and value not in ids
            ]
            self.rejects.add(Reject(reject.place, (*reject.problems, *lacking), reject.raw, reject.row))
        self._pending.clear()
        self._pending_bytes = 0


def _empty(nothing: bytes, lines: int) -> Iterator[bytes]:
    while lines > 0:
        yield nothing * min(lines, MOST_EMPTY)
        lines -= MOST_EMPTY


def _existing(session: Session, parent: str, ids: list[Value | None]) -> set[Value]:
    wanted = sorted({i for i in ids if i is not None})
    if not wanted:
        return set()
    return {row[0] for row in session.run(f"SELECT id FROM {parent} WHERE id = ANY(:ids)", ids=wanted)}
