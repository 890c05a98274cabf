"""Tests that a report can be requested as CSV, and that a report that has not changed gets a 304."""

import csv
import io

import pytest

from tests.integration.http_api import Api

REPORTS = [
    *("/department/hires/quarterly/2021", "/department/hires/top/2021"),
    *("/department/hires/quarterly?from=2021&to=2021", "/department/hires/top?to=2021", "/department/hires/years"),
]
FORMULA = '=HYPERLINK("http://x"), said "she"'


@pytest.fixture
def hired(api: Api) -> Api:
    api.post("/department/upload/batch", {"data": [{"id": 1, "department": FORMULA}, {"id": 2, "department": "Legal"}]})
    api.post("/job/upload", {"id": 1, "job": "Söng\nwriter"})
    row = {"name": "Ada", "datetime": "2021-05-01", "job_id": 1}
    departments = (1, 1, 2)
    api.post("/hired_employee/upload/batch", {"data": [{**row, "department_id": d} for d in departments]})
    return api


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_has_the_values_of_json_and_no_formulas(hired: Api) -> None:
    quarterly, top = (hired.send("GET", path, headers={"Accept": "text/csv"}) for path in REPORTS[:2])
    assert rows(quarterly.body) == [
        ["department", "job", "q1", "q2", "q3", "q4"],
        [f"'{FORMULA}", "Söng\nwriter", "0", "2", "0", "0"],
        ["Legal", "Söng\nwriter", "0", "1", "0", "0"],
    ]
    assert rows(top.body) == [["id", "department", "hired"], ["1", f"'{FORMULA}", "2"]]
    assert quarterly.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert top.headers["Content-Disposition"] == 'attachment; filename="top-departments-2021.csv"'


@pytest.mark.parametrize("path", REPORTS[:4])
def test_the_csv_of_a_year_without_hires_has_only_a_header(hired: Api, path: str) -> None:
    empty = hired.send("GET", path.replace("2021", "1999"), headers={"Accept": "text/csv"})
    assert len(rows(empty.body)) == 1


@pytest.mark.parametrize("path", REPORTS)
@pytest.mark.parametrize("form", ["application/json", "text/csv"])
def test_an_unchanged_report_is_not_sent_again(hired: Api, path: str, form: str) -> None:
    first = hired.send("GET", path, headers={"Accept": form})
    tag = first.headers["ETag"]
    again = hired.send("GET", path, headers={"Accept": form, "If-None-Match": tag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, tag)
    hired.post("/hired_employee/upload", {"name": "Eve", "datetime": "2021-01-01", "department_id": 1, "job_id": 1})
    changed = hired.send("GET", path, headers={"Accept": form, "If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["ETag"] != tag
    assert changed.body != first.body


@pytest.mark.parametrize("path", REPORTS)
def test_json_and_csv_have_different_etags_and_vary_names_accept(hired: Api, path: str) -> None:
    json, csv = (hired.send("GET", path, headers={"Accept": form}) for form in ("application/json", "text/csv"))
    assert json.headers["ETag"] != csv.headers["ETag"]
    assert json.headers["Vary"] == "Accept, Authorization"
    assert json.headers["Cache-Control"] == "private, no-cache"


def test_a_changed_name_changes_the_report(hired: Api) -> None:
    tag = hired.get(REPORTS[1]).headers["ETag"]
    hired.post("/department/upload", {"id": 1, "department": "Law"})
    assert hired.send("GET", REPORTS[1], headers={"If-None-Match": tag}).body[0]["department"] == "Law"
