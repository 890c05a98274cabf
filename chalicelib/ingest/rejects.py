"""Rejected rows: what is reported about each, the file they are collected in, and how many there are of a kind.

The file has one JSON object a line, in the shape BigQuery (NEWLINE_DELIMITED_JSON, autodetect) and DuckDB
load as is: the same keys with the same types on every line.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.object_streams import Writer
from chalicelib.core import correlation, timestamps
from chalicelib.core.datasets import Dataset
from chalicelib.core.rules import Problem
from chalicelib.loads.outcomes import CountedReason

_UNLOADABLE = re.compile("[\0\ud800-\udfff]")  # JSON readers stumble over these even when escaped
_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}  # to some readers these end a line, too
_JSON = json.JSONEncoder(ensure_ascii=False)  # json.dumps would make a new one for every line
_TYPE = "application/x-ndjson"
MOST_KINDS = 100  # of reasons that are counted by name; declared columns and rules make some twenty
OTHER = "other reasons"
READ = 4 * 1024 * 1024  # bytes of a file that are read to show its first records
ROOM = 5_000_000  # characters of shown records in Lambda's answer, which may have 6 MB
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused row. `place` is its first physical line from 1, or its index from 0 in a request.

    `row` is None where the record could not be split into columns.
    """

    place: int
    problems: tuple[Problem, ...]
    raw: bytes
    row: Mapping[str, str | None] | None

    @property
    def reasons(self) -> list[str]:
        return [problem.text for problem in self.problems]

    @property
    def fields(self) -> list[str]:
        """Names of the columns at fault, each once, in order of their problems."""
        return list(dict.fromkeys(p.field for p in self.problems if p.field is not None))

    def shown(self, place: str) -> dict[str, Any]:
        """{`place`, "reasons", "fields", "raw", "row"}, of texts that every JSON reader takes."""
        return {
            place: self.place,
            "reasons": [_loadable(reason) for reason in self.reasons],
            "fields": self.fields,
            "raw": _loadable(self.raw.decode("utf-8", "replace")),
            "row": self.row and {name: _loadable(text) for name, text in self.row.items()},
        }


class Rejects(Protocol):
    """Where rejected rows go, one after the other."""

    def add(self, reject: Reject) -> None: ...


class Reasons:
    """How many rows were rejected for each kind of reason. A row with several kinds counts under each."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str | None, str], int] = {}  # by field and general reason: texts are made once
        self._others = 0

    def add(self, problems: Iterable[Problem], rows: int = 1) -> None:
        """Count the problems of a row, or of so many rows that have the same."""
        known, others = self._rows, 0
        for kind in {(field, general or reason): None for field, reason, general in problems}:
            if kind in known:
                known[kind] += rows
            elif len(known) < MOST_KINDS:
                known[kind] = rows
            else:
                others = rows
        self._others += others

    def kept(self) -> dict[str, Any]:
        """All of it as JSON, for `of`."""
        return {"rows": [[*kind, rows] for kind, rows in self._rows.items()], "others": self._others}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Reasons":
        found = cls()
        found._rows = {(field, reason): rows for field, reason, rows in kept.get("rows", ())}
        found._others = kept.get("others", 0)
        return found

    def counted(self) -> list[CountedReason]:
        """Most first."""
        texts = {Problem(*kind).text: rows for kind, rows in self._rows.items()}
        texts |= {OTHER: self._others} if self._others else {}
        return [{"reason": text, "count": rows} for text, rows in sorted(texts.items(), key=lambda i: (-i[1], i[0]))]


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


def row_of_fields(dataset: Dataset, fields: Sequence[bytes]) -> dict[str, str | None]:
    """The fields of a CSV record by column, as they were sent."""
    return {name: field.decode("utf-8", "replace") for name, field in zip(dataset.column_names, fields, strict=True)}


def row_of_object(dataset: Dataset, sent: object) -> dict[str, str | None] | None:
    """The columns of a JSON row as strings; other keys are left to `raw`, where they do no harm."""
    if not isinstance(sent, Mapping):
        return None
    return {name: _as_text(sent.get(name)) for name in dataset.column_names}


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _loadable(text: str | None) -> str | None:
    return None if text is None else _UNLOADABLE.sub("\ufffd", text)


def file_key(dataset: str, started_at: datetime, load_id: int) -> str:
    """Where the rejects of a load are kept; made of the time of its first attempt, so that a later
    attempt overwrites what an earlier one left."""
    return f"{_dated(dataset, started_at)}-{load_id}.ndjson"


def _dated(dataset: str, at: datetime) -> str:
    return f"{dataset}/{timestamps.name(at)}"


def files_between(bucket: Bucket, dataset: str, since: datetime, until: datetime) -> dict[str, int]:
    """Reject files of a dataset whose loads were begun in this time: load ids by key."""
    found, last = {}, _dated(dataset, until)
    for listed in bucket.objects(f"{dataset}/", after=_dated(dataset, since)):
        if listed.key > last:
            break
        load_id = listed.key.rpartition("-")[2].removesuffix(".ndjson")
        if load_id.isdecimal():
            found[listed.key] = int(load_id)
    return found


class RejectFile:
    """The rejects of one load, streamed to the errored bucket and counted by `reasons`; no rejects, no file."""

    def __init__(
        self,
        bucket: Bucket,
        dataset: Dataset,
        load_id: int,
        source: str,
        started_at: datetime,
        *,
        place: str = "line",
        correlation_id: str | None = None,
    ) -> None:
        self.key = file_key(dataset.name, started_at, load_id)
        self.count = 0
        self.reasons = Reasons()
        self._bucket, self._place = bucket, place
        self._metadata = correlation.metadata(load_id, correlation_id)
        self._head = {"load_id": load_id, "dataset": dataset.name, "source": source}
        self._writer: Writer | None = None

    def add(self, reject: Reject) -> None:
        self.extend(self.line(reject), 1)
        self.reasons.add(reject.problems)

    def extend(self, lines: bytes, count: int) -> None:
        """Add lines that were made by `line` before; who counts their reasons knows them."""
        if self._writer is None:
            self._writer = self._bucket.writer(self.key, _TYPE, self._metadata)
        self._writer.write(lines)
        self.count += count

    def complete(self) -> str | None:
        """Store the file; returns its key, or None where there was nothing to report."""
        if self._writer is None:
            return None
        self._writer.complete()
        return self.key

    def abort(self) -> None:
        """Give up what has been sent so far. A file that was completed stays: its load may have been
        committed although nobody heard of it, and another attempt overwrites or removes it."""
        if self._writer is not None:
            self._writer.abort()

    def remove(self) -> None:
        """Delete the file that this or an earlier attempt stored."""
        self._bucket.delete(self.key)

    def line(self, reject: Reject) -> bytes:
        """The line of the file that tells of a row."""
        at = timestamps.text(datetime.now(UTC))
        document: dict[str, Any] = {**self._head, **reject.shown(self._place), "rejected_at": at}
        if document["raw"].encode() != reject.raw:
            document["raw_base64"] = base64.b64encode(reject.raw).decode("ascii")
        return _JSON.encode(document).translate(_LINE_BREAKS).encode() + b"\n"
