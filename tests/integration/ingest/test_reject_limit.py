"""Tests loads of files with more rejects than a reject file may have."""

import io
from typing import Any

import pytest

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.streams import Peekable, Readable
from chalicelib.ingest import staging_table
from chalicelib.ingest.events import created_objects
from chalicelib.ingest.file_reading import FileReading
from chalicelib.ingest.handover import NO_HANDOVER, HandoverPolicy
from chalicelib.ingest.objects import Ingestion, ingest_object
from chalicelib.ingest.reject_limit import RejectLimit
from chalicelib.ingest.stager import Stager
from chalicelib.ingest.staging_table import StagingTable
from tests.integration.http_api import Api
from tests.integration.landing import GRACE, Landing, Row, counts

EMPLOYEES = DATASETS["hired_employees"]
GOOD = "1,Ann,2021-01-01,1,1\n"
BROKEN = "x\n2,Bo,soon,1,1\n3,,2021-01-01,9,1\n\0\n4,Cy,2021-01-01,1\n5,Di,2021-01-01,1,1,1\n"
WAITING = "6,Eve,2021-01-01,8,1\n7,Flo,2021-01-01,8,9\n"
FILE = GOOD + BROKEN * 3 + WAITING


def load(landing: Landing, limit: RejectLimit, body: str = FILE, handover: HandoverPolicy = NO_HANDOVER) -> Row:
    """Load a file of employees, in as many invocations as it takes."""
    landing.upload("departments.csv", "1,Sales\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    [created] = created_objects(landing.put("hired_employees.csv", body))
    ingestion = Ingestion(landing.database, landing.s3.storage, GRACE, handover, reject_limit=limit)
    while not ingest_object(ingestion, created, seconds=75):
        pass
    return landing.load()


def reasons(landing: Landing, of: Row) -> Any:
    return landing.scalar(f"SELECT reasons FROM loads WHERE id = {of['id']}")


@pytest.mark.parametrize("lines", [1, 2, 250_000])
@pytest.mark.parametrize("in_portions", [False, True])
def test_all_rejects_are_counted_and_the_first_ones_recorded(landing: Landing, lines: int, in_portions: bool) -> None:
    whole = load(landing, RejectLimit(1000))
    handover = HandoverPolicy(1, lambda: None, margin=60, lines=lines) if in_portions else NO_HANDOVER
    limited = load(landing, RejectLimit(4), handover=handover)
    assert counts(limited)[0::5] == counts(whole)[0::5] == (21, 20)
    assert reasons(landing, limited) == reasons(landing, whole)
    assert (limited["waiting"], whole["notices"]) == (2, [])
    *rejects, last = landing.rejects(limited)
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 5, 20, 21]
    assert [r["reasons"] for r in rejects[:4]] == [r["reasons"] for r in landing.rejects(whole)[:4]]
    assert last == {"load_id": limited["id"], "truncated": True, "recorded": 6, "rejected": 20}
    assert limited["notices"] == ["the reject file has only the first 6 of 20 rejected rows; all of them are counted"]
    tracked = landing.rows(f"SELECT place FROM open_rejects WHERE load_id = {limited['id']} ORDER BY 1")
    assert tracked == [(2,), (3,), (4,), (5,), (20,), (21,)]


def test_the_limit_in_bytes_holds_over_several_invocations(landing: Landing) -> None:
    handover = HandoverPolicy(1, lambda: None, margin=60, lines=1)
    *rejects, last = landing.rejects(load(landing, RejectLimit(1000, size=600), GOOD + BROKEN * 3, handover))
    assert [reject["line"] for reject in rejects] == [2, 3]
    assert (last["recorded"], last["rejected"]) == (2, 18)


def test_a_file_that_fails_as_a_whole_is_limited_alike(landing: Landing) -> None:
    failed = load(landing, RejectLimit(2), "x\n" * 9)
    assert failed["status"] == "failed"
    assert "expected 5 fields, found fewer (each row)" in failed["error"]
    assert (failed["received"], failed["rejected"]) == (9, 9)
    assert landing.rejects(failed)[-1] == {"load_id": failed["id"], "truncated": True, "recorded": 2, "rejected": 9}


