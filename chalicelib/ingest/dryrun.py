"""What would become of a file, without anything being written.

The reader, the rules, staging and the counts are those of a load. In the place of locks stands a snapshot,
and a transaction that Postgres itself keeps from writing to anything but its temporary table, which goes
when it ends.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.cloud.database import Database, Session
from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import missing_parent
from chalicelib.ingest import merge, staging
from chalicelib.ingest.missing import MissingReport
from chalicelib.ingest.rejects import FirstRecords, Reasons, Reject
from chalicelib.ingest.sources import Source
from chalicelib.loads.outcomes import CountedReason, Counts

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ; {}; SET TRANSACTION READ ONLY"


@dataclass(frozen=True)
class Outcome:
    """The counts that the load would have, its reasons (most first) and the first of its rejects
    ({"line", "reasons", "fields", "raw", "row"})."""

    counts: Counts
    reasons: list[CountedReason]
    rejects: list[Mapping[str, object]]


def dry_run(database: Database, dataset: Dataset, body: bytes, *, zipped: bool, limit: int) -> Outcome:
    """Check the bytes of a CSV file, or of a gzip of one, as a load would now; show at most `limit` rejects.

    Raises LoadError where it is not sound gzip, OutOfTime, DatabaseUnavailable.
    """
    source = Source(dataset, ".csv.gz" if zipped else ".csv")
    sample = _Sample(FirstRecords(limit))
    with database.transaction(_BEGIN.format(staging.creation(dataset, on_commit="DROP"))) as session:
        stager = staging.Stager(dataset, source.tokens(io.BytesIO(body)), sample, source.form)
        for _ in stager.run(session):
            pass  # nobody is told of progress
        staging.analyze(session)
        parents = _Parents.of(dataset)
        missing = _report_missing(session, source, parents, body, sample) if parents else 0
        valid = parents.present if parents else "staging"
        counts = merge.preview(session, dataset, valid).counts(stager.received, stager.rejected + missing)
    return Outcome(counts, sample.reasons.counted(), sample.first.records)


@dataclass(frozen=True)
class _Sample:
    """Rejects that are counted, and the first of them."""

    first: FirstRecords
    reasons: Reasons = field(default_factory=Reasons)

    def add(self, reject: Reject) -> None:
        self.reasons.add(reject.problems)
        self.show(reject)

    def show(self, reject: Reject) -> None:
        if self.first.wanted:
            self.first.add(reject.shown("line"))


@dataclass(frozen=True)
class _Parents:
    """Staged rows `s` beside their parents, as fragments of SQL; `absent` by column."""

    joined: str
    absent: dict[str, str]

    @classmethod
    def of(cls, dataset: Dataset) -> "_Parents | None":
        """None where the dataset refers to no other."""
        joined, absent = "staging s", {}
        for column, parent in dataset.references:
            joined += f" LEFT JOIN {parent} of_{column.name} ON of_{column.name}.id = s.{column.name}"
            absent[column.name] = f"of_{column.name}.id IS NULL"
        return cls(f"{joined} WHERE s.id IS NOT NULL", absent) if absent else None

    @property
    def present(self) -> str:
        """The rows that have all their parents, to stand in FROM."""
        return f"(SELECT s.* FROM {self.joined} AND NOT ({self.lacking})) valid"

    @property
    def lacking(self) -> str:
        return " OR ".join(self.absent.values())


def _report_missing(session: Session, source: Source, parents: _Parents, body: bytes, sample: _Sample) -> int:
    """Count the rows that only lack parents, by reason, and show the first ones; how many there are."""
    lacking = f"FROM {parents.joined} AND ({parents.lacking})"
    each = "".join(f", count(*) FILTER (WHERE {absent})" for absent in parents.absent.values())
    [[total, *counted]] = session.run(f"SELECT count(*){each} {lacking}")
    for column, rows in zip(parents.absent, counted, strict=True):
        if rows:
            sample.reasons.add((missing_parent(column, 0),), rows)
    if total and sample.first.wanted:
        told = ", ".join(f"CASE WHEN {absent} THEN s.{name} END" for name, absent in parents.absent.items())
        first = f"SELECT s.seq, {told} {lacking} ORDER BY s.seq LIMIT {sample.first.wanted}"
        seeker = source.seeker(io.BytesIO(body))
        report = MissingReport(source.dataset, seeker, list(parents.absent), sample.show)
        session.copy_out(f"COPY ({first}) TO STDOUT", report)
    return int(total)
