"""Defines the staging table, which holds the rows of an object before the merge.

The table has one row for each physical line, in order. The sequence number of a row is therefore its line number, so
valid lines can be copied without adding a number. A line without a valid row becomes a row of NULLs: a reject, the
header, a blank line, or the second line of a quoted field.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count

from chalicelib.cloud.database import Session
from chalicelib.core.dataset import Dataset
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.pg_copy import CopyFormat

TEMPORARY = "_staging"  # the temporary staging table of a load; no dataset has this name
# The staging table that a connection keeps for small objects. To create and to drop a table would take Postgres as long
# as to copy a thousand rows. The table loses its rows at the end of each transaction.
KEPT = "_kept_staging"


@dataclass(frozen=True)
class StagingTable:
    """The staging table for the rows of a dataset, and the COPY format of these rows."""

    dataset: Dataset
    copy_format: CopyFormat
    name: str = TEMPORARY

    @property
    def is_kept(self) -> bool:
        """Whether the connection keeps the table."""
        return self.name == KEPT

    @property
    def layout(self) -> CsvLayout:
        """The columns of a row, and their order."""
        return self.copy_format.layout or CsvLayout.by_position(self.dataset)

    @property
    def null_row(self) -> bytes:
        return self.copy_format.null_row(len(self.layout.positions))

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns of a row in SQL, in the order of the file."""
        return tuple(name for name, _ in _columns(self.dataset, self.layout))

    def copy_in(self, session: Session, blocks: Iterable[bytes]) -> None:
        """Copy these blocks of rows into the table with one COPY."""
        copy_format, columns = self.copy_format, ", ".join(self.column_names)
        session.copy_in(
            f"COPY {self.name} ({columns}) FROM STDIN ({copy_format.options})",
            chain((copy_format.head,), blocks, (copy_format.tail,)),
        )


def create(session: Session, table: StagingTable) -> None:
    """Create an empty temporary table. Drop the table of an earlier load, if there is one."""
    session.run(creation(table))


def creation(table: StagingTable, on_commit: str = "PRESERVE ROWS") -> str:
    """Return the statements of `create`, so that a caller can send them together with other statements."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _columns(table.dataset, table.layout))
    return (
        f"DROP TABLE IF EXISTS {table.name} CASCADE; CREATE TEMP TABLE {table.name}"
        f" (seq integer GENERATED ALWAYS AS IDENTITY (CACHE 1000), {columns}) ON COMMIT {on_commit}"
    )


def keep(session: Session, table: StagingTable, others: str) -> str:
    """Create the temporary table KEPT, and run the statements `others` about it, if the connection does not have the
    table with these columns yet. Return the statement that begins its sequence numbers again. The caller runs this
    statement first in the transaction of each load."""
    session.keep(KEPT, f"{creation(table, on_commit='DELETE ROWS')}; {others}")
    return f"SELECT setval('pg_temp.{KEPT}_seq_seq', 1, false)"


def _columns(dataset: Dataset, layout: CsvLayout) -> Iterator[tuple[str, str]]:
    """Yield the name and type of each column of a row, in the order of the file. An ignored field gets a column of type
    text, which is never merged. Therefore COPY can take the lines of a file unchanged."""
    ignored = count(1)
    for position in layout.positions:
        if position is None:
            yield f"ignored_{next(ignored)}", "text"
        else:
            yield dataset.columns[position].quoted, dataset.columns[position].kind.sql


def analyze(session: Session, table: StagingTable) -> None:
    """Give the planner statistics of a temporary table. A small sample is enough, because the planner has to choose
    between only a few ways to join the table."""
    session.run(f"SET default_statistics_target = 10; ANALYZE {table.name}; RESET default_statistics_target")


def discard(session: Session, table: StagingTable) -> None:
    """Drop a temporary table, unless the connection keeps it."""
    if not table.is_kept:
        session.run(f"DROP TABLE IF EXISTS {table.name}")
