"""Tests which object versions a sweep offers. The tests make random changes in the bucket, and use pages of any
length."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cloud.buckets import Position, Version, VersionPage
from chalicelib.cloud.functions import sibling
from chalicelib.ingest.events import created_objects
from chalicelib.loads.unattended import Unattended
from chalicelib.recovery.landing_sweep import Comparison
from chalicelib.recovery.offers import event_of_load, event_of_version

BEGINNING = datetime(2021, 7, 27, tzinfo=UTC)
START = 1  # the start time of the sweep, in minutes after BEGINNING
AGE = 2
KEYS = ("a", "a/", "b.csv", "b.csv2", "c\0", "d")


@dataclass(frozen=True)
class Entry:
    """Is an entry in the list of a bucket: a version, or a delete marker."""

    version: Version
    is_marker: bool


@dataclass
class Bucket:
    """Models a versioned bucket. It lists versions as S3 does, `page_size` entries at a time. `minute` is the time of
    its clock."""

    page_size: int
    minute: int = 0
    entries: dict[str, list[Entry]] = field(default_factory=dict)  # newest first
    loaded: set[Version] = field(default_factory=set)
    offered: Counter[Version] = field(default_factory=Counter)  # the offers since the last call of `load`

    def add(self, key: str, *, is_marker: bool, has_load: bool = False) -> None:
        number = sum(map(len, self.entries.values()))
        version = Version(key, f"v{number}", "etag", 1, self.at(self.minute))
        self.entries.setdefault(key, []).insert(0, Entry(version, is_marker))
        if has_load:
            self.loaded.add(version)

    @staticmethod
    def at(minute: int) -> datetime:
        return BEGINNING + timedelta(minutes=minute)

    def version_page(self, after: Position) -> VersionPage:
        rest = [entry for key in sorted(self.entries) for entry in self._behind(key, after)]
        page, more = rest[: self.page_size], rest[self.page_size :]
        deleted = {e.version.key for e in page if e.is_marker and e is self.entries[e.version.key][0]}
        last = page[-1].version if more else None
        return VersionPage(
            tuple(e.version for e in page if not e.is_marker),
            frozenset(deleted),
            Position(last.key, last.version_id) if last else None,
        )

    def _behind(self, key: str, after: Position) -> Sequence[Entry]:
        entries = self.entries[key]
        if key != after.key:
            return entries if key > after.key else ()
        ids = [entry.version.version_id for entry in entries]
        return entries[ids.index(after.version_id) + 1 :]

    def is_deleted(self, key: str) -> bool:
        return self.entries[key][0].is_marker

    def known(self, versions: Sequence[Version]) -> Collection[Version]:
        return self.loaded & set(versions)

    def offer(self, version: Version) -> None:
        self.offered[version] += 1

    def load(self) -> None:
        """Load the versions that were offered since the last call."""
        self.loaded |= set(self.offered)
        self.offered.clear()

    def is_missing(self, version: Version) -> bool:
        never = self.is_deleted(version.key) or version.key.endswith("/") or "\0" in version.key
        in_time = self.at(START) <= version.modified < self.at(self.minute - AGE)
        return version not in self.loaded and not never and in_time

    def missing(self) -> set[Version]:
        entries = (e for listed in self.entries.values() for e in listed if not e.is_marker)
        return {e.version for e in entries if self.is_missing(e.version)}

    def sweep(self, cursor: Position, *, pages: int, offers: int) -> Position:
        before = self.at(self.minute - AGE)
        comparison = Comparison(self, self.known, self.offer, self.at(START), before)
        return comparison.run(cursor, pages=pages, offers=offers, until=float("inf"))

    def cycle(self, cursor: Position, *, pages: int, offers: int) -> None:
        """Run sweeps until a sweep has reached the end of the list."""
        for _ in range(1000):
            cursor = self.sweep(cursor, pages=pages, offers=offers)
            if cursor == Position():
                return
        raise AssertionError("the cycle does not reach the end of the list")


KEY = st.sampled_from(KEYS)
STEP = st.one_of(
    st.tuples(st.just("put"), KEY, st.booleans()),
    st.tuples(st.just("put"), KEY, st.just(False)),
    st.tuples(st.just("delete"), KEY),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("sweep"), st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.just("load")),
    st.tuples(st.just("begin anew")),
)


@given(st.lists(STEP, max_size=40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
def test_a_full_cycle_offers_every_missing_version_once_and_nothing_else(
    steps: list[tuple[Any, ...]], page_size: int, pages: int, offers: int
) -> None:
    bucket, cursor = Bucket(page_size), Position()
    for step in steps:
        match step:
            case ("put", key, has_load):
                bucket.add(key, is_marker=False, has_load=has_load)
            case ("delete", key):
                bucket.add(key, is_marker=True)
            case ("wait", minutes):
                bucket.minute += minutes
            case ("sweep", some, few):
                before = Counter(bucket.offered)
                cursor = bucket.sweep(cursor, pages=some, offers=few)
                assert set(bucket.offered - before) <= bucket.missing()
            case ("load",):
                bucket.load()
            case _:
                cursor = Position()
    bucket.load()
    bucket.cycle(cursor, pages=pages, offers=offers)
    assert set(bucket.offered) <= bucket.missing()
    bucket.load()
    expected = bucket.missing()
    bucket.cycle(Position(), pages=pages, offers=offers)
    assert bucket.offered == Counter(expected)
    bucket.load()
    assert bucket.missing() == set()


def test_the_versions_of_a_key_are_offered_oldest_first() -> None:
    bucket = Bucket(page_size=10, minute=START)
    for _ in range(3):
        bucket.add("a", is_marker=False)
        bucket.minute += 1
    bucket.minute += AGE
    bucket.sweep(Position(), pages=1, offers=10)
    assert [version.version_id for version in bucket.offered] == ["v0", "v1", "v2"]


@pytest.mark.parametrize("page_size", [1, 2, 10])
def test_a_deleted_key_is_not_offered_whichever_page_has_its_delete_marker(page_size: int) -> None:
    bucket = Bucket(page_size, minute=START)
    for _ in range(3):
        bucket.add("a", is_marker=False)
    bucket.add("a", is_marker=True)
    bucket.add("b", is_marker=False)
    bucket.minute += AGE + 1
    bucket.cycle(Position(), pages=1, offers=1)
    assert [version.key for version in bucket.offered] == ["b"]


@pytest.mark.parametrize("key", ["folder/", "nul\0.csv"])
def test_a_key_that_can_have_no_load_is_not_offered(key: str) -> None:
    bucket = Bucket(page_size=10, minute=START)
    bucket.add(key, is_marker=False)
    bucket.minute += AGE + 1
    bucket.cycle(Position(), pages=1, offers=1)
    assert not bucket.offered


@pytest.mark.parametrize(("pages", "offers", "offered"), [(2, 99, 4), (99, 3, 3)])
def test_a_budget_ends_a_sweep_and_the_next_one_goes_on(pages: int, offers: int, offered: int) -> None:
    bucket = Bucket(page_size=2, minute=START)
    for key in "abcdefgh":
        bucket.add(key, is_marker=False)
    bucket.minute += AGE + 1
    cursor = bucket.sweep(Position(), pages=pages, offers=offers)
    assert bucket.offered.total() == offered
    while cursor != Position():
        cursor = bucket.sweep(cursor, pages=pages, offers=offers)
    assert bucket.offered.total() == 8


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda key: not key.endswith("/")))
def test_the_event_of_an_offer_is_parsed_as_the_same_version(key: str) -> None:
    event = event_of_version("landing", Version(key, "v1", "0" * 32, 7, BEGINNING))
    [created] = created_objects(event)
    assert (created.key, created.source) == (key, f"s3://landing/{key}")
    assert (created.version, created.version_id, created.sequencer) == ("v1", "v1", None)


@pytest.mark.parametrize(
    ("version", "sequencer"),
    [("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", "0A"), ("v1", None), ("0" * 32 + ":0A", "0A"), ("0" * 32 + "-3:", None)],
)
def test_the_event_of_an_offered_load_names_the_version_of_the_load(version: str, sequencer: str | None) -> None:
    [created] = created_objects(event_of_load(Unattended(1, "s3://landing/a b/jobs+.csv", version, sequencer)))
    assert (created.source, created.version, created.sequencer) == ("s3://landing/a b/jobs+.csv", version, sequencer)


@pytest.mark.parametrize(("deployed", "other"), [("hireflow-prod-sweep", "hireflow-prod-ingest"), ("sweep", "ingest")])
def test_a_function_derives_the_names_of_the_other_functions_of_its_stage(deployed: str, other: str) -> None:
    assert sibling(deployed, "ingest") == other
