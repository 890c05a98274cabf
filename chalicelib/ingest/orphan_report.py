"""Reports the rows whose only problem is a missing parent. The object is read again, so that the reject file can show
these rows as they were sent.

The memory in use does not depend on the number of these rows. Postgres sorts the rows, on disk if necessary, and sends
one row at a time. The second reading keeps one chunk of the object in memory, and the writer of the reject file keeps
one part of the upload.
"""

from collections.abc import Callable, Sequence

from chalicelib.core.dataset import Dataset
from chalicelib.core.rules import missing_parent
from chalicelib.ingest.file_reading import RecordSeeker
from chalicelib.ingest.rejects import Reject, row_of_fields


class OrphanReport:
    """The target of a `COPY … TO STDOUT` of rows without parents, sorted by line. Each row of this COPY has a line
    number. For each of `columns`, it also has the id of the parent that does not exist, or NULL if the parent exists.
    `report` is called with the reject for each row."""

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
