"""Rows that only lack a parent, reported as they were sent: the file is read once more for them."""

from collections.abc import Callable, Sequence

from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import missing_parent
from chalicelib.formats.csv_seeker import Seeker
from chalicelib.ingest.rejects import Reject, row_of_fields
from chalicelib.ingest.sources import StoredSeeker


class MissingReport:
    """Where `COPY … TO STDOUT` tells of rows without parents, by line: its number, then for each reference
    the id that does not exist, or NULL. Each row goes to `report`."""

    def __init__(
        self,
        dataset: Dataset,
        seeker: Seeker | StoredSeeker,
        columns: Sequence[str],
        report: Callable[[Reject], None],
    ) -> None:
        self._dataset, self._seeker, self._columns, self._report = dataset, seeker, columns, report

    def write(self, data: bytes) -> None:
        line, *parents = data.decode().rstrip("\n").split("\t")
        record = self._seeker.record(int(line))
        problems = [missing_parent(c, p) for c, p in zip(self._columns, parents, strict=True) if p != "\\N"]
        row = row_of_fields(self._dataset, record.fields or ())
        self._report(Reject(record.line, tuple(problems), record.raw, row))
