"""The table between an object and its dataset's table.

It has one row for each physical line, in order, so that its sequence number *is* the line number and clean lines need
no number of their own. A line that carries no valid row (a reject, the header, a blank line, the second line of a
quoted field) leaves a row of NULLs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count

from chalicelib.cloud.database import Session
from chalicelib.core.datasets import Dataset
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.pg_copy import CopyFormat

TEMPORARY = "staging"  # the name of a connection's own one


@dataclass(frozen=True)
class StagingTable:
    """Where rows of a dataset go, and in which format."""

    dataset: Dataset
    copy_format: CopyFormat
    name: str = TEMPORARY

    @property
    def layout(self) -> CsvLayout:
        """Which columns a row has, in which order."""
        return self.copy_format.layout or CsvLayout.by_position(self.dataset)

    @property
    def null_row(self) -> bytes:
        return self.copy_format.null_row(len(self.layout.positions))

    def copy_in(self, session: Session, blocks: Iterable[bytes]) -> None:
        """One COPY of these blocks of rows."""
        of_format, columns = self.copy_format, ", ".join(name for name, _ in _columns(self.dataset, self.layout))
        session.copy_in(
            f"COPY {self.name} ({columns}) FROM STDIN ({of_format.options})",
            chain((of_format.head,), blocks, (of_format.tail,)),
        )


def create(session: Session, table: StagingTable) -> None:
    """An empty temporary table, whatever an earlier load left."""
    session.run(creation(table))


def creation(table: StagingTable, on_commit: str = "PRESERVE ROWS") -> str:
    """The statements of `create`, to be sent together with others."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _columns(table.dataset, table.layout))
    return (
        f"DROP TABLE IF EXISTS {TEMPORARY}; CREATE TEMP TABLE {TEMPORARY}"
        f" (seq integer GENERATED ALWAYS AS IDENTITY (CACHE 1000), {columns}) ON COMMIT {on_commit}"
    )


def _columns(dataset: Dataset, layout: CsvLayout) -> Iterator[tuple[str, str]]:
    """Name and type of the columns that a row has, in the order of the file. What it ignores is text that is never
    merged: COPY then takes a file's lines as they are."""
    ignored = count(1)
    for position in layout.positions:
        if position is None:
            yield f"ignored_{next(ignored)}", "text"
        else:
            yield dataset.columns[position].name, dataset.columns[position].kind.value


def analyze(session: Session) -> None:
    """Tell the planner the size of the temporary table; a small sample is enough for the few ways to join it."""
    session.run(f"SET default_statistics_target = 10; ANALYZE {TEMPORARY}; RESET default_statistics_target")


def drop(session: Session) -> None:
    session.run(f"DROP TABLE IF EXISTS {TEMPORARY}")
