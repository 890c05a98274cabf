"""Checks a file: returns the result that a load of the file would have, and writes nothing.

The CSV reader, the rules, the staging and the counts are those of a load. Instead of locks, the check uses a snapshot.
Its transaction is read-only, so Postgres allows writes only to temporary tables. The staging table is dropped when the
transaction ends.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.cloud.database import Database, Session
from chalicelib.core.answer_size import FirstRecords
from chalicelib.core.dataset import Dataset
from chalicelib.core.declarations import UNDECLARED, Declarations
from chalicelib.core.reasons import Problem
from chalicelib.core.rules import missing_parent
from chalicelib.core.streams import Peekable
from chalicelib.ingest import merge, open_rejects, parents, staging_table
from chalicelib.ingest.file_reading import FileReading, RecordSeeker
from chalicelib.ingest.orphan_report import OrphanReport
from chalicelib.ingest.rejects import Reasons, Reject
from chalicelib.ingest.relation import Relation
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging_table import StagingTable
from chalicelib.ingest.verdict import FileCounts, verdict
from chalicelib.loads.outcomes import CountedReason, Counts

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ; {}; SET TRANSACTION READ ONLY"


@dataclass(frozen=True)
class Outcome:
    """The result that a load would have. `error` is the verdict, if the file would fail as a whole. `waiting` is the
    number of rejected rows that would wait for a parent. `format` is the format as `Format.shown` returns it, and
    `notices` say what looks odd in the file. `reasons` are the counted reasons of the rejects, the most frequent first.
    `rejects` are the first rejects, as `Reject.shown` returns them with the place "line"."""

    status: str
    error: str | None
    counts: Counts
    waiting: int
    format: Mapping[str, object]
    notices: list[str]
    reasons: list[CountedReason]
    rejects: list[Mapping[str, object]]


def dry_run(
    database: Database,
    dataset: Dataset,
    body: bytes,
    *,
    limit: int,
    declared: Declarations = UNDECLARED,
    is_called_avro: bool = False,
) -> Outcome:
    """Check a file as a load would do now. `body` has the bytes of the file. The result has at most `limit` rejects.
    `is_called_avro` is whether the sender calls the file an Avro file.

    Raises OutOfTime and DatabaseUnavailable. Raises LoadError if a load would fail before it has counted the rows.
    """
    reading = FileReading.of_file(dataset, Peekable(io.BytesIO(body)), declared, is_called_avro=is_called_avro)
    table = StagingTable(dataset, reading.copy_format)
    sample = _Sample(FirstRecords(limit))
    with database.transaction(_BEGIN.format(staging_table.creation(table, on_commit="DROP"))) as session:
        if declared.corrects is not None:
            open_rejects.require_load(session, dataset, declared.corrects)
        tokens = reading.tokens(io.BytesIO(body), counts_only=lambda: sample.is_full)
        stager = Stager(table, tokens, sample, dates=declared.dates)
        for _ in stager.run(session):
            pass  # a check does not report progress
        staging_table.analyze(session, table)
        relation = Relation.staged(dataset, reading.file_format.layout, staging_table.TEMPORARY)
        orphans = _Orphans.of(session, dataset, relation) if relation.references(dataset) else None
        orphan_count = orphans.count(session) if orphans else 0
        found = FileCounts(stager.received, stager.rejected, orphan_count)
        error = verdict(reading.file_format, found, sample.reasons.counted(), stager.oddities)
        waiting, counts = 0, Counts(received=found.received, rejected=found.rejected)
        if not error:
            if orphans and orphan_count:
                _report(session, orphans, sample, reading.seeker(io.BytesIO(body)))
                waiting = orphans.waiting(session)
            valid = replace(relation, source=orphans.others) if orphans else relation
            counts = merge.preview(session, dataset, valid).counts(found.received, found.rejected + orphan_count)
    return Outcome(
        "failed" if error else "succeeded",
        error,
        counts,
        waiting,
        reading.file_format.shown(),
        [*reading.file_format.notices, *stager.oddities.notices(reading.file_format.encoding)],
        sample.reasons.counted(),
        sample.first.records,
    )


@dataclass(frozen=True)
class _Sample:
    """Counts the reasons of the rejects, and keeps the first rejects."""

    first: FirstRecords
    reasons: Reasons = field(default_factory=Reasons)

    @property
    def is_full(self) -> bool:
        return not self.first.wanted

    def add(self, reject: Reject) -> None:
        self.count(reject.problems, 1)
        self.show(reject)

    def count(self, problems: Sequence[Problem], rows: int) -> None:
        self.reasons.add(problems, rows)

    def show(self, reject: Reject) -> None:
        if self.first.wanted:
            self.first.add(reject.shown("line"))


@dataclass(frozen=True)
class _Orphans:
    """SQL fragments about the staged rows `s` whose only problem is a missing parent. For each column that refers to a
    parent, `absent` has the condition that the parent does not exist."""

    dataset: Dataset
    absent: dict[str, str]

    @classmethod
    def of(cls, session: Session, dataset: Dataset, relation: Relation) -> "_Orphans":
        return cls(dataset, parents.absent(session, dataset, relation, lock=False))

    @property
    def rows(self) -> str:
        return f"{staging_table.TEMPORARY} s WHERE s.id IS NOT NULL AND ({self._lacking})"

    @property
    def others(self) -> str:
        """A subquery for FROM: the valid rows that have all their parents."""
        return f"(SELECT s.* FROM {staging_table.TEMPORARY} s WHERE s.id IS NOT NULL AND NOT ({self._lacking})) valid"

    def count(self, session: Session) -> int:
        return int(session.scalar(f"SELECT count(*) FROM {self.rows}"))

    def waiting(self, session: Session) -> int:
        """Return how many of the rows would wait for a parent. All orphans with the same id wait, unless a row with
        this id and existing parents stands below the last of them."""
        valid_below = f"SELECT FROM {self.others} WHERE valid.id = s.id AND valid.seq > s.seq"
        kept = f"SELECT s.id FROM {self.rows} AND NOT EXISTS ({valid_below})"
        return int(session.scalar(f"SELECT count(*) FROM {self.rows} AND s.id IN ({kept})"))

    @property
    def _lacking(self) -> str:
        return " OR ".join(self.absent.values())


def _report(session: Session, orphans: _Orphans, sample: _Sample, seeker: RecordSeeker) -> None:
    """Count, for each reason, the rows whose only problem is a missing parent. Add the first of these rows to the
    sample."""
    each = ", ".join(f"count(*) FILTER (WHERE {absent})" for absent in orphans.absent.values())
    [counted] = session.run(f"SELECT {each} FROM {orphans.rows}")
    for column, rows in zip(orphans.absent, counted, strict=True):
        if rows:
            sample.reasons.add((missing_parent(column, 0),), rows)
    if sample.first.wanted:
        ids = ", ".join(f'CASE WHEN {absent} THEN s."{name}" END' for name, absent in orphans.absent.items())
        first = f"SELECT s.seq, {ids} FROM {orphans.rows} ORDER BY s.seq LIMIT {sample.first.wanted}"
        report = OrphanReport(orphans.dataset, seeker, list(orphans.absent), sample.show)
        session.copy_out(f"COPY ({first}) TO STDOUT", report)
