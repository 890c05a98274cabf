"""The form of a reject: the same keys and types on every line, nothing a JSON reader stumbles over."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.datasets import DATASETS
from chalicelib.ingest.rejects import Reject, RejectFile, row_of_fields, row_of_object
from chalicelib.ingest.rules import Problem
from chalicelib.storage import Bucket

JOBS = DATASETS["jobs"]


class Memory:
    """A bucket that holds what is completed."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.deleted: list[str] = []

    def writer(self, key: str, _content_type: str, _metadata: Mapping[str, str]) -> "MemoryWriter":
        return MemoryWriter(self, key)

    def delete(self, *keys: str) -> None:
        self.deleted += keys


class MemoryWriter:
    def __init__(self, bucket: Memory, key: str) -> None:
        self._bucket, self._key, self._data = bucket, key, b""

    def write(self, data: bytes) -> None:
        self._data += data

    def complete(self) -> None:
        self._bucket.objects[self._key] = self._data

    def abort(self) -> None:
        self._data = b""


def written(*rejects: Reject) -> list[dict[str, Any]]:
    bucket = Memory()
    file = RejectFile(cast(Bucket, bucket), JOBS, 7, "s3://b/k", datetime(2021, 7, 27, tzinfo=UTC))
    for reject in rejects:
        file.add(reject)
    key = file.complete()
    assert key is not None
    return [json.loads(line) for line in bucket.objects[key].decode().splitlines()]


def test_the_key_names_the_time_in_utc_and_the_load() -> None:
    at = datetime(2021, 7, 27, 18, 2, 8, 123456, tzinfo=timezone(timedelta(hours=2)))
    file = RejectFile(cast(Bucket, Memory()), JOBS, 7, "s3://b/k", at)
    assert file.key == "jobs/20210727T160208.123456Z-7.ndjson"


def test_no_rejects_no_file() -> None:
    bucket = Memory()
    file = RejectFile(cast(Bucket, bucket), JOBS, 7, "s3://b/k", datetime.now(UTC))
    assert file.complete() is None
    assert bucket.objects == {}


def test_fields_are_named_once() -> None:
    problems = (
        Problem("job", "is missing"),
        Problem(None, "odd"),
        Problem("job", "is short"),
        Problem("id", "is missing"),
    )
    [line] = written(Reject(3, problems, b"x", None))
    assert line["fields"] == ["job", "id"]
    assert line["reasons"] == ["job is missing", "odd", "job is short", "id is missing"]
    assert (line["line"], line["row"]) == (3, None)


@given(st.binary(max_size=40), st.text(max_size=20))
def test_any_row_can_be_reported(raw: bytes, text: str) -> None:
    row = row_of_object(JOBS, {"id": 5, "job": text, "extra": {}})
    [line] = written(Reject(1, (Problem(None, "odd"),), raw, row))
    assert "\0" not in line["raw"]
    assert line["row"]["id"] == "5"
    assert list(line["row"]) == ["id", "job"]
    back = base64.b64decode(line["raw_base64"]) if "raw_base64" in line else line["raw"].encode()
    assert back == raw


def test_rows_hold_strings_or_null() -> None:
    assert row_of_fields(JOBS, (b" 1", b"\xffx")) == {"id": " 1", "job": "\ufffdx"}
    assert row_of_object(JOBS, {"id": True, "job": [1.5]}) == {"id": "true", "job": "[1.5]"}
    assert row_of_object(JOBS, {}) == {"id": None, "job": None}
    assert row_of_object(JOBS, "text") is None
