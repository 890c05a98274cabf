"""Reject files: the rejects of a load in the errored bucket, one JSON object a line.

BigQuery (NEWLINE_DELIMITED_JSON, autodetect) and DuckDB load them as they are: every line has the same keys with the
same types.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.object_streams import Writer
from chalicelib.core import correlation, timestamps
from chalicelib.core.datasets import Dataset
from chalicelib.ingest.rejects import Reasons, Reject

_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}  # to some readers these end a line, too
_JSON = json.JSONEncoder(ensure_ascii=False)  # json.dumps would make a new one for every line
_TYPE = "application/x-ndjson"
READ = 4 * 1024 * 1024  # bytes of a file that are read to show its first records
ROOM = 5_000_000  # characters of shown records in Lambda's answer, which may have 6 MB
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class ReportedLoad:
    """The load whose rejects a file holds; `source` is the URL of its object, or what a request is called."""

    dataset: Dataset
    load_id: int
    source: str
    started_at: datetime
    correlation_id: str | None = None


def file_key(dataset: str, started_at: datetime, load_id: int) -> str:
    """Where the rejects of a load are kept; made of the time of its first attempt, so that a later
    attempt overwrites what an earlier one left."""
    return f"{_dated(dataset, started_at)}-{load_id}.ndjson"


def _dated(dataset: str, at: datetime) -> str:
    return f"{dataset}/{timestamps.name(at)}"


def files_between(bucket: Bucket, dataset: str, since: datetime, until: datetime) -> dict[str, int]:
    """Reject files of a dataset whose loads were begun in this time: load ids by key."""
    load_ids, last = {}, _dated(dataset, until)
    for listed in bucket.objects(f"{dataset}/", after=_dated(dataset, since)):
        if listed.key > last:
            break
        load_id = listed.key.rpartition("-")[2].removesuffix(".ndjson")
        if load_id.isdecimal():
            load_ids[listed.key] = int(load_id)
    return load_ids


class RejectFile:
    """The rejects of one load, streamed to the errored bucket and counted by `reasons`. No rejects, no file.

    `place` is what a reject's place in the load is called. At most one part of an upload is in memory.
    """

    def __init__(self, bucket: Bucket, load: ReportedLoad, place: str = "line") -> None:
        self.key = file_key(load.dataset.name, load.started_at, load.load_id)
        self.reasons = Reasons()
        self._bucket, self._place = bucket, place
        self._metadata = correlation.metadata(load.load_id, load.correlation_id)
        self._head = {"load_id": load.load_id, "dataset": load.dataset.name, "source": load.source}
        self._writer: Writer | None = None
        self.is_stored = False

    def add(self, reject: Reject) -> None:
        self._write(self.line(reject))
        self.reasons.add(reject.problems)

    def take_over(self, lines: Iterable[bytes], reasons: Reasons) -> None:
        """Begin with the lines that earlier portions made by `line`, and the count of their reasons."""
        for line in lines:
            self._write(line)
        self.reasons = reasons

    def complete(self) -> str | None:
        """Store the file, once however often it is called; returns its key, or None if there is nothing to report."""
        if self._writer is None:
            return None
        if not self.is_stored:
            self._writer.complete()
            self.is_stored = True
        return self.key

    def abort(self) -> None:
        """Give up what has been sent so far. A file that was completed stays: its load may have been
        committed although nobody heard of it, and another attempt overwrites or removes it."""
        if self._writer is not None and not self.is_stored:
            self._writer.abort()

    def remove(self) -> None:
        """Delete the file that this or an earlier attempt stored."""
        self._bucket.delete(self.key)

    def line(self, reject: Reject) -> bytes:
        """The line of the file that reports a row."""
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
    """The first `limit` records of a report, fewer where an answer of Lambda's has no room for more."""

    def __init__(self, limit: int) -> None:
        self.records: list[Mapping[str, object]] = []
        self._limit, self._room = limit, ROOM

    @property
    def wanted(self) -> int:
        """How many more may come."""
        return self._limit - len(self.records) if self._room > 0 else 0

    def add(self, record: Mapping[str, object]) -> None:
        if not self.wanted:
            return
        # The answer's body is JSON, and a text in the JSON that Lambda makes of it, which may escape it once more.
        self._room -= len(json.dumps(json.dumps(record, ensure_ascii=False)))
        if self._room >= 0:
            self.records.append(record)


def first_records(bucket: Bucket, key: str, limit: int) -> FirstRecords:
    """Of a reject file, as they stand there. Raises NotFound, StorageUnavailable."""
    first, rest = FirstRecords(limit), b""
    with closing(bucket.open(key, most=READ)) as stream:
        while first.wanted and (data := stream.read(_CHUNK)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                first.add(json.loads(line))
    return first
