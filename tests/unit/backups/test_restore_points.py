"""Tests the names, manifests, lists and retention of restore points. The bucket is in memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.backups import manifest, retention
from chalicelib.backups.manifest import Manifest, TableFile
from chalicelib.cloud.buckets import Bucket, Listed
from chalicelib.core import restore_point_names
from chalicelib.core.errors import NotFound

NOW = datetime(2021, 7, 27, 16, 2, 8, 123456, UTC)
NAME = "20210727T160208.123456Z"
MONTH = timedelta(days=30)


def _no_client() -> Any:
    raise AssertionError("nothing here talks to S3")


class MemoryBucket(Bucket):
    """Keeps the objects of a bucket in a dictionary. The class has only the methods that the code for restore points
    calls. `log` records the calls."""

    def __init__(self) -> None:
        super().__init__("backups", _no_client)
        self.held: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []

    def get(self, key: str) -> bytes:
        self.log.append(("get", key))
        if key not in self.held:
            raise NotFound(f"{key} does not exist")
        return self.held[key]

    def folders(self, prefix: str, *, first: str = "", end: str = "") -> list[str]:
        below = (key[len(prefix) :] for key in self.held if key.startswith(prefix))
        found = sorted({rest.split("/")[0] for rest in below if "/" in rest})
        names = [name for name in found if name >= first and not (end and name >= end)]
        self.log += [("folder", name) for name in names]
        return names

    def objects(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        for key in sorted(self.held):
            if key.startswith(prefix) and key > after:
                self.log.append(("list", key))
                yield Listed(key, len(self.held[key]), NOW)

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.log.append(("delete", key))
            self.held.pop(key, None)

    def requests(self, kind: str) -> list[str]:
        return [key for what, key in self.log if what == kind]


def point(name: str = NAME, **versions: int) -> Manifest:
    tables = {table: TableFile(3, 42, "ab" * 32, version) for table, version in versions.items()}
    return Manifest(name, "origin", "schema", tables)


def ago(**age: float) -> str:
    return restore_point_names.name_after(None, NOW - timedelta(**age))


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


def add(bucket: MemoryBucket, name: str, *, complete: bool = True) -> str:
    bucket.held[manifest.key(name, "jobs")] = b"avro"
    if complete:
        bucket.held[manifest.manifest_key(name)] = point(name, jobs=1).to_json()
    return name


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))
def test_a_name_stands_for_its_instant(at: datetime) -> None:
    name = restore_point_names.name_after(None, at)
    assert restore_point_names.instant(name) == at
    assert restore_point_names.is_name(name)


def test_names_are_utc_and_strictly_later_than_the_newest() -> None:
    local = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert restore_point_names.name_after(None, local) == NAME
    assert restore_point_names.name_after(ago(days=1), NOW) == NAME
    for backwards in (NOW, NOW - timedelta(hours=1)):
        assert restore_point_names.name_after(NAME, backwards) == "20210727T160208.123457Z"


@pytest.mark.parametrize(
    "name",
    ["", "latest", "../x", "20210727T160208Z", NAME.lower(), NAME + "\n", "20211327T160208.123456Z", "２" + NAME[1:]],
)
def test_a_malformed_name_is_not_found_without_a_request_to_s3(bucket: MemoryBucket, name: str) -> None:
    with pytest.raises(NotFound, match="has a name like"):
        manifest.get(bucket, name)
    assert bucket.log == []


def test_a_manifest_is_the_same_after_it_was_written_and_read() -> None:
    made = point(departments=1, jobs=2)
    assert Manifest.parse(NAME, made.to_json()) == made
    assert made.versions == {"departments": 1, "jobs": 2}


def test_the_manifest_has_the_documented_format() -> None:
    document = json.loads(point(jobs=7).to_json())
    assert document["restore_point"] == NAME
    assert document["created_at"] == "2021-07-27T16:02:08.123456+00:00"
    assert document["schema_version"]
    assert document["tables"] == {"jobs": {"rows": 3, "bytes": 42, "sha256": "ab" * 32, "version": 7}}


def test_the_summary_has_the_json_that_the_api_shows() -> None:
    shown = {
        "restore_point": NAME,
        "created_at": "2021-07-27T16:02:08.123456Z",
        "verified_at": None,
        "previous_database": None,
        "tables": {"jobs": {"rows": 3, "bytes": 42, "sha256": "ab" * 32}},
    }
    assert point(jobs=7).summary().to_json() == shown
    assert point(jobs=7).summary(NOW.replace(microsecond=0)).to_json() == {
        **shown,
        "verified_at": "2021-07-27T16:02:08Z",
    }


def test_a_manifest_names_the_last_restore_point_of_the_previous_database() -> None:
    with_previous = replace(point(jobs=7), previous_database=ago(hours=1))
    read = Manifest.parse(NAME, with_previous.to_json())
    assert read == with_previous
    assert read.summary().to_json()["previous_database"] == ago(hours=1)
    of_an_earlier_release = json.loads(point(jobs=7).to_json())
    del of_an_earlier_release["previous_database"]
    assert Manifest.parse(NAME, json.dumps(of_an_earlier_release).encode()) == point(jobs=7)


def _changed(path: tuple[str, ...], value: Any) -> bytes:
    document = json.loads(point(jobs=1).to_json())
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return json.dumps(document).encode()


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff",
    b"[" * 100_000,
    _changed(("format",), 2),
    _changed(("restore_point",), ago(days=1)),
    _changed(("created_at",), "yesterday"),
    _changed(("created_at",), 5),
    _changed(("created_at",), "2021-07-27T16:02:08+00:00"),
    _changed(("origin",), None),
    _changed(("schema_version",), 3),
    _changed(("previous_database",), 5),
    _changed(("previous_database",), "yesterday"),
    _changed(("tables",), []),
    _changed(("tables", "jobs"), 1),
    _changed(("tables", "jobs"), {"rows": 1}),
    _changed(("tables", "jobs", "rows"), -1),
    _changed(("tables", "jobs", "rows"), True),
    _changed(("tables", "jobs", "rows"), 1.5),
    _changed(("tables", "jobs", "bytes"), "42"),
    _changed(("tables", "jobs", "version"), None),
    _changed(("tables", "jobs", "sha256"), "AB" * 32),
    _changed(("tables", "jobs", "sha256"), 5),
    _changed(("tables", "jobs", "unknown"), 5),
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_broken_manifest_is_not_listed_and_its_error_says_broken(bucket: MemoryBucket, body: bytes) -> None:
    older = add(bucket, ago(hours=1))
    bucket.held[manifest.manifest_key(NAME)] = body
    assert [found.restore_point for found in manifest.page(bucket, 10)[0]] == [older]
    newest = manifest.newest(bucket)
    assert newest is not None
    assert newest.restore_point == older
    with pytest.raises(NotFound, match="broken"):
        manifest.get(bucket, NAME)


def test_a_folder_without_manifest_is_not_a_restore_point(bucket: MemoryBucket) -> None:
    add(bucket, NAME, complete=False)
    assert manifest.newest(bucket) is None
    assert manifest.page(bucket, 10) == ([], None)
    with pytest.raises(NotFound, match="there is no restore point"):
        manifest.get(bucket, NAME)


def test_pages_are_newest_first_and_read_no_other_manifest(bucket: MemoryBucket) -> None:
    made = [add(bucket, ago(hours=hours)) for hours in range(5)]
    bucket.held["backups/readme/manifest.json"] = b"not ours"
    first, cursor = manifest.page(bucket, 2)
    assert [found.restore_point for found in first] == made[:2]
    assert sorted(bucket.requests("get"), reverse=True) == [manifest.manifest_key(name) for name in made[:2]]
    second, cursor = manifest.page(bucket, 2, cursor)
    third, end = manifest.page(bucket, 2, cursor)
    assert [found.restore_point for found in second + third] == made[2:]
    assert end is None


def test_a_full_last_page_has_no_cursor(bucket: MemoryBucket) -> None:
    add(bucket, NAME)
    assert manifest.page(bucket, 1)[1] is None


FUTURE = ("20991231T000000.000000Z", "99991231T235959.999999Z")


def test_a_folder_without_a_manifest_is_ignored_without_a_request(bucket: MemoryBucket) -> None:
    made = add(bucket, ago(minutes=9))
    for name in FUTURE:
        add(bucket, name, complete=False)
    bucket.held["backups/x"] = bucket.held["backups/manifest.json"] = bucket.held["backups//jobs.avro"] = b"garbage"
    existing = manifest.names(bucket, NOW)
    assert existing == [made, *reversed(FUTURE)]
    newest = manifest.newest(bucket, existing, NOW)
    assert newest is not None
    assert newest.restore_point == made
    assert bucket.requests("get") == [manifest.manifest_key(made)]
    assert restore_point_names.name_after(made, NOW, existing) == NAME


def test_a_restore_point_in_the_future_is_kept_and_listed_last_and_never_the_newest(bucket: MemoryBucket) -> None:
    far = [add(bucket, name) for name in FUTURE]
    made = [add(bucket, ago(hours=hours)) for hours in range(3)]
    newest = manifest.newest(bucket)
    assert newest is not None
    assert newest.restore_point == made[0]
    assert manifest.get(bucket, far[0]).restore_point == far[0]
    found: list[str] = []
    cursor: str | None = None
    while len(found) < 5:
        page, cursor = manifest.page(bucket, 2, cursor)
        found += [point.restore_point for point in page]
    assert (found, cursor) == ([*made, *reversed(far)], None)
    assert expire(bucket, made[0], timedelta(minutes=1)) == sorted(made[1:])
    assert set(manifest.names(bucket)) == {made[0], *far}


def test_no_restore_point_is_the_newest_if_all_are_in_the_future(bucket: MemoryBucket) -> None:
    add(bucket, FUTURE[0])
    assert manifest.newest(bucket) is None
    assert [point.restore_point for point in manifest.page(bucket, 9)[0]] == [FUTURE[0]]


@pytest.mark.parametrize(("minutes", "expected"), [(4, "20210727T160608.123457Z"), (6, NAME)])
def test_clocks_may_differ_by_some_minutes(bucket: MemoryBucket, minutes: int, expected: str) -> None:
    add(bucket, ago(minutes=-minutes))
    newest = manifest.newest(bucket, now=NOW)
    assert restore_point_names.name_after(newest.restore_point if newest else None, NOW) == expected


def test_a_name_is_not_used_twice(bucket: MemoryBucket) -> None:
    add(bucket, NAME, complete=False)
    assert restore_point_names.name_after(None, NOW, manifest.names(bucket)) == "20210727T160208.123457Z"


def test_a_manifest_of_another_folder_is_ignored(bucket: MemoryBucket) -> None:
    made = add(bucket, ago(hours=1))
    bucket.held[manifest.manifest_key(NAME)] = bucket.held[manifest.manifest_key(made)]
    newest = manifest.newest(bucket)
    assert newest is not None
    assert newest.restore_point == made


def expire(bucket: MemoryBucket, keep: str, kept_for: timedelta = MONTH) -> list[str]:
    return retention.expire_points(bucket, manifest.names(bucket), keep, NOW, kept_for)


def test_the_manifest_of_an_expired_restore_point_is_deleted_first(bucket: MemoryBucket) -> None:
    keep, old = add(bucket, ago(days=29)), add(bucket, ago(days=31))
    assert expire(bucket, keep) == [old]
    assert bucket.requests("delete") == [manifest.manifest_key(old), manifest.key(old, "jobs")]
    assert manifest.names(bucket) == [keep]


def test_the_newest_complete_restore_point_stays_whatever_its_age(bucket: MemoryBucket) -> None:
    keep = add(bucket, ago(days=400))
    assert expire(bucket, keep) == []
    assert manifest.newest(bucket) is not None


def test_leftovers_are_deleted_after_a_day_and_complete_restore_points_stay(bucket: MemoryBucket) -> None:
    keep = add(bucket, ago(hours=1))
    add(bucket, ago(minutes=5), complete=False)  # kept, because its backup may still be running
    add(bucket, ago(hours=26))
    left = add(bucket, ago(hours=25), complete=False)
    older = add(bucket, ago(days=40), complete=False)
    assert expire(bucket, keep) == [older, left]
    assert len(manifest.names(bucket)) == 3


def test_a_folder_with_another_name_is_left_alone(bucket: MemoryBucket) -> None:
    bucket.held["backups/by-hand/jobs.avro"] = b"precious"
    expire(bucket, NAME, timedelta(seconds=1))
    assert bucket.held


def test_one_run_deletes_a_limited_number_oldest_first(bucket: MemoryBucket) -> None:
    made = [add(bucket, ago(days=40, minutes=n)) for n in range(retention.AT_ONCE + 5)]
    assert expire(bucket, NAME) == sorted(made)[: retention.AT_ONCE]
    assert len(expire(bucket, NAME)) == 5


def verified(bucket: MemoryBucket, limit: int, before: str | None = None) -> dict[str, datetime]:
    points, _ = manifest.listed(bucket, limit, before)
    return {point.restore_point: point.verified_at for point in points if point.verified_at is not None}


def test_one_list_request_finds_the_verification_marks_of_a_page(bucket: MemoryBucket) -> None:
    made = [add(bucket, ago(hours=hours)) for hours in range(6)]
    for name in (made[0], made[2], made[3], made[5]):
        bucket.held[manifest.verified_key(name)] = b"{}"
    assert verified(bucket, 3, before=made[0]) == dict.fromkeys((made[2], made[3]), NOW)
    assert len(bucket.requests("get")) == 3
    listed = bucket.requests("list")
    assert listed[0] == manifest.key(made[3], "jobs")
    assert len(listed) == 2 * 3 + 2 + 1  # the list ends one file after the three restore points of the page
    bucket.held[manifest.verified_key(add(bucket, FUTURE[0]))] = b"{}"
    assert set(verified(bucket, 9)) == {made[0], *made[2:4], made[5], FUTURE[0]}


def test_a_process_reads_a_manifest_once_and_sees_that_it_was_deleted(bucket: MemoryBucket) -> None:
    made = [add(bucket, ago(hours=hours)) for hours in range(3)]
    for _ in range(2):
        assert [point.restore_point for point in manifest.page(bucket, 9)[0]] == made
    assert len(bucket.requests("get")) == 3
    del bucket.held[manifest.manifest_key(made[1])]
    assert [point.restore_point for point in manifest.page(bucket, 9)[0]] == [made[0], made[2]]


def test_the_newest_restore_points_are_found_without_a_list_of_all(bucket: MemoryBucket) -> None:
    made = [add(bucket, ago(minutes=3 * number)) for number in range(2000)]
    calls: list[Callable[[], Manifest | None]] = [lambda: manifest.newest(bucket, now=NOW)]
    calls.append(lambda: manifest.page(bucket, 1, before=ago(minutes=-1))[0][0])
    for call in calls:
        newest = call()
        assert newest is not None
        assert newest.restore_point == made[0]
        assert len(bucket.requests("folder")) <= 24 * 20 + 1
        bucket.log.clear()


TIMES = st.datetimes(datetime(1, 1, 1), datetime(2999, 1, 1))
NEAR = st.integers(-3_000_000, 600).map(lambda seconds: ago(seconds=-seconds))
NAMES = st.one_of(NEAR, TIMES.map(lambda at: f"{at:%Y%m%dT%H%M%S.%fZ}".zfill(len(NAME))))


@given(existing=st.sets(NAMES, max_size=12), limit=st.integers(1, 5))
def test_pages_have_all_restore_points_in_the_order_of_the_names(existing: set[str], limit: int) -> None:
    bucket = MemoryBucket()
    for name in existing:
        add(bucket, name)
    found: list[str] = []
    page, cursor = manifest.page(bucket, limit)
    found += [point.restore_point for point in page]
    while cursor is not None:
        page, cursor = manifest.page(bucket, limit, cursor)
        found += [point.restore_point for point in page]
    assert found == manifest.names(bucket)
    newest = manifest.newest(bucket)
    assert (newest.restore_point if newest else None) == next(
        (name for name in found if not restore_point_names.is_ahead(name)), None
    )
