"""Tests loads and checks of XLSX workbooks. Their results are those of CSV files with the same rows."""

from datetime import datetime
from typing import Any

import pytest

from tests.integration.http_api import Api
from tests.integration.ingest.test_continuing import Relay, everything
from tests.integration.landing import Landing, counts
from tests.workbooks import packed, parts, table

AT = datetime(2021, 7, 27, 16, 2, 8)
HEADER: list[object] = ["Job ID", "Name", "Hire date", "building", "dept_id", "id"]
# Row 1 of the sheet is the header. Row 4 is empty, row 5 lacks a name, and rows 6 and 8 wait for their parents. Row 9
# has the id of row 2, so row 2 is superseded.
ROWS: list[list[object]] = [
    HEADER,
    [1, "Ann", AT, 7, 1, 1],
    [2, 'Bo "B", Jr', "2021-07-27T16:02:08Z", None, 2, 2.0],
    [],
    [1, None, AT, 7, 1, 3],
    [1, "Cy", AT, 7, 9, 4],
    ["#N/A", "Di", AT, 7, 1, 5],
    [8, "Ed\nEd", AT, 7, 9, 6],
    [1, "Ann the second", AT, 7, 2, 1],
]
PARENTS: dict[str, list[list[object]]] = {
    "departments.xlsx": [["id", "department"], [1, "Sales"], [2, "Ops"]],
    "jobs.xlsx": [[1, "Clerk"], [2, "Smith"]],
}
REJECTS = {
    5: ["name is missing"],
    6: ["department_id 9 does not exist"],
    7: ["job_id is not a whole number from 1 to 2147483647"],
    8: ["department_id 9 does not exist", "job_id 8 does not exist"],
}


def fill(landing: Landing) -> None:
    for key, rows in PARENTS.items():
        assert landing.upload(key, table(rows))["status"] == "succeeded"


def rejects(landing: Landing, load: Any) -> dict[int, list[str]]:
    return {reject["line"]: reject["reasons"] for reject in landing.rejects(load)}


def test_rejects_can_be_corrected_in_a_workbook(landing: Landing) -> None:
    """A user may open the CSV file of the rejects in Excel, correct it, and save it as a workbook."""
    load = landing.upload("jobs.csv", ",Clerk\nx,=Smith\n1,Baker\n")
    header: list[object] = ["line", "id", "job", "reasons", "raw"]
    rows: list[list[object]] = [
        header,
        [1, None, "Clerk", "id is missing"],
        [2, 7, "'=Smith", "id is not a whole number"],
    ]
    corrected = landing.upload("jobs_corrected.xlsx", table(rows), corrects=str(load["id"]))
    assert (corrected["status"], counts(corrected)) == ("succeeded", (2, 1, 0, 0, 0, 1))
    assert landing.rows("SELECT id, job FROM jobs ORDER BY id") == [(1, "Baker"), (7, "=Smith")]
    assert landing.rows(f"SELECT resolved FROM loads WHERE id = {load['id']}") == [(1,)]


def test_a_workbook_loads_and_reports_the_rows_of_its_sheet(landing: Landing) -> None:
    fill(landing)
    load = landing.upload("hired_employees.xlsx", table(ROWS))
    assert (load["status"], load["kind"]) == ("succeeded", "xlsx")
    assert counts(load) == (7, 2, 0, 0, 1, 4)
    assert landing.rows("SELECT id, name, datetime::text, department_id, job_id FROM hired_employees ORDER BY id") == [
        (1, "Ann the second", "2021-07-27 16:02:08+00", 2, 1),
        (2, 'Bo "B", Jr', "2021-07-27 16:02:08+00", 2, 2),
    ]
    assert rejects(landing, load) == REJECTS
    [waiting] = [reject for reject in landing.rejects(load) if reject["line"] == 8]
    assert waiting["raw"] == '8,"Ed\nEd",2021-07-27T16:02:08,7,9,6'
    assert waiting["row"]["name"] == "Ed\nEd"


def test_waiting_rows_are_loaded_when_their_parents_exist(landing: Landing) -> None:
    fill(landing)
    landing.upload("hired_employees.xlsx", table(ROWS))
    landing.upload("departments_9.xlsx", table([[9, "Late"]]))
    assert landing.rows("SELECT id, name FROM hired_employees WHERE id = 4") == [(4, "Cy")]
    landing.upload("jobs_8.xlsx", table([[8, "Late"]]))
    assert landing.rows("SELECT id, name FROM hired_employees WHERE id = 6") == [(6, "Ed\nEd")]


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_workbook_may_be_loaded_by_several_invocations(landing: Landing, lines: int) -> None:
    fill(landing)
    at_once = everything(landing, landing.upload("hired_employees.xlsx", table(ROWS)))
    with landing.database.session() as session:
        session.run("TRUNCATE hired_employees, orphans; DELETE FROM loads WHERE dataset = 'hired_employees'")
    relay = Relay(landing, lines=lines, deaths=(False, True, False, True))
    load = relay.run(landing.put("hired_employees.xlsx", table(ROWS)))
    assert relay.handovers > 1
    assert everything(landing, load) == at_once


def test_the_content_decides_what_a_file_is_whatever_its_name_says(landing: Landing) -> None:
    assert landing.upload("departments.csv", table([["id", "department"], [1, "Sales"]]))["kind"] == "xlsx"
    assert landing.upload("jobs.xlsx", "id,job\n1,Clerk\n")["kind"] == "csv"
    assert landing.rows("SELECT * FROM departments UNION ALL SELECT * FROM jobs") == [(1, "Sales"), (1, "Clerk")]


def test_a_damaged_workbook_fails_at_the_first_attempt_and_loads_nothing(landing: Landing) -> None:
    load = landing.upload("jobs.xlsx", table([[1, "Clerk"]])[:-30])
    assert (load["status"], load["attempts"]) == ("failed", 1)
    assert "not a valid XLSX workbook" in load["error"]
    without_sheet = parts(table([[1, "Clerk"]]))
    del without_sheet["xl/worksheets/sheet1.xml"]
    assert landing.upload("jobs.xlsx", packed(without_sheet))["status"] == "failed"
    assert landing.rows("SELECT * FROM jobs") == []


def test_a_check_of_a_workbook_returns_the_result_of_its_load(api: Api, landing: Landing) -> None:
    fill(landing)
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    for sent_as in (media_type, "application/octet-stream", "text/csv"):
        body, headers = table(ROWS), {"Content-Type": sent_as}
        response = api.send("POST", "/uploads/check?dataset=hired_employees", body, headers)
        assert response.status == 200, response.body
    load = landing.upload("hired_employees.xlsx", table(ROWS))
    names = ("received", "inserted", "updated", "unchanged", "superseded", "rejected")
    assert tuple(response.body[name] for name in names) == counts(load)
    assert {reject["line"]: reject["reasons"] for reject in response.body["rejects"]} == rejects(landing, load)
    refused = api.send("POST", "/uploads/check?dataset=jobs", table(ROWS)[:-30], {"Content-Type": media_type})
    assert refused.status == 422
    assert "not a valid XLSX workbook" in refused.body["detail"]
