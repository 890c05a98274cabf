"""Rows that only lack a parent, reported as they were sent: their object is read once more.

Memory stays bounded however many there are: Postgres sorts them, on its disk if need be, and sends one at a time; the
second reading holds one chunk of the object, and the reject file one part of its upload.
"""

from collections.abc import Callable, Sequence

from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import missing_parent
from chalicelib.ingest.file_reading import RecordSeeker
from chalicelib.ingest.rejects import Reject, row_of_fields


class OrphanReport:
    """The target of a `COPY … TO STDOUT` of rows without parents, in the order of their lines: the line, then for each
    of `columns` the id that does not exist, or NULL. Each row goes to `report`."""

    def __init__(
        self, dataset: Dataset, seeker: RecordSeeker, columns: Sequence[str], report: Callable[[Reject], None]
    ) -> None:
        self._dataset, self._seeker, self._columns, self._report = dataset, seeker, columns, report

    def write(self, data: bytes) -> None:
        line, *absent = data.decode().rstrip("\n").split("\t")
        record = self._seeker.record(int(line))
        problems = [missing_parent(c, p) for c, p in zip(self._columns, absent, strict=True) if p != "\\N"]
        row = row_of_fields(self._dataset, record.fields or ())
        self._report(Reject(record.line, tuple(problems), record.raw, row))