def test_waiting_rows_beyond_the_limit_are_loaded_with_their_parents(landing: Landing) -> None:
    limited = load(landing, RejectLimit(1))
    landing.upload("departments.csv", "8,Ops\n")
    landing.upload("jobs.csv", "9,Chief\n")
    assert landing.load(limited["id"])["resolved"] == 2
    assert landing.rows("SELECT id FROM hired_employees ORDER BY 1") == [(1,), (6,), (7,)]


def test_the_api_says_that_rejects_are_left_out(api: Api, landing: Landing) -> None:
    limited = load(landing, RejectLimit(4))
    path = f"/loads/{limited['id']}/rejects"
    first = api.get(f"{path}?limit=3").body
    assert (len(first["rejects"]), first["truncated"], first["next_cursor"]) == (3, False, "3")
    rest = api.get(f"{path}?cursor=3").body
    assert (len(rest["rejects"]), rest["truncated"], rest["next_cursor"]) == (3, True, None)
    assert (first["rejected"], sum(each["count"] for each in first["reasons"])) == (20, 27)
    table = api.send("GET", path, headers={"Accept": "text/csv"})
    assert table.headers["X-Truncated"] == "true"
    assert table.body.count("\r\n") == 7
    assert api.get(f"/dashboard/load?id={limited['id']}").body.count("only the first 6 of 20 rejected rows") == 1
    whole = load(landing, RejectLimit(1000))
    assert api.get(f"/loads/{whole['id']}/rejects").body["truncated"] is False
    table = api.send("GET", f"/loads/{whole['id']}/rejects", headers={"Accept": "text/csv"})
    assert "X-Truncated" not in table.headers


class Garbage:
    """A stream with `lines` lines of garbage."""

    def __init__(self, lines: int) -> None:
        self._lines = lines

    def read(self, size: int = -1, /) -> bytes:
        taken = min(self._lines, size // 2)
        self._lines -= taken
        return b"x\n" * taken


class Counted:
    """Receives rejects as a full reject file does, which only counts them."""

    is_full = True

    def __init__(self) -> None:
        self.calls = self.rows = 0

    def add(self, _reject: object) -> None:
        self.count(None, 1)

    def count(self, _problems: object, rows: int) -> None:
        self.calls += 1
        self.rows += rows


def test_two_megabytes_of_garbage_take_few_steps(database: Database) -> None:
    stream: Readable = Garbage(1_000_000)
    reading = FileReading.of_file(EMPLOYEES, Peekable(io.BytesIO(b"x\n" * 100)))
    table, rejects = StagingTable(EMPLOYEES, reading.copy_format), Counted()
    with database.session() as session:
        staging_table.create(session, table)
        stager = Stager(table, reading.tokens(stream, counts_only=lambda: rejects.is_full), rejects)
        received = list(stager.run(session))[-1]
        assert session.scalar("SELECT count(*) FROM _staging WHERE id IS NULL") == 1_000_000
    assert received == stager.rejected == rejects.rows == 1_000_000
    assert rejects.calls < 100


class OnlyCounted(Counted):
    """Fails if a reject is made that nobody records."""

    def add(self, reject: object) -> None:
        raise AssertionError(f"{reject} was made only to be counted")


def test_lines_that_form_no_run_are_counted_without_making_rejects(database: Database) -> None:
    body = b'""\n"\n' * 1000
    reading = FileReading.of_file(EMPLOYEES, Peekable(io.BytesIO(body)))
    table, rejects = StagingTable(EMPLOYEES, reading.copy_format), OnlyCounted()
    with database.session() as session:
        staging_table.create(session, table)
        stager = Stager(table, reading.tokens(io.BytesIO(body)), rejects)
        assert list(stager.run(session))[-1] == stager.rejected == rejects.rows > 0
