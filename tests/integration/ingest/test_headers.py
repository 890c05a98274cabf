"""Tests the headers of files. The names in a header say which field belongs to which column. If the header lacks a
column, the load fails at its first attempt and stores no row."""

import gzip

import pytest

from chalicelib.core.reasons import NEVER_CLOSED
from tests.integration.http_api import Api
from tests.integration.ingest.test_continuing import PARENTS, Relay
from tests.integration.landing import Landing, counts

SWAPPED = "id,name,datetime,job_id,department_id\n1,Ann,2021-07-27,2,1\n2,Bo,2021-07-28,1,2\n"
LACKING = "id,name,datetime,job_id\n1,Ann,2021-07-27,2\n2,Bo,2021-07-28,1\n"
REFUSAL = (
    "the header names id, name, datetime, job_id: department_id is missing; this file must have"
    " id, name, datetime, department_id, job_id, in any order"
)


@pytest.fixture
def employees(landing: Landing) -> Landing:
    for key, body in PARENTS.items():
        landing.upload(key, body)
    return landing


@pytest.mark.parametrize("key", ["hired_employees.csv", "hired_employees.csv.gz"])
def test_columns_are_taken_by_their_names(employees: Landing, key: str) -> None:
    load = employees.upload(key, "\n" + SWAPPED)
    assert (load["status"], counts(load)) == ("succeeded", (2, 2, 0, 0, 0, 0))
    found = employees.rows("SELECT id, department_id, job_id FROM hired_employees ORDER BY id")
    assert found == [(1, 1, 2), (2, 2, 1)]


@pytest.mark.parametrize("key", ["hired_employees.csv", "hired_employees.csv.gz"])
def test_a_header_that_lacks_a_column_fails_the_load_and_loads_nothing(employees: Landing, key: str) -> None:
    load = employees.upload(key, "\n" + LACKING)
    assert (load["status"], load["error"], load["attempts"]) == ("failed", REFUSAL, 1)
    assert (load["errored_key"], employees.rows("SELECT * FROM hired_employees")) == (None, [])
    assert employees.scalar("SELECT count(*) FROM orphans") == 0
    corrected = employees.upload(key, "id,name,datetime,department_id,job_id\n1,Ann,2021-07-27,2,1\n")
    assert (corrected["status"], counts(corrected)) == ("succeeded", (1, 1, 0, 0, 0, 0))


def test_a_file_with_the_header_of_another_dataset_fails(landing: Landing) -> None:
    load = landing.upload("departments.csv", "id,job\n164001,Recruiter\n")
    assert (load["status"], load["error"]) == (
        "failed",
        "the header names id, job: department is missing; this file must have id, department, in any order",
    )
    assert landing.rows("SELECT * FROM departments") == []


def test_a_large_file_fails_like_a_small_one(employees: Landing) -> None:
    relay = Relay(employees)
    load = relay.run(employees.put("hired_employees.csv", "\n\n\n" + LACKING))
    assert (load["status"], load["error"], load["attempts"]) == ("failed", REFUSAL, 1)
    assert employees.rows("SELECT * FROM hired_employees") == []
    assert [ended.status for ended in relay.ended] == ["failed"]
    assert employees.rows("SELECT load_id FROM staged_loads") == []


def test_a_worker_can_load_the_next_file_after_the_failure(landing: Landing) -> None:
    for _ in range(3):
        assert landing.upload("jobs.csv", "job,name\nClerk,1\n")["status"] == "failed"
    assert landing.upload("jobs.csv", "id,job\n1,Clerk\n")["status"] == "succeeded"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_check_reports_the_same_error_for_a_wrong_header(api: Api, zipped: bool) -> None:
    body = gzip.compress(LACKING.encode()) if zipped else LACKING.encode()
    media_type = "application/gzip" if zipped else "text/csv"
    response = api.send("POST", "/uploads/check?dataset=hired_employees", body, {"Content-Type": media_type})
    assert (response.status, response.body["detail"]) == (422, REFUSAL)
    again = api.send("POST", "/uploads/check?dataset=jobs", b"id,job\n1,Clerk\n", {"Content-Type": "text/csv"})
    assert (again.status, again.body["inserted"]) == (200, 1)


PHANTOMS = (
    '1,Ann,2021-07-27,1,1\n2,"note\n7,Phantom,2021-07-27,1,1\n",2021-07-27,1,1,extra\n3,Bo,2021-07-28,9,1\n'
    '4,"a\n8,Phantom,2021-07-27,1,1\n"b,2021-07-27,1,1\n5,"C\nc",2021-07-28,9,1\n6,"never,2021-07-27,1,1\n9,Di,2021-07-28,2,2\n'
)


def test_no_line_of_a_rejected_record_becomes_a_row(employees: Landing) -> None:
    for relayed in (False, True):
        event = employees.put("hired_employees.csv", PHANTOMS)
        if relayed:
            load = Relay(employees).run(event)
        else:
            employees.deliver(event)
            load = employees.load()
        assert load["status"] == "succeeded"
        assert (load["received"], load["rejected"]) == (7, 5)
        assert employees.rows("SELECT id, name FROM hired_employees ORDER BY 1") == [(1, "Ann"), (9, "Di")]
        rejects = {reject["line"]: (reject["reasons"], reject["raw"]) for reject in employees.rejects(load)}
        lines = PHANTOMS.splitlines()
        assert rejects == {
            2: (["expected 5 fields, found 6"], "\n".join(lines[1:4])),
            5: (["department_id 9 does not exist"], lines[4]),
            6: (
                ["text follows a closing quote: quote the whole field, and double the quotes inside"],
                "\n".join(lines[5:8]),
            ),
            9: (["department_id 9 does not exist"], "\n".join(lines[8:10])),
            11: ([str(NEVER_CLOSED)], lines[10]),
        }


def test_a_name_with_a_nul_is_a_column_to_ignore(landing: Landing) -> None:
    load = landing.upload("departments.csv", b"id,department,no\0te\n1,Sales,x\n,Ops,y\n")
    assert (load["status"], counts(load)) == ("succeeded", (2, 1, 0, 0, 0, 1))
    assert landing.rows("SELECT file_columns->>2 FROM loads") == [("no\ufffdte",)]
