"""Reports the rows whose only problem is a missing parent. The object is read again, so that the report has the rows as
they were sent.

The memory in use does not depend on the number of these rows. Postgres sorts them, on disk if necessary, and sends one
row at a time. The second reading keeps one chunk of the object in memory, and the reject file keeps one part of its
upload.
"""

from collections.abc import Callable, Sequence

from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import missing_parent
from chalicelib.ingest.file_reading import RecordSeeker
from chalicelib.ingest.rejects import Reject, row_of_fields


class OrphanReport:
    """The target of a `COPY … TO STDOUT` of rows without parents, sorted by line. A row of this COPY has the line, and
    for each of `columns` the id that does not exist, or NULL. `report` is called with the reject for each row."""

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
