"""Tests the form of a reject. Every line of a reject file has the same keys and types, and every JSON parser accepts
the line."""

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cloud.buckets import Bucket
from chalicelib.core.answer_size import ROOM, FirstRecords
from chalicelib.core.datasets import DATASETS
from chalicelib.core.reasons import MISSING, NOT_TEXT, Problem
from chalicelib.core.rules import check_object, check_unsplit, missing_parent
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_tokens import Record
from chalicelib.ingest.reject_files import RejectFile, ReportedLoad
from chalicelib.ingest.reject_lines import RejectLines
from chalicelib.ingest.rejects import MOST_KINDS, OTHER, Reasons, Reject, row_of_fields, row_of_object

JOBS = DATASETS["jobs"]


class Memory:
    """A bucket in memory. It stores an upload when the upload is completed."""

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
    file = RejectFile(cast(Bucket, bucket), ReportedLoad(JOBS, 7, "s3://b/k", datetime(2021, 7, 27, tzinfo=UTC)))
    for reject in rejects:
        file.add(reject)
    key = file.complete()
    assert key is not None
    return [json.loads(line) for line in bucket.objects[key].decode().splitlines()]


def test_the_key_of_a_reject_file_has_the_time_in_utc_and_the_load_id() -> None:
    at = datetime(2021, 7, 27, 18, 2, 8, 123456, tzinfo=timezone(timedelta(hours=2)))
    file = RejectFile(cast(Bucket, Memory()), ReportedLoad(JOBS, 7, "s3://b/k", at))
    assert file.key == "jobs/20210727T160208.123456Z-7.ndjson"


def test_without_rejects_there_is_no_file() -> None:
    bucket = Memory()
    file = RejectFile(cast(Bucket, bucket), ReportedLoad(JOBS, 7, "s3://b/k", datetime.now(UTC)))
    assert file.complete() is None
    assert bucket.objects == {}


def test_a_file_is_stored_once_however_often_its_load_tries_to_commit() -> None:
    bucket = Memory()
    file = RejectFile(cast(Bucket, bucket), ReportedLoad(JOBS, 7, "s3://b/k", datetime.now(UTC)))
    file.add(Reject(1, (MISSING.of("job"),), b"1,", None))
    assert file.complete() == file.key
    stored = bucket.objects.pop(file.key)
    file.abort()
    assert stored.count(b"\n") == 1
    assert file.complete() == file.key
    assert bucket.objects == {}


def test_each_field_with_problems_is_named_once() -> None:
    problems = (
        MISSING.of("job"),
        Problem(None, "odd", "odd"),
        Problem("job", "short", "is short"),
        MISSING.of("id"),
    )
    [line] = written(Reject(3, problems, b"x", None))
    assert line["fields"] == ["job", "id"]
    assert line["reasons"] == ["job is missing", "odd", "job is short", "id is missing"]
    assert line["codes"] == ["missing", "odd", "short", "missing"]
    assert (line["line"], line["row"]) == (3, None)


@given(st.binary(max_size=40), st.text(max_size=20))
def test_any_row_can_be_reported(raw: bytes, text: str) -> None:
    row = row_of_object(JOBS, {"id": 5, "job": text, "extra": {}})
    [line] = written(Reject(1, (Problem(None, "odd", "odd"),), raw, row))
    assert "\0" not in line["raw"]
    assert line["row"]["id"] == "5"
    assert list(line["row"]) == ["id", "job"]
    back = base64.b64decode(line["raw_base64"]) if "raw_base64" in line else line["raw"].encode()
    assert back == raw


TEXTS = st.text(st.sampled_from('ab\\"\0\n\x85\u2028\u2029\ud800é'))


@given(st.binary() | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), TEXTS | st.none())
def test_a_line_is_what_a_json_encoder_writes(raw: bytes, text: str | None) -> None:
    reject = Reject(3, (MISSING.of("job"),), raw, text if text is None else {"id": text, "job": None})
    line = RejectLines({"load_id": 7}, "line").line(reject)
    members = json.loads(line)
    at = datetime.fromisoformat(members["rejected_at"])
    assert timedelta(0) <= datetime.now(UTC) - at < timedelta(minutes=1)
    assert members["rejected_at"] == f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    assert ("raw_base64" in members) == (members["raw"].encode() != raw)
    shown = {"load_id": 7, **reject.shown("line"), "rejected_at": members["rejected_at"]}
    if "raw_base64" in members:
        shown["raw_base64"] = base64.b64encode(raw).decode()
    written = json.dumps(shown, ensure_ascii=False)
    for character in "\x85\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    assert line == written.encode() + b"\n"


REJECTS = st.builds(
    Reject,
    st.integers(1, 99),
    st.sampled_from([(MISSING.of("job"),), (NOT_TEXT.of("job"),), (MISSING.of("id"), MISSING.of("job"))]),
    st.sampled_from([b"x", b"\xff", b"x\0", b"y" * 50]),
    st.sampled_from([None, {"id": "x", "job": ""}, {"id": "x", "job": None}, {"id": "", "job": "x"}]),
)


