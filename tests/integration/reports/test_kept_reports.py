"""Tests that a report that was kept in memory is never older than the datasets."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from chalicelib.cloud.database import SNAPSHOT, Database, Session
from chalicelib.migrations.migrate import upgrade
from chalicelib.reports import queries
from chalicelib.reports.declaration import Scope, Span
from chalicelib.reports.hires import QUARTERLY, REPORTS, TOP
from chalicelib.reports.kept_answers import Asked, KeptAnswers
from tests.integration.http_api import Api

ASKED = [
    *(Asked(report, span, Scope(2021, 2021)) for report in (QUARTERLY, TOP) for span in (Span.YEAR, Span.RANGE)),
    Asked(REPORTS[-1], Span.EVERY, Scope()),
]
HIRE = "INSERT INTO hired_employees VALUES ({}, 'Ada', '2021-05-01', 1, 1)"


@pytest.fixture
def hired(database: Database) -> Iterator[Session]:
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (1, 'Staff'), (2, 'Legal'); INSERT INTO jobs VALUES (1, 'Clerk')")
        for row_id, department in ((-3, 1), (-2, 1), (-1, 2)):
            session.run(f"INSERT INTO hired_employees VALUES ({20_000 + row_id}, 'Ada', '2021-05-01', {department}, 1)")
        yield session


@pytest.mark.parametrize("asked", ASKED)
def test_a_kept_report_is_used_while_nothing_changes(hired: Session, asked: Asked) -> None:
    kept = queries.answer(hired, asked)
    assert json.loads(kept.text)
    assert queries.answer(hired, asked, kept) is kept


# The rows of a backup that was taken before the first change: the versions go back, and other changes follow.
GO_BACK = "CREATE TEMP TABLE b AS TABLE dataset_state; {}; DELETE FROM dataset_state; INSERT INTO dataset_state TABLE b"
CHANGES = {
    "insert": HIRE.format(2),
    "update": "UPDATE hired_employees SET datetime = '2021-12-01'",
    "name of a parent": "UPDATE departments SET department = 'People'",
    "name of another parent": "UPDATE jobs SET job = 'Cook'",
    "delete": "DELETE FROM hired_employees",
    "truncate": "TRUNCATE hired_employees",
    "truncate of a parent": "TRUNCATE departments CASCADE",
    "change by replication": f"SET session_replication_role = replica; {HIRE.format(2)}",
    "restored versions": f"{GO_BACK.format(HIRE.format(2))}",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("asked", ASKED[:1])
def test_a_kept_report_is_not_used_after_a_change(hired: Session, cleaner: Database, asked: Asked, change: str) -> None:
    kept = queries.answer(hired, asked)
    with cleaner.transaction() as other:
        other.run(change)
        if change == CHANGES["change by replication"]:
            other.run("RESET session_replication_role")
        if "TRUNCATE" not in change:  # a TRUNCATE makes readers wait
            assert queries.answer(hired, asked, kept) is kept  # the change is not committed yet
    answer = queries.answer(hired, asked, kept)
    assert answer == queries.answer(hired, asked)
    assert answer.version != kept.version
    assert answer.text != kept.text


def test_a_kept_report_is_not_used_after_a_deployment(hired: Session, database_url: str) -> None:
    """The migrations of a deployment may change the summary without a change of the datasets."""
    kept = queries.answer(hired, ASKED[0])
    upgrade(database_url, api_url="http://127.0.0.1:1", tls="disable")
    again = queries.answer(hired, ASKED[0], kept)
    assert (again is kept, again.text) == (False, kept.text)


def test_a_change_that_was_rolled_back_changes_no_kept_report(hired: Session, cleaner: Database) -> None:
    kept = queries.answer(hired, ASKED[0])
    with suppress(ZeroDivisionError), cleaner.transaction() as other:
        other.run(HIRE.format(2))
        raise ZeroDivisionError
    assert queries.answer(hired, ASKED[0], kept) is kept
    with cleaner.session() as other:
        other.run(HIRE.format(3))
    assert queries.answer(hired, ASKED[0], kept).text != kept.text


def test_a_reader_beside_writers_sees_what_it_would_see_without_kept_reports(hired: Session, database_url: str) -> None:
    """Three transactions write different datasets, in an order that nobody determines."""
    stopped, failures = threading.Event(), list[BaseException]()

    def writing(change: Callable[[int], str]) -> None:
        try:
            with closing(Database(database_url, tls="disable")) as database:
                for n in range(2, 10_000):
                    with database.transaction() as session:
                        session.run(change(n))
                    if stopped.is_set():
                        return
        except BaseException as error:  # shown below
            failures.append(error)

    changes: list[Callable[[int], str]] = [
        HIRE.format,
        "UPDATE departments SET department = 'Staff {}'".format,
        "UPDATE jobs SET job = 'Clerk {}'".format,
    ]
    writers = [threading.Thread(target=writing, args=(change,)) for change in changes]
    for writer in writers:
        writer.start()
    kept, versions = KeptAnswers(), set[str]()
    try:
        while len(versions) < 60:
            with hired.transaction(SNAPSHOT):
                for asked in ASKED:
                    last = kept.last(hired, asked)
                    answer = queries.answer(hired, asked, last)
                    kept.keep(hired, asked, answer)
                    assert answer == queries.answer(hired, asked)
                    assert queries.answer(hired, asked, answer) is answer
                    versions.add(answer.version)
            assert not failures
    finally:
        stopped.set()
        for writer in writers:
            writer.join()
    assert not failures


def test_every_request_gets_the_report_of_the_present_rows(api: Api) -> None:
    api.post("/department/upload", {"id": 1, "department": "Staff"})
    api.post("/job/upload", {"id": 1, "job": "Clerk"})
    paths = [
        *("/department/hires/quarterly/2021", "/department/hires/quarterly/2022"),
        "/department/hires/quarterly/2021?department=staff",
    ]
    for row_id in range(1, 4):
        row = {"id": row_id, "name": "Ada", "datetime": "2021-05-01", "department_id": 1, "job_id": 1}
        api.post("/hired_employee/upload", row)
        for _ in range(3):
            shown = [api.get(path).body for path in paths]
            report = [{"department": "Staff", "job": "Clerk", "q1": 0, "q2": row_id, "q3": 0, "q4": 0}]
            assert shown == [report, [], report]
            text = api.send("GET", paths[0], headers={"Accept": "text/csv"}).body
            assert text.splitlines()[1:] == [f'"Staff","Clerk",0,{row_id},0,0']
