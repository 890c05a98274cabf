"""Tests how many rejects of a file are recorded, and how the others are counted."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.cloud.buckets import Bucket
from chalicelib.cloud.database import Session
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LoadError
from chalicelib.core.reasons import MISSING, UNKNOWN_PARENT
from chalicelib.core.rules import check_unsplit, missing_parent
from chalicelib.core.streams import Peekable
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.csv_reader import Reader
from chalicelib.formats.csv_tokens import Checkpoint, Record, Token
from chalicelib.formats.pg_copy import text_format
from chalicelib.formats.rejected_runs import RejectedRun
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.reject_files import RejectFile, ReportedLoad
from chalicelib.ingest.reject_limit import RejectLimit
from chalicelib.ingest.rejects import Reasons, Reject
from chalicelib.ingest.stager import Portion, Stager
from chalicelib.ingest.staging_table import StagingTable
from tests.unit.ingest.test_rejects import Memory

JOBS, EMPLOYEES = DATASETS["jobs"], DATASETS["hired_employees"]
LOAD = ReportedLoad(JOBS, 7, "s3://b/k", datetime(2021, 7, 27, tzinfo=UTC))


def broken(line: int) -> Reject:
    return Reject(line, (MISSING.of("job"),), b"1,", {"id": "1", "job": ""})


def waiting(line: int) -> Reject:
    return Reject(line, (missing_parent("job_id", 9),), b"1,", {"id": "1", "job": ""})


def stored(file: RejectFile, bucket: Memory) -> list[dict[str, Any]]:
    key = file.complete()
    assert key is not None
    return [json.loads(line) for line in bucket.objects[key].splitlines()]


def limited(limit: RejectLimit) -> tuple[RejectFile, Memory]:
    bucket = Memory()
    return RejectFile(cast(Bucket, bucket), LOAD, limit=limit), bucket


def test_rejects_beyond_the_limit_are_counted_and_the_last_line_says_so() -> None:
    file, bucket = limited(RejectLimit(2))
    for line in range(1, 6):
        file.add(broken(line))
    file.count((MISSING.of("id"),), 10)
    *rejects, last = stored(file, bucket)
    assert [reject["line"] for reject in rejects] == [1, 2]
    assert last == {"load_id": 7, "truncated": True, "recorded": 2, "rejected": 15}
    assert [(each["reason"], each["count"]) for each in file.reasons.counted()] == [
        ("id is missing", 10),
        ("job is missing", 5),
    ]
    assert file.tracked.count == 2
    assert file.notices() == ["the reject file has only the first 2 of 15 rejected rows; all of them are counted"]


def test_a_file_with_all_rejects_has_no_such_line() -> None:
    file, bucket = limited(RejectLimit(2))
    file.add(broken(1))
    file.add(broken(2))
    assert file.is_full
    assert [reject["line"] for reject in stored(file, bucket)] == [1, 2]
    assert file.notices() == []


def test_rows_that_wait_for_a_parent_are_always_recorded() -> None:
    file, bucket = limited(RejectLimit(1))
    for reject in (broken(1), broken(2), waiting(3), waiting(4)):
        file.add(reject)
    *rejects, last = stored(file, bucket)
    assert [reject["line"] for reject in rejects] == [1, 3, 4]
    assert (last["recorded"], last["rejected"]) == (3, 4)


def test_the_lines_of_the_file_also_have_a_limit_in_bytes() -> None:
    file, bucket = limited(RejectLimit(100, size=500))
    for line in range(1, 50):
        file.add(broken(line))
    *rejects, last = stored(file, bucket)
    size = len(bucket.objects[file.key])
    assert 1 < len(rejects) < 5
    assert 500 <= size < 1000
    assert last["recorded"] == len(rejects)


def test_the_rejects_of_earlier_invocations_count_towards_the_limit() -> None:
    limit = RejectLimit(3, size=500)
    assert not limit.room(2, 499).is_full
    assert limit.room(3, 0).is_full
    assert limit.room(1, 500).is_full


# --- Runs of rejects

LAYOUTS = (
    CsvLayout.by_position(JOBS),
    CsvLayout.by_position(EMPLOYEES, b";"),
    CsvLayout(b"|", (1, None, 0), has_header=True, names=("job", "note", "id")),
    CsvLayout.by_position(EMPLOYEES),
)
PIECES = [b"x", b"id", b"job", b"7", b",", b";", b"|", b"\t", b'"', b" ", b"\0", b"\r", b"\xff", b"\xc3\xa9"]
PIECES.append(b"\xef\xbb\xbf")
LINES = st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join), max_size=12)


def tally(tokens: list[Token]) -> tuple[Any, ...]:
    """Return what the tokens of a file say about its lines and rejects, without the values in the reasons."""
    reasons, rejected = Reasons(), 0
    for token in tokens:
        if isinstance(token, RejectedRun):
            for raw, rows in token.distinct():
                reasons.add(check_unsplit(raw, token.problem), rows)
                rejected += rows
        elif isinstance(token, Record) and token.problem is not None:
            reasons.add(check_unsplit(token.raw, token.problem))
            rejected += 1
    return sum(token.lines for token in tokens), rejected, reasons.counted()


@example([b"id;job", b"x"], b"\n", LAYOUTS[0])  # a header with another delimiter
@example([b"job\tid", b"x"], b"\n", LAYOUTS[0])
@example([b"\xef\xbb\xbf", b" ", b"x"], b"\n", LAYOUTS[0])  # blank lines
@example([b"1,a,,", b"1,a, ,\xef\xbb\xbf", b"1,a,b"], b"\r\n", LAYOUTS[0])  # empty fields beyond the last column
@example([b"job,id,\r,x"], b"\n", LAYOUTS[0])  # CR ends a header
@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.sampled_from(LAYOUTS))
def test_runs_are_counted_as_their_records_would_be(lines: list[bytes], end: bytes, layout: CsvLayout) -> None:
    dataset = EMPLOYEES if len(layout.positions) == len(EMPLOYEES.columns) else JOBS
    data = b"first" + end + end.join(lines)

    def read(*, counts_only: bool) -> tuple[Any, ...]:
        try:
            return tally(list(Reader(dataset, io.BytesIO(data), layout, counts_only=lambda: counts_only)))
        except LoadError as error:
            return (str(error),)

    assert read(counts_only=True) == read(counts_only=False)


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"x,y",
        b",x",
        b"1,2,3,4",
        b"1,2,3,4,5,6",
        b"\0",
        b"\xff",
        b'x"',
        b"{",
        b"[[",
        b'""',
        b'"x","y"',
        b'"",""\r',
    ],
)
def test_garbage_is_read_in_few_steps_when_it_is_only_counted(line: bytes) -> None:
    """The test counts steps instead of seconds. Each token is a step. Without runs, a megabyte of garbage would take
    100,000 steps or more."""
    data = b"1,Ann,2021-01-01,1,1\n" + (line + b"\n") * 50_000
    tokens = list(Reader(EMPLOYEES, io.BytesIO(data), counts_only=lambda: True))
    assert sum(token.lines for token in tokens) == 50_001
    assert len(tokens) < 20


@pytest.mark.parametrize("end", [b",", b",\xc3\xa9", b'"', b'",x', b"\r,", b" \r\r\r"])
@pytest.mark.parametrize("part", [b"x", b"\xc3\xa9", b"x,", b",", b" ", b'"",', b"\xc3\xa9,", b"\r"])
def test_long_lines_are_read_in_linear_time(part: bytes, end: bytes) -> None:
    """If the time were quadratic, the first of these lines would take half an hour."""
    line = b"1,a," + part * (900_000 // len(part)) + end + b"\n"
    tokens = list(Reader(JOBS, io.BytesIO(b"1,a\n" + line * 3 + b"2,b\n"), counts_only=lambda: True))
    assert sum(token.lines for token in tokens) == 5


# --- Repeated lines

ROWS = st.lists(
    st.sampled_from([b"x", b'""', b"a,b,c,d,e", b",,x,,", b"3,Cy,soon,,", b"3,,2021-01-01,1,2", b"1,A\xff,,1,1"])
    | st.lists(st.sampled_from([b"1", b"x", b",", b" ", b"\0"]), max_size=9).map(b"".join),
    max_size=30,
)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.sampled_from(LAYOUTS))
def test_a_repeated_record_is_read_as_by_a_reader_that_remembers_nothing(
    lines: list[bytes], end: bytes, layout: CsvLayout
) -> None:
    dataset = EMPLOYEES if len(layout.positions) == len(EMPLOYEES.columns) else JOBS
    data = b"first" + end + end.join(lines * 2) + end
    reader = Reader(dataset, io.BytesIO(data), layout)
    offset = read = 0
    try:
        for token in reader:
            if isinstance(token, Record) and offset:
                start = Checkpoint(offset, read, records=True)
                alone = next(iter(Reader(dataset, io.BytesIO(data[offset:]), layout, start=start)))
                assert alone == token
            offset, read = reader.offset, read + token.lines
    except LoadError:
        pass  # a line looks like another header


class NoParents:
    """A session of a database without any parents."""

    def copy_in(self, _sql: str, blocks: Iterable[bytes]) -> None:
        for _ in blocks:
            pass

    def run(self, *_args: object, **_values: object) -> list[object]:
        return []


def staged(body: bytes, limit: RejectLimit) -> tuple[Any, ...]:
    """Return the counts of a load, its tracked rejects, and the lines of its reject file."""
    bucket = Memory()
    file = RejectFile(cast(Bucket, bucket), LOAD, limit=limit)
    reading = FileReading.of_file(EMPLOYEES, Peekable(io.BytesIO(body)))
    tokens = reading.tokens(io.BytesIO(body), counts_only=lambda: file.is_full)
    stager = Stager(StagingTable(EMPLOYEES, reading.copy_format), tokens, file, Portion(lines=3))
    for _ in stager.run(cast(Session, NoParents())):
        pass
    rejects = stored(file, bucket) if stager.rejected else []
    for reject in rejects:
        reject.pop("rejected_at", None)
    return (stager.received, stager.rejected, file.reasons.counted()), rejects


def rejected(tokens: Iterable[Token]) -> list[dict[str, Any]]:
    """Return the lines of the reject file of a load of these tokens, without their times."""
    bucket = Memory()
    file = RejectFile(cast(Bucket, bucket), LOAD)
    for _ in Stager(StagingTable(EMPLOYEES, text_format(LAYOUTS[3])), tokens, file).run(cast(Session, NoParents())):
        pass
    rejects = stored(file, bucket) if file.recorded else []
    return [{name: value for name, value in reject.items() if name != "rejected_at"} for reject in rejects]


@given(ROWS)
def test_a_repeated_record_is_rejected_as_by_a_load_that_remembers_nothing(lines: list[bytes]) -> None:
    body = b"9,Di,2021-01-01,4,4\n" + b"".join(line + b"\n" for line in lines * 2)
    tokens = list(Reader(EMPLOYEES, io.BytesIO(body), LAYOUTS[3]))
    assert rejected(tokens) == [reject for token in tokens for reject in rejected([token])]


@given(ROWS, st.integers(1, 5))
def test_rejects_that_are_only_counted_are_counted_as_without_a_limit(lines: list[bytes], limit: int) -> None:
    body = b"9,Di,2021-01-01,4,4\n" + b"".join(line + b"\n" for line in lines)
    counted, rejects = staged(body, RejectLimit(limit))
    all_counted, all_rejects = staged(body, RejectLimit(1000))
    assert counted == all_counted
    waits = [at for at, reject in enumerate(all_rejects) if {*reject["codes"]} == {UNKNOWN_PARENT.code}]
    recorded = [r for at, r in enumerate(all_rejects) if at in waits or at < limit]
    assert [r for r in rejects if "truncated" not in r] == recorded
