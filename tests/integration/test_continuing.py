"""Loads of large objects: several invocations, deaths between them, and the result of one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.backups.run import run_backup
from chalicelib.database import Database
from chalicelib.datasets import DATASETS
from chalicelib.errors import LoadGivenUp, StorageUnavailable, Unavailable
from chalicelib.ingest import upkeep
from chalicelib.ingest.continuing import Continuing
from chalicelib.ingest.objects import ingest_object
from chalicelib.ingest.sources import created_objects
from chalicelib.loads import Ended
from chalicelib.migrations import upgrade
from infra.local.postgres import Postgres, temporary
from tests.integration.landing import GRACE, Landing, counts
from tests.integration.s3_fixtures import S3

PARENTS = {"departments.csv": "1,Sales\n2,Ops\n", "jobs.csv": "1,Clerk\n2,Smith\n"}


class Killed(BaseException):
    """What no worker survives."""


@dataclass
class Relay:
    """Invocations one after the other, each for a portion of so many lines.

    `deaths` names what happens to them in turn: True where a worker dies as soon as its portion is committed.
    """

    landing: Landing
    lines: int = 1
    deaths: Sequence[bool] = ()
    invoked: int = 0
    asked: int = 0
    ended: list[Ended] = field(default_factory=list)

    def run(self, event: dict[str, Any]) -> dict[str, Any]:
        """Deliver an event, and those handed on, until the load has ended; returns it."""
        while not self.once(event):
            assert self.invoked < 500
        return self.landing.load()

    def once(self, event: dict[str, Any], *, again: bool = True) -> bool:
        """One invocation; whether the load has ended."""
        dies = self.invoked < len(self.deaths) and self.deaths[self.invoked]
        self.invoked += 1

        def hand_on() -> None:
            self.asked += 1
            if dies:
                raise Killed

        continuing = Continuing(1, hand_on if again else None, margin=60, lines=self.lines)
        [created] = created_objects(event)
        try:
            return ingest_object(
                self.landing.database, self.landing.s3.storage, created,
                grace=GRACE, seconds=75, watch=self.ended.append, continuing=continuing,
            )  # fmt: skip
        except Killed:
            return False


def everything(landing: Landing, load: dict[str, Any]) -> tuple[Any, ...]:
    """What a load leaves behind, but for its id and times."""
    changing = {"load_id", "source", "rejected_at"}
    rejects = [{k: v for k, v in reject.items() if k not in changing} for reject in landing.rejects(load)]
    reasons = landing.scalar(f"SELECT reasons FROM loads WHERE id = {load['id']}")
    tables = [landing.rows(f"SELECT * FROM {name} ORDER BY id") for name in DATASETS]
    orphans = landing.rows('SELECT dataset, id, "row"::text FROM orphans ORDER BY 1, 2')
    return load["status"], load["error"], counts(load), reasons, rejects, tables, orphans


def empty(landing: Landing) -> None:
    with landing.database.session() as session:
        session.run(f"TRUNCATE {', '.join(DATASETS)}, loads, orphans RESTART IDENTITY CASCADE")
    for key, body in PARENTS.items():
        landing.upload(key, body)


def staged(landing: Landing) -> list[Any]:
    """What is staged now: tables, and notes of progress."""
    tables = landing.rows("SELECT relname FROM pg_class WHERE relnamespace = 'staged'::regnamespace AND relkind = 'r'")
    return tables + landing.rows("SELECT load_id FROM staged_loads")


LINES = st.sampled_from(
    [
        b"1,Ann,2021-07-27T16:02:08Z,1,1",
        b"1,Bo,2021-07-27T16:02:08Z,2,2",
        b"2,Cy,2021-01-01,1,2",
        b'3,"Dee, ""D""",2021-01-01,1,2',
        b'4,"E\ne",2021-01-01,2,2',
        b'4,"E\r\n\r\ne",2021-01-01,2,9',
        b"5,F,2021-01-01,9,1",
        b"5,G,2021-01-01,9,8",
        b"6,,2021-01-01,9,1",
        b'7,"never closed,2021-01-01,1,1',
        b"\xff,x",
        b"",
        b"id,name,datetime,department_id,job_id",
    ]
)
FILES = st.builds(
    lambda bom, lines, end, last: bom + end.join(lines) + (end if last else b""),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(LINES, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@given(
    body=FILES,
    lines=st.integers(1, 4),
    deaths=st.lists(st.booleans(), max_size=6),
    suffix=st.sampled_from(["csv", "csv.gz"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_invocations_do_what_one_does(
    landing: Landing, body: bytes, lines: int, deaths: list[bool], suffix: str
) -> None:
    empty(landing)
    once = everything(landing, landing.upload(f"hired_employees.{suffix}", body))
    empty(landing)
    deaths = [dies and not any(deaths[max(0, i - 2) : i]) for i, dies in enumerate(deaths)]  # no load has more lives
    relay = Relay(landing, lines, deaths)
    event = landing.put(f"hired_employees.{suffix}", body)
    assert everything(landing, relay.run(event)) == once
    assert staged(landing) == []
    assert len(relay.ended) == 1
