"""Tests the open rejects of a load, which GET /loads/{load_id}/rejects shows: which rejects are open, how a later load
resolves them, and how a user corrects them in a CSV file and sends this file."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.cloud.database import Database
from tests.integration.http_api import Api
from tests.integration.landing import Landing, Row, counts

JOBS = "1,Clerk\n2,\n,Smith\nx,Baker\n"  # line 2 has a readable id, lines 3 and 4 have none
NOBODY = "9,Ann,2021-07-27,1,1"  # neither department 1 nor job 1 exists


def rejects(api: Api, load: Row, query: str = "") -> list[Row]:
    response = api.get(f"/loads/{load['id']}/rejects{query}")
    assert response.status == 200
    return list(response.body["rejects"])


def lines(api: Api, load: Row, query: str = "") -> list[int]:
    return [reject["line"] for reject in rejects(api, load, query)]


def as_csv(api: Api, load: Row, query: str = "") -> tuple[str, dict[str, str]]:
    response = api.send("GET", f"/loads/{load['id']}/rejects{query}", headers={"Accept": "text/csv"})
    assert (response.status, response.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return str(response.body), response.headers


def cells(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def resolved(landing: Landing, load: Row) -> Any:
    return landing.load(load["id"])["resolved"]


# --- Which rejects are open


def test_a_reject_is_open_until_a_later_file_brings_its_id(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", JOBS)
    assert lines(api, load) == [2, 3, 4]
    landing.upload("jobs_2.csv", "2,\n")
    assert (lines(api, load), resolved(landing, load)) == ([2, 3, 4], 0)
    landing.upload("jobs_3.csv", "2,Cook\n")
    assert (lines(api, load), resolved(landing, load)) == ([3, 4], 1)
    assert lines(api, load, "?all=true") == [2, 3, 4]
    assert [reject["resolved"] for reject in rejects(api, load, "?all=true")] == [True, False, False]


@pytest.mark.parametrize("path", ["/job/upload", "/job/upload/batch"])
def test_a_reject_is_open_until_a_request_brings_its_id(api: Api, landing: Landing, path: str) -> None:
    load = landing.upload("jobs.csv", JOBS)
    row = {"id": 2, "job": "Cook"}
    assert api.post(path, {"data": [row]} if path.endswith("batch") else row).status in (200, 201)
    assert (lines(api, load), resolved(landing, load)) == ([3, 4], 1)


def test_a_row_that_existed_before_does_not_resolve_its_reject(api: Api, landing: Landing) -> None:
    landing.upload("jobs.csv", "2,Cook\n")
    load = landing.upload("jobs_2.csv", JOBS)
    assert lines(api, load) == [2, 3, 4]
    landing.upload("jobs_3.csv", "2,Cook\n")  # this row changes nothing, but it is valid, so it resolves the reject
    assert lines(api, load) == [3, 4]


def test_the_rejects_of_other_datasets_stay_open(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", JOBS)
    landing.upload("departments.csv", "2,Kitchen\n")
    assert lines(api, load) == [2, 3, 4]


def test_the_rejects_of_a_request_are_resolved_too(api: Api, landing: Landing) -> None:
    response = api.post("/job/upload/batch", {"data": [{"id": 1, "job": "a"}, {"id": 2, "job": ""}]})
    load = {"id": response.body["load_id"]}
    assert [reject["index"] for reject in rejects(api, load)] == [1]
    landing.upload("jobs.csv", "2,Cook\n")
    assert rejects(api, load) == []


def test_the_rejects_of_a_failed_file_are_open_until_they_are_loaded(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", "1,\n2,\n")
    assert (load["status"], lines(api, load)) == ("failed", [1, 2])
    landing.upload("jobs_2.csv", "1,Clerk\n")
    assert lines(api, load) == [2]


def test_a_waiting_row_is_marked_until_its_parents_arrive(api: Api, landing: Landing) -> None:
    load = landing.upload("hired_employees.csv", f"{NOBODY}\n8,,2021-07-27,1,1\n")
    assert {reject["line"]: reject["waiting"] for reject in rejects(api, load)} == {1: True, 2: False}
    assert api.get(f"/loads/{load['id']}/rejects").body["waiting"] == 1
    landing.upload("departments.csv", "1,Kitchen\n")
    landing.upload("jobs.csv", "1,Cook\n")
    assert (lines(api, load), resolved(landing, load)) == ([2], 1)
    assert api.get(f"/loads/{load['id']}/rejects").body["waiting"] == 0


def test_all_rows_of_an_id_wait_and_are_resolved_together(api: Api, landing: Landing) -> None:
    load = landing.upload("hired_employees.csv", f"{NOBODY}\n{NOBODY}\n8,,2021-07-27,1,1\n")
    assert load["waiting"] == api.get(f"/loads/{load['id']}/rejects").body["waiting"] == 2
    assert [reject["line"] for reject in rejects(api, load) if reject["waiting"]] == [1, 2]
    landing.upload("departments.csv", "1,Kitchen\n")
    landing.upload("jobs.csv", "1,Cook\n")
    assert (lines(api, load), resolved(landing, load)) == ([3], 2)


def test_the_row_of_the_load_that_ended_last_resolves_the_rejects_of_its_id(
    api: Api, landing: Landing, database_url: str
) -> None:
    """The load of the first file begins first, and ends last."""
    other = Landing(Database(database_url, tls="disable"), landing.s3)
    ended: list[Row] = []

    def load_another_file(operation: str, _key: str) -> None:
        if operation == "GetObject" and not ended:
            ended.append({})
            ended.append(other.upload("hired_employees_2.csv", f"{NOBODY}\n8,,2021-07-27,1,1\n"))

    landing.s3.before = load_another_file
    landing.upload("hired_employees_1.csv", f"{NOBODY}\n")
    landing.s3.before = None
    other.database.close()
    [later, earlier] = api.get("/loads?dataset=hired_employees").body["loads"]
    assert later["id"] == ended[1]["id"] > earlier["id"]
    landing.upload("departments.csv", "1,Kitchen\n")
    landing.upload("jobs.csv", "1,Cook\n")
    assert (lines(api, earlier), lines(api, later)) == ([], [2])
    assert (resolved(landing, earlier), resolved(landing, later)) == (1, 1)


def test_a_waiting_row_does_not_resolve_a_reject_of_a_load_that_ended_later(api: Api, landing: Landing) -> None:
    landing.upload("hired_employees_1.csv", f"{NOBODY}\n")
    later = landing.upload("hired_employees_2.csv", "9,Ann,never,1,1\n8,Bo,2021-07-27,1,1\n")
    landing.upload("departments.csv", "1,Kitchen\n")
    landing.upload("jobs.csv", "1,Cook\n")
    assert (lines(api, later), resolved(landing, later)) == ([1], 1)


def test_a_waiting_row_does_not_resolve_a_reject_below_it(api: Api, landing: Landing) -> None:
    """The reject stands in a later line than the waiting row with the same id, so it is a newer version of the row."""
    load = landing.upload("hired_employees.csv", f"{NOBODY}\n9,Ann,never,1,1\n")
    landing.upload("departments.csv", "1,Kitchen\n")
    landing.upload("jobs.csv", "1,Cook\n")
    assert (lines(api, load), resolved(landing, load)) == ([2], 1)


def test_at_the_end_of_the_grace_period_a_row_no_longer_waits(
    api: Api, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = landing.upload("hired_employees.csv", NOBODY)
    with landing.database.session() as session:
        session.run("UPDATE orphans SET rejected_at = now() - CAST(:age AS interval)", age=str(timedelta(days=1)))
    assert [reject["waiting"] for reject in rejects(api, load)] == [False]


def test_the_rejects_of_a_load_of_the_previous_release_are_open(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", JOBS)
    with landing.database.session() as session:
        session.run("DELETE FROM open_rejects; UPDATE loads SET tracked_rejects = 0, reasons = '[]'")
        session.run("""UPDATE loads SET reasons = '[{"reason": "job is missing", "count": 1}]'""")
    assert lines(api, load) == [2, 3, 4]
    assert api.get(f"/loads/{load['id']}/rejects").body["reasons"] == [
        {"reason": "job is missing", "code": None, "count": 1}
    ]


def test_rejects_are_chosen_by_code_and_shown_in_parts(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", JOBS)
    assert lines(api, load, "?code=missing") == [2, 3]
    assert lines(api, load, "?code=not_an_id") == [4]
    assert api.get(f"/loads/{load['id']}/rejects?code=unheard_of").status == 422
    first = api.get(f"/loads/{load['id']}/rejects?limit=1&code=missing").body
    assert ([reject["line"] for reject in first["rejects"]], first["truncated"]) == ([2], False)
    second = api.get(f"/loads/{load['id']}/rejects?limit=1&code=missing&cursor={first['next_cursor']}").body
    assert ([reject["line"] for reject in second["rejects"]], second["next_cursor"]) == ([3], None)


# --- Rejects as CSV


def test_the_csv_has_the_columns_of_the_file_and_its_name(api: Api, landing: Landing) -> None:
    body = "Job Title;ID;Wage\nClerk;1;7\n;2;8\n=1+1;x;9\nBaker\n"
    load = landing.upload("in/jobs-new.csv.gz", body)
    text, headers = as_csv(api, load)
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''jobs-new-rejects.csv"
    assert cells(text, ";") == [
        ["line", "Job Title", "ID", "Wage", "reasons", "raw"],
        ["3", "", "2", "8", "job is missing", ""],
        ["4", "'=1+1", "x", "9", "id is not a whole number from 1 to 2147483647", ""],
        ["5", "", "", "", "expected 3 fields, found 1", "Baker"],
    ]


def test_the_csv_of_a_file_without_a_header_has_the_columns_of_the_dataset(api: Api, landing: Landing) -> None:
    load = landing.upload("2021/department.csv", '1,Sales\n2,"a, ""b""\nc"\n2,\n')
    text, headers = as_csv(api, landing.upload("2021/department.csv", '3,"Sales, ""EU"""\nx,"a, ""b""\nc"\n'))
    assert load["rejected"] == 1
    assert headers["Content-Disposition"].endswith("''departments-department-rejects.csv")
    assert text == (
        'line,id,department,reasons,raw\r\n2,x,"a, ""b""\nc",id is not a whole number from 1 to 2147483647,\r\n'
    )


