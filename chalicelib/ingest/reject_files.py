"""Writes and reads reject files. A reject file is in the errored bucket. For each reject of a load, it has a line with
a JSON object.

BigQuery (NEWLINE_DELIMITED_JSON, autodetect) and DuckDB load these files without conversion, because every line has the
same keys with the same types. There is one exception: if a load has more rejects than the limit allows, the last line
of the reject file says how many of them are recorded.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.object_streams import Writer
from chalicelib.core import correlation, timestamps
from chalicelib.core.dataset import Dataset
from chalicelib.core.reasons import UNKNOWN_PARENT, Problem
from chalicelib.ingest.open_rejects import MOST, Tracked
from chalicelib.ingest.reject_limit import UNLIMITED, RejectLimit
from chalicelib.ingest.reject_lines import RejectLines
from chalicelib.ingest.rejects import Reasons, Reject

_TYPE = "application/x-ndjson"
READ = 100_000_000  # the most bytes of a reject file that are searched for records to show
_CHUNK = 64 * 1024
_LAST = "truncated"  # a member that only the last line of an incomplete reject file has
_WAITS = frozenset({UNKNOWN_PARENT.code})


@dataclass(frozen=True)
class ReportedLoad:
    """The load of a reject file. `source` is the URL of the object, or the name of the request in the
    history."""

    dataset: Dataset
    load_id: int
    source: str
    started_at: datetime
    correlation_id: str | None = None


def file_key(dataset: str, started_at: datetime, load_id: int) -> str:
    """Return the key of a load's reject file. The key has the time of the first attempt, so a later attempt overwrites
    the file of an earlier one."""
    return f"{_dated(dataset, started_at)}-{load_id}.ndjson"


def _dated(dataset: str, at: datetime) -> str:
    return f"{dataset}/{timestamps.name(at)}"


def files_between(bucket: Bucket, dataset: str, since: datetime, until: datetime) -> dict[str, int]:
    """Find the reject files of a dataset whose loads began between `since` and `until`. Returns a dictionary from the
    key of a file to the id of its load."""
    load_ids, last = {}, _dated(dataset, until)
    for listed in bucket.objects(f"{dataset}/", after=_dated(dataset, since)):
        if listed.key > last:
            break
        if (load_id := _load_id(listed.key)) is not None:
            load_ids[listed.key] = load_id
    return load_ids


def files_before(bucket: Bucket, dataset: str, before: datetime) -> Iterator[tuple[str, int]]:
    """Yield the key of each reject file of a dataset that was stored before this time, and the id of its load. The
    loads that began first come first."""
    last = _dated(dataset, before)
    for listed in bucket.objects(f"{dataset}/"):
        if listed.key > last:
            break
        if listed.modified < before and (load_id := _load_id(listed.key)) is not None:
            yield listed.key, load_id


def _load_id(key: str) -> int | None:
    load_id = key.rpartition("-")[2].removesuffix(".ndjson")
    return int(load_id) if load_id.isdecimal() else None


class RejectFile:
    """Streams the rejects of one load to the errored bucket, and counts them in `reasons`. A load without rejects has
    no reject file. `tracked` collects the tracked rejects.

    Beyond `limit`, rejects are only counted. Rows that wait for a parent are always recorded. `place` is the name of
    the JSON member that says where the reject was: "line" in a file, or "index" in a request. At most one part of the
    upload is in memory.
    """

    def __init__(self, bucket: Bucket, load: ReportedLoad, place: str = "line", limit: RejectLimit = UNLIMITED) -> None:
        self.key = file_key(load.dataset.name, load.started_at, load.load_id)
        self.reasons = Reasons()
        self.recorded = self.left_out = 0
        self.limit = limit
        self._room = limit.room()
        self._bucket, self._place, self._load_id = bucket, place, load.load_id
        self._metadata = correlation.metadata(load.load_id, load.correlation_id)
        self.lines = RejectLines({"load_id": load.load_id, "dataset": load.dataset.name, "source": load.source}, place)
        self.tracked = Tracked(load.dataset, load.load_id, may_wait=place == "line")
        self._writer: Writer | None = None
        self.is_stored = False

    @property
    def is_full(self) -> bool:
        return self._room.is_full

    def add(self, reject: Reject) -> None:
        codes = reject.codes
        if self.is_full and not _WAITS.issuperset(codes):
            self.count(reject.problems, 1)
            return
        line = self.lines.line(reject)
        self._room.take(len(line))
        self._write(line)
        self.recorded += 1
        self.reasons.add(reject.problems)
        self.tracked.add(reject.place, reject.row, codes)

    def count(self, problems: Sequence[Problem], rows: int) -> None:
        self.left_out += rows
        self.reasons.add(problems, rows)

    def take_over(self, lines: Iterable[bytes], reasons: Reasons, rejected: int) -> None:
        """Begin the file with the rejects of all portions. `lines` are the lines of these rejects, which `RejectLines`
        has made; each item has the lines of one portion. `reasons` are the counts of their reasons, and `rejected` is
        the number of all rejects of the portions, recorded or not."""
        for portion in lines:
            self._write(portion)
            self.recorded += portion.count(b"\n")
            if self.tracked.count < MOST:
                for reject in map(json.loads, portion.splitlines()):
                    self.tracked.add(reject[self._place], reject["row"], reject.get("codes", ()))
        self.reasons = reasons
        self.left_out = rejected - self.recorded

    def complete(self) -> str | None:
        """Store the file, and return its key. Without rejects, store nothing and return None. A repeated call does not
        store the file again."""
        if self._writer is None:
            return None
        if not self.is_stored:
            if self.left_out:
                self._write(self.lines.last(self._load_id, self.recorded, self.recorded + self.left_out))
            self._writer.complete()
            self.is_stored = True
        return self.key

    def abort(self) -> None:
        """Abort the upload. A file that is already stored is kept, because its load may have committed although the
        worker did not get the response. If the load did not commit, another attempt overwrites or removes the file."""
        if self._writer is not None and not self.is_stored:
            self._writer.abort()

    def remove(self) -> None:
        """Delete the file that this attempt or an earlier one has stored."""
        self._bucket.delete(self.key)

    def notices(self) -> list[str]:
        """Return a sentence that says which rejects the file lacks, if it lacks any."""
        if not self.left_out:
            return []
        return [
            f"the reject file has only the first {self.recorded} of {self.recorded + self.left_out} rejected rows; all"
            " of them are counted"
        ]

    def _write(self, lines: bytes) -> None:
        if self._writer is None:
            self._writer = self._bucket.writer(self.key, _TYPE, self._metadata)
        self._writer.write(lines)


def records(bucket: Bucket, key: str, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of a reject file with their numbers, which begin with 1. The first `after` records are skipped.
    The last line of an incomplete file is not a record. Raises NotFound, StorageUnavailable."""
    number, rest = 0, b""
    with closing(bucket.open(key, most=READ)) as stream:
        while data := stream.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                number += 1
                if number > after and _LAST not in (record := json.loads(line)):
                    yield number, record
