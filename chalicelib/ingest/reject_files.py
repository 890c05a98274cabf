"""Writes and reads reject files. A reject file is in the errored bucket. For each reject of a load, it has a line with
a JSON object.

BigQuery (NEWLINE_DELIMITED_JSON, autodetect) and DuckDB load these files without conversion, because every line has the
same keys with the same types.
"""

import base64
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.object_streams import Writer
from chalicelib.core import correlation, timestamps
from chalicelib.core.dataset import Dataset
from chalicelib.ingest.open_rejects import MOST, Tracked
from chalicelib.ingest.rejects import Reasons, Reject

_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}  # some programs end a line at these characters
_JSON = json.JSONEncoder(ensure_ascii=False)  # json.dumps would create a new encoder for every line
_TYPE = "application/x-ndjson"
READ = 100_000_000  # the most bytes of a reject file that are searched for records to show
ROOM = 5_000_000  # the most characters that the records may take in a response; Lambda allows a response of 6 MB
_CHUNK = 64 * 1024


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
    """Find the reject files of a dataset that were stored before this time. Yields the key of each file and the id of
    its load, oldest first."""
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

    `place` is the name of the JSON member that says where the reject was: "line" in a file, or "index" in a request. At
    most one part of the upload is in memory.
    """

    def __init__(self, bucket: Bucket, load: ReportedLoad, place: str = "line") -> None:
        self.key = file_key(load.dataset.name, load.started_at, load.load_id)
        self.reasons = Reasons()
        self._bucket, self._place = bucket, place
        self._metadata = correlation.metadata(load.load_id, load.correlation_id)
        self._head = {"load_id": load.load_id, "dataset": load.dataset.name, "source": load.source}
        self.tracked = Tracked(load.dataset, load.load_id, may_wait=place == "line")
        self._writer: Writer | None = None
        self.is_stored = False

    def add(self, reject: Reject) -> None:
        self._write(self.line(reject))
        self.reasons.add(reject.problems)
        self.tracked.add(reject.place, reject.row, reject.codes)

    def take_over(self, lines: Iterable[bytes], reasons: Reasons) -> None:
        """Begin the file with the rejects of all portions. `lines` are the lines of these rejects, which the method
        `line` has made; each item has the lines of one portion. `reasons` are the counts of their reasons."""
        for portion in lines:
            self._write(portion)
            if self.tracked.count < MOST:
                for reject in map(json.loads, portion.splitlines()):
                    self.tracked.add(reject[self._place], reject["row"], reject.get("codes", ()))
        self.reasons = reasons

    def complete(self) -> str | None:
        """Store the file, and return its key. Without rejects, store nothing and return None. A repeated call does not
        store the file again."""
        if self._writer is None:
            return None
        if not self.is_stored:
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

    def line(self, reject: Reject) -> bytes:
        """Return the line of the file for a reject."""
        at = timestamps.text(datetime.now(UTC))
        document: dict[str, Any] = {**self._head, **reject.shown(self._place), "rejected_at": at}
        if document["raw"].encode() != reject.raw:
            document["raw_base64"] = base64.b64encode(reject.raw).decode("ascii")
        return _JSON.encode(document).translate(_LINE_BREAKS).encode() + b"\n"

    def _write(self, lines: bytes) -> None:
        if self._writer is None:
            self._writer = self._bucket.writer(self.key, _TYPE, self._metadata)
        self._writer.write(lines)


class FirstRecords:
    """Collects the first records of a reject file, at most `limit` if it is given. Fewer are collected if a response of
    Lambda has no room for more."""

    def __init__(self, limit: int | None) -> None:
        self.records: list[Mapping[str, object]] = []
        self.is_cut = False  # whether a record did not fit
        self._limit, self._room = sys.maxsize if limit is None else limit, ROOM

    @property
    def wanted(self) -> int:
        """The number of records that may still be added."""
        return 0 if self.is_cut else self._limit - len(self.records)

    def add(self, record: Mapping[str, object]) -> None:
        if not self.wanted:
            return
        # The body of the response is JSON. Lambda puts the body as a string into JSON of its own, so some characters
        # are escaped twice.
        size = len(json.dumps(json.dumps(record, ensure_ascii=False)))
        if size > self._room:
            self.is_cut = True
            return
        self._room -= size
        self.records.append(record)


def records(bucket: Bucket, key: str, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of a reject file with their numbers, which begin with 1. The first `after` records are skipped.
    Raises NotFound, StorageUnavailable."""
    number, rest = 0, b""
    with closing(bucket.open(key, most=READ)) as stream:
        while data := stream.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                number += 1
                if number > after:
                    yield number, json.loads(line)
