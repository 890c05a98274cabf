"""Tests that damaged Avro files change no row wrongly. The files are truncated, have flipped bits, or are of another
dataset."""

import base64
import io
from collections.abc import Callable
from random import Random
from typing import Any

import fastavro
import pytest

from chalicelib.formats.csv_reader import MAX_RECORD
from tests.integration.backups.test_restore_load import back_up, order
from tests.integration.landing import Landing, Row, counts
from tests.integration.s3_fixtures import BACKUP, LANDING

ROWS = [(n, f"Job {n}") for n in range(1, 2001)]
SYNC = 16  # bytes of the Avro marker at the end of the header and of every block
SEED = 20210727


@pytest.fixture
def backup(landing: Landing) -> bytes:
    """Return the file of jobs in a restore point. The jobs still exist in the table."""
    landing.upload("jobs.csv", "".join(f"{n},{job}\n" for n, job in ROWS))
    key = f"backups/{back_up(landing)}/jobs.avro"
    return landing.s3.client.get_object(Bucket=BACKUP, Key=key)["Body"].read()


def header_end(data: bytes) -> int:
    """Return the position of the first block."""
    marker = data[-SYNC:]
    return data.index(marker) + SYNC


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def other_schema(_: bytes) -> bytes:
    fields = [{"name": "id", "type": "int"}, {"name": "job", "type": "int"}]
    body = io.BytesIO()
    fastavro.writer(body, {"type": "record", "name": "jobs", "fields": fields}, [{"id": 1, "job": 2}])
    return body.getvalue()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "no magic": lambda data: flipped(data, 0),
    "half a header": lambda data: data[: header_end(data) // 2],
    "another key in the header": lambda data: data.replace(b"avro.schema", b"avro.schemb", 1),
    "a schema that is no JSON": lambda data: data.replace(b'{"type"', b'["type"', 1).replace(b'{"name"', b'["name"', 1),
    "an unknown codec": lambda data: data.replace(b"deflate", b"deflatf", 1),
    "another sync marker": lambda data: flipped(data, header_end(data) - 1),
    "a wrong count": lambda data: flipped(data, header_end(data), 1),
    "a wrong size": lambda data: flipped(data, header_end(data) + 2, 1),
    "a block cut short": lambda data: data[: (header_end(data) + len(data)) // 2],
    "the last marker cut": lambda data: data[:-1],
    "a flipped bit in a block": lambda data: flipped(data, (header_end(data) + len(data)) // 2, 3),
    "something behind the end": lambda data: data + b"x",
    "another schema": other_schema,
}


def put(landing: Landing, data: bytes) -> Row:
    """Put a file into the landing bucket without a restore request, so that the load knows no checksum of the file."""
    landing.deliver(landing.put("jobs_by_hand.avro", data))
    return landing.load()


def swapped_order(landing: Landing, data: bytes) -> Row:
    """Request a restore. Replace the copy in the landing bucket by `data` before the load."""
    response, event = order(landing, "jobs")
    key = event["Records"][0]["s3"]["object"]["key"]
    stored = landing.s3.client.put_object(Bucket=LANDING, Key=key, Body=data)
    event["Records"][0]["s3"]["object"] |= {"versionId": stored["VersionId"], "eTag": stored["ETag"]}
    landing.deliver(event)
    return landing.load(response.load_id)


def is_untouched(landing: Landing) -> bool:
    return landing.rows("SELECT * FROM jobs ORDER BY id") == ROWS


@pytest.mark.parametrize("way", [put, swapped_order])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_fails_with_a_reason_and_changes_nothing(
    landing: Landing, backup: bytes, damage: str, way: Callable[[Landing, bytes], Row]
) -> None:
    load = way(landing, DAMAGE[damage](backup))
    assert load["status"] == "failed"
    assert load["error"]
    assert "internal" not in load["error"]
    assert load["attempts"] == 1  # not retried, because another attempt would read the same bytes
    assert counts(load) == (0, 0, 0, 0, 0, 0)
    assert is_untouched(landing)


def test_another_datasets_backup_is_refused_by_its_schema(landing: Landing, backup: bytes) -> None:
    landing.deliver(landing.put("departments_by_hand.avro", backup))
    load = landing.load()
    assert (load["status"], load["dataset"]) == ("failed", "departments")
    assert landing.scalar("SELECT count(*) FROM departments") == 0


def test_a_flipped_bit_in_a_requested_restore_changes_nothing(landing: Landing, backup: bytes) -> None:
    random = Random(SEED)
    for _ in range(25):
        load = swapped_order(landing, flipped(backup, random.randrange(len(backup)), random.randrange(8)))
        assert load["status"] == "failed"
    assert is_untouched(landing)


def test_a_dropped_file_with_a_flipped_bit_fails_or_loads_only_valid_rows(landing: Landing, backup: bytes) -> None:
    """Deflate, the compression of the file, has no checksum. Only a restore request knows the checksum of the file."""
    random, ends = Random(SEED), dict[str, int]()
    for _ in range(30):
        load = put(landing, flipped(backup, random.randrange(len(backup)), random.randrange(8)))
        ends[load["status"]] = ends.get(load["status"], 0) + 1
        assert load["status"] == "succeeded" or load["error"]
        if load["status"] == "failed":
            assert counts(load) == (0, 0, 0, 0, 0, 0)
        else:
            assert counts(load)[0] == len(ROWS)
    assert set(ends) == {"failed", "succeeded"}


def by_hand(landing: Landing, *jobs: str) -> Row:
    """Put an Avro file with these jobs into the landing bucket. The ids of the jobs start at 1."""
    fields = [{"name": "id", "type": "int"}, {"name": "job", "type": "string"}]
    body = io.BytesIO()
    rows: list[dict[str, Any]] = [{"id": n, "job": job} for n, job in enumerate(jobs, 1)]
    fastavro.writer(body, {"type": "record", "name": "jobs", "fields": fields}, rows, codec="null")
    return put(landing, body.getvalue())


@pytest.mark.parametrize(
    "text",
    [
        "x" * 20_000_000,
        '"' * MAX_RECORD,
        "é" * MAX_RECORD,
        "😀" * MAX_RECORD,
        "\x01" * MAX_RECORD,
        "x" + " " * MAX_RECORD + "y",
    ],
    ids=["ascii", "quotes", "two bytes", "four bytes", "control characters", "only white space where it is cut"],
)
def test_a_rejected_row_shows_no_more_of_a_value_than_a_csv_line_can_hold(landing: Landing, text: str) -> None:
    load = by_hand(landing, text, "Clerk")
    assert counts(load) == (2, 1, 0, 0, 0, 1)
    assert landing.rows("SELECT * FROM jobs") == [(2, "Clerk")]
    [reject] = landing.rejects(load)
    assert reject["reasons"] == ["job is longer than 10000 characters"]
    assert text.startswith(reject["row"]["job"].rstrip("\ufffd"))
    assert max(len(reject["raw"].encode()), len(reject["row"]["job"].encode())) <= MAX_RECORD + 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [(" " * 2 * MAX_RECORD, "job is missing"), ("x" * 2 * MAX_RECORD + "\0", "job contains a NUL character")],
)
def test_a_row_is_checked_in_full_and_not_only_its_shown_part(landing: Landing, text: str, reason: str) -> None:
    load = by_hand(landing, text, " " * 2 * MAX_RECORD + "Clerk")
    assert counts(load) == (2, 1, 0, 0, 0, 1)
    assert [reject["reasons"] for reject in landing.rejects(load)] == [[reason]]
    assert landing.rows("SELECT * FROM jobs") == [(2, "Clerk")]


def test_bytes_that_are_not_utf8_are_rejected_and_kept(landing: Landing) -> None:
    fields = [{"name": "id", "type": "int"}, {"name": "job", "type": "string"}]
    body = io.BytesIO()
    fastavro.writer(body, {"type": "record", "name": "jobs", "fields": fields}, [{"id": 1, "job": "<>"}], codec="null")
    load = put(landing, body.getvalue().replace(b"<>", b"\xff\xfe"))
    [reject] = landing.rejects(load)
    assert reject["reasons"] == ["job is not valid UTF-8"]
    assert base64.b64decode(reject["raw_base64"]) == b"1,\xff\xfe"