@given(st.lists(REJECTS, max_size=20))
def test_each_line_is_that_of_a_file_with_this_reject_alone(rejects: list[Reject]) -> None:
    def shown(lines: RejectLines, reject: Reject) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(lines.line(reject))
        return {**members, "rejected_at": None}

    lines = RejectLines({"load_id": 7}, "line")
    for reject in rejects * 2:
        assert shown(lines, reject) == shown(RejectLines({"load_id": 7}, "line"), reject)


def test_the_row_of_a_reject_has_only_strings_and_nulls() -> None:
    assert row_of_fields(JOBS, (b" 1", b"\xffx")) == {"id": " 1", "job": "\ufffdx"}
    assert row_of_object(JOBS, {"id": True, "job": [1.5]}) == {"id": "true", "job": "[1.5]"}
    assert row_of_object(JOBS, {}) == {"id": None, "job": None}
    assert row_of_object(JOBS, "text") is None


def test_a_row_counts_under_each_of_its_reasons_once() -> None:
    reasons = Reasons()
    reasons.add((MISSING.of("id"), MISSING.of("job")))
    reasons.add((MISSING.of("job"), MISSING.of("job")))
    reasons.add((MISSING.of("job"),), 3)
    assert reasons.counted() == [
        {"reason": "job is missing", "code": "missing", "count": 5},
        {"reason": "id is missing", "code": "missing", "count": 1},
    ]


def test_counts_go_on_in_another_invocation_also_of_the_previous_release() -> None:
    reasons = Reasons()
    reasons.add((MISSING.of("id"), NOT_TEXT.of("job")))
    kept = json.loads(json.dumps(reasons.kept()))
    assert Reasons.of(kept).counted() == reasons.counted()
    assert [(field, reason, rows) for field, reason, rows in kept["rows"]] == [
        ("id", "is missing", 1),
        ("job", "is not text", 1),
    ]
    del kept["codes"]
    assert Reasons.of(kept).counted() == [{**counted, "code": None} for counted in reasons.counted()]


def kinds(*problems: Problem) -> list[str]:
    """Return the kinds of reasons under which these problems are counted."""
    names = []
    for problem in problems:
        reasons = Reasons()
        reasons.add((problem,))
        names += [counted["reason"] for counted in reasons.counted()]
    return names


def test_the_kind_of_a_reason_does_not_contain_values() -> None:
    assert kinds(missing_parent("job_id", 99)) == ["job_id does not exist"]
    assert missing_parent("job_id", 99).text == "job_id 99 does not exist"
    assert (
        kinds(*check_object(JOBS, {"id": 1, "job": "a", "x": 1, "y'\n": 1}).problems) == ["a key is not a column"] * 2
    )
    records = [token for token in Reader(JOBS, io.BytesIO(b"1\n1,a,b\n1,a,b,c\n")) if isinstance(token, Record)]
    assert kinds(*(r.problem for r in records if r.problem)) == [
        "expected 2 fields, found fewer",
        "expected 2 fields, found more",
        "expected 2 fields, found more",
    ]


@given(st.binary(max_size=20), st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3))
def test_no_sent_text_becomes_part_of_a_kind(raw: bytes, row: dict[str, Any]) -> None:
    texts = " ".join(kinds(*check_unsplit(raw, Problem(None, "odd", "odd")), *check_object(JOBS, row).problems))
    assert set(texts) <= set("abcdefghijklmnopqrstuvwxyz UTFNL-8_0123456789")


@given(st.lists(st.lists(st.integers(0, 2 * MOST_KINDS), min_size=1, max_size=4), max_size=400))
def test_kinds_beyond_a_hundred_are_counted_together(rows: list[list[int]]) -> None:
    reasons, expected, named = Reasons(), Counter[str](), dict[str, None]()
    for row in rows:
        reasons.add([Problem(None, "odd", f"reason {n}") for n in row])
        for n in row:
            if len(named) < MOST_KINDS or (f"reason {n}" in named):
                named[f"reason {n}"] = None
        expected.update({f"reason {n}" if f"reason {n}" in named else OTHER for n in row})
    counted = reasons.counted()
    assert {kind["reason"]: kind["count"] for kind in counted} == expected
    assert [-kind["count"] for kind in counted] == sorted(-kind["count"] for kind in counted)
    assert len(counted) <= MOST_KINDS + 1


@given(st.integers(1, 4), st.lists(st.sampled_from(["x", '"', "\\", "\x01", "\xe9", "\U0001f600"]), max_size=6))
def test_as_many_first_records_are_shown_as_fit_into_a_response(limit: int, characters: list[str]) -> None:
    first = FirstRecords(limit)
    sent = [{"raw": character * 400_000} for character in characters]
    for record in sent:
        first.add(record)
    assert first.records == sent[: len(first.records)]
    assert len(first.records) <= limit
    shown = json.dumps(json.dumps(first.records, ensure_ascii=False))
    assert len(shown) <= ROOM + 100
    if len(first.records) < min(limit, len(sent)):
        more = json.dumps(json.dumps(sent[: len(first.records) + 1], ensure_ascii=False))
        assert len(more) > ROOM
        assert first.wanted == 0