def test_a_text_that_could_not_be_decoded_is_empty_in_the_csv_and_is_never_stored(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", b"1,Clerk\n2,K\xf6chin\n")
    text, _ = as_csv(api, load)
    assert cells(text)[1] == ["2", "2", "", "job is not valid UTF-8", "2,K\ufffdchin"]
    again = landing.upload("jobs-rejects.csv", text, corrects=str(load["id"]))
    assert (again["status"], again["error"]) == ("failed", "no row could be loaded: job is missing")
    assert lines(api, load) == [2]


def test_the_csv_says_which_rows_still_wait(api: Api, landing: Landing) -> None:
    text, _ = as_csv(api, landing.upload("hired_employees.csv", NOBODY))
    assert cells(text)[1][6] == "department_id 1 does not exist; job_id 1 does not exist (the row still waits for it)"


def test_the_csv_of_a_request_has_the_columns_of_the_dataset(api: Api) -> None:
    load_id = api.post("/job/upload/batch", {"data": [{"id": 2, "job": ""}, 5]}).body["load_id"]
    text, headers = as_csv(api, {"id": load_id})
    assert headers["Content-Disposition"].endswith(f"''jobs-load-{load_id}-rejects.csv")
    assert cells(text)[1:] == [
        ["0", "2", "", "job is missing", ""],
        ["1", "", "", "the row is not an object", "5"],
    ]


def test_a_long_csv_comes_in_parts(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", "".join(f"x,{'y' * 9000}\n" for _ in range(300)))
    text, headers = as_csv(api, load)
    found = cells(text)[1:]
    assert "Link" in headers
    assert "X-Truncated" not in headers
    while "Link" in headers:
        address = headers["Link"].partition(">")[0].removeprefix(f"</loads/{load['id']}/rejects")
        text, headers = as_csv(api, load, address)
        found += cells(text)[1:]
        assert "X-Truncated" not in headers  # each part says where the next one is
    assert [int(row[0]) for row in found] == list(range(1, 301))


# --- The corrected CSV file is sent


def test_a_corrected_file_resolves_the_rejects_that_its_lines_name(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", "job;id\nClerk;1\n=1;\nBaker;x\nCook\n")
    text, _ = as_csv(api, load)
    header, first, second, third = cells(text, ";")
    assert first[:3] == ["3", "'=1", ""]
    first[2], second[2] = "3", "4"  # the third stays as it is
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";").writerows([header, first, second, third])
    again = landing.upload("jobs-rejects.csv", out.getvalue(), corrects=str(load["id"]))
    assert counts(again) == (3, 2, 0, 0, 0, 1)
    assert landing.rows("SELECT id, job FROM jobs ORDER BY id") == [(1, "Clerk"), (3, "=1"), (4, "Baker")]
    assert (lines(api, load), resolved(landing, load)) == ([5], 2)


def test_the_rejects_of_a_corrected_file_can_be_corrected_again(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", "x,'=1\n3,Clerk\n")
    text, _ = as_csv(api, load)
    assert cells(text)[1] == ["1", "x", "''=1", "id is not a whole number from 1 to 2147483647", ""]
    again = landing.upload("jobs-2.csv", text + "9,9,Cook,,\r\n", corrects=str(load["id"]))
    text, _ = as_csv(api, again)
    assert cells(text) == [
        ["line", "id", "job", "reasons", "raw"],
        ["2", "x", "''=1", "id is not a whole number from 1 to 2147483647", ""],
    ]
    landing.upload("jobs-3.csv", text.replace(",x,", ",5,"), corrects=str(again["id"]))
    assert lines(api, again) == []
    assert landing.rows("SELECT job FROM jobs WHERE id = 5") == [("'=1",)]


def test_a_line_counts_only_in_a_file_that_corrects_the_load(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", JOBS)
    landing.upload("jobs_2.csv", "line,id,job\n3,7,Smith\n")
    assert lines(api, load) == [2, 3, 4]
    landing.upload("jobs_3.csv", "line,id,job\n3,,Smith\n 4 ,8,Baker\nx,9,Cook\n", corrects=str(load["id"]))
    assert lines(api, load) == [2, 3]


def test_an_unusual_row_of_a_file_with_lines_keeps_its_line(api: Api, landing: Landing) -> None:
    """The slow path parses such a row, instead of copying it unchanged. This test checks the slow path."""
    load = landing.upload("jobs.csv", JOBS)
    landing.upload("jobs_2.csv", 'id,line,job\n+,3,x\n" 7 ",4,"Ba""ker"\n', corrects=str(load["id"]))
    assert lines(api, load) == [2, 3]


def test_a_file_that_corrects_no_load_of_its_dataset_fails(api: Api, landing: Landing) -> None:
    other = landing.upload("departments.csv", "1,Sales\n")
    for wrong in (str(other["id"]), "999"):
        load = landing.upload("jobs.csv", "1,Clerk\n", corrects=wrong)
        assert (load["status"], load["error"]) == (
            "failed",
            f"the file is declared to correct load {wrong}, but this is not a load of jobs",
        )
        order = {"dataset": "jobs", "filename": "jobs.csv", "size": 9, "corrects": int(wrong)}
        assert api.post("/uploads", order).status == 422
    order["corrects"] = load["id"]
    form = api.post("/uploads", order)
    assert (form.status, form.body["fields"]["x-amz-meta-corrects"]) == (201, str(load["id"]))
