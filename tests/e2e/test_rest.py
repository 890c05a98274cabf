"""Tests the REST API of a deployed stage, through API Gateway."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.core.reasons import NOT_A_DATETIME
from chalicelib.core.value_limits import MAX_ID
from tests.e2e.cloud import Cloud, Response

TYPE = "application/problem+json"


def problem(response: Response, status: int) -> Any:
    """Check that a response is a problem document with the right members. Return these members."""
    assert (response.status, response.headers["Content-Type"]) == (status, TYPE), response.body
    assert response.body["status"] == status
    assert {"type", "title", "detail"} <= set(response.body)
    return response.body


def parents(cloud: Cloud) -> None:
    for route, name in (("department", "Sales"), ("job", "Clerk")):
        assert cloud.post(f"/{route}/upload", {"id": 1, route: name}).status == 201


def test_the_api_works_with_an_empty_database(cloud: Cloud) -> None:
    assert cloud.get("/health").status == 200
    for path in ("/department/hires/quarterly/2021", "/department/hires/top/2021"):
        response = cloud.get(path)
        assert (response.status, response.headers["Content-Type"], response.body) == (200, "application/json", [])
    assert cloud.get("/backups").status == 200
    first = cloud.post("/department/upload", {"department": "First of all"})
    assert (first.status, first.body["outcome"]) == (201, "inserted")


def test_a_row_of_every_dataset_is_inserted_unchanged_and_updated(cloud: Cloud) -> None:
    employee = {"id": 5, "name": "Ann", "datetime": "2021-07-27T16:02:08Z", "department_id": 1, "job_id": "1"}
    rows = {
        "department": {"id": 1, "department": "Sales"},
        "job": {"id": 1, "job": "Clerk"},
        "hired_employee": employee,
    }
    text = {"department": "department", "job": "job", "hired_employee": "name"}
    for route, row in rows.items():
        path = f"/{route}/upload"
        for changed, status, outcome in ((row, 201, "inserted"), (row, 200, "unchanged")):
            response = cloud.post(path, changed)
            assert (response.status, response.body["id"], response.body["outcome"]) == (status, row["id"], outcome)
        response = cloud.post(path, {**row, text[route]: "New"})
        assert (response.status, response.body["outcome"]) == (200, "updated")
        load = cloud.load(response.body["load_id"])
        assert (load["kind"], load["status"], load["received"], load["updated"]) == ("api", "succeeded", 1, 1)


def test_a_broken_row_is_rejected_with_all_reasons(cloud: Cloud) -> None:
    parents(cloud)
    sent = {"id": "1.5", "name": " ", "datetime": "yesterday", "department_id": 99, "job_id": True}
    response = problem(cloud.post("/hired_employee/upload", sent), 422)
    reasons = {error["field"]: error["reason"] for error in response["errors"]}
    assert list(reasons) == ["id", "name", "datetime", "job_id", "department_id"]
    assert reasons["department_id"] == "department_id 99 does not exist"
    [reject] = cloud.rejects(cloud.load(response["load_id"]))
    assert (reject["index"], reject["reasons"]) == (0, list(reasons.values()))
    assert cloud.table("hired_employees") == []


def employees(count: int) -> list[dict[str, Any]]:
    return [
        {"id": i, "name": f"Ann {i}", "datetime": "2021-07-27", "department_id": 1, "job_id": 1}
        for i in range(1, count + 1)
    ]


def test_a_batch_of_1000_with_three_invalid_rows_stores_the_others(cloud: Cloud) -> None:
    parents(cloud)
    rows = employees(1000)
    rows[0]["name"], rows[500]["job_id"], rows[999]["datetime"] = None, 7, "2021-02-30"
    response = cloud.post("/hired_employee/upload/batch", {"data": rows})
    assert response.status == 200
    assert {name: response.body[name] for name in ("received", "inserted", "updated", "unchanged", "superseded")} == {
        "received": 1000, "inserted": 997, "updated": 0, "unchanged": 0, "superseded": 0,
    }  # fmt: skip
    assert [(r["index"], r["reasons"], r["fields"]) for r in response.body["rejected"]] == [
        (0, ["name is missing"], ["name"]),
        (500, ["job_id 7 does not exist"], ["job_id"]),
        (999, [f"datetime {NOT_A_DATETIME}"], ["datetime"]),
    ]
    assert [r["row"] for r in response.body["rejected"]] == [rows[0], rows[500], rows[999]]
    assert cloud.sql("SELECT count(*) FROM hired_employees") == [(997,)]
    assert [r["index"] for r in cloud.rejects(cloud.load(response.body["load_id"]))] == [0, 500, 999]


def test_a_batch_of_1001_is_refused_as_a_whole(cloud: Cloud) -> None:
    parents(cloud)
    before = cloud.newest_load()
    problem(cloud.post("/hired_employee/upload/batch", {"data": employees(1001)}), 413)
    assert (cloud.table("hired_employees"), cloud.newest_load()) == ([], before)


def test_the_refusal_of_a_batch_without_a_valid_row_has_the_same_members(cloud: Cloud) -> None:
    response = problem(cloud.post("/job/upload/batch", {"data": [{"job": ""}, 5]}), 422)
    assert (response["received"], response["inserted"], len(response["rejected"])) == (2, 0, 2)


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": {}}, {"rows": [{"job": "x"}]}, [], "text", 5, None])
def test_any_other_shape_of_a_batch_is_refused(cloud: Cloud, body: Any) -> None:
    problem(cloud.post("/job/upload/batch", b"null" if body is None else body), 422)


@pytest.mark.parametrize("path", [f"/{d.route}/{end}" for d in DATASETS.values() for end in ("upload", "upload/batch")])
def test_a_body_that_is_not_json_is_refused(cloud: Cloud, path: str) -> None:
    problem(cloud.post(path, b"{not json"), 400)
    problem(cloud.post(path, b"{}", **{"Content-Type": "text/csv"}), 415)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/department/hires/top/0", 422),
        ("/department/hires/top/10000", 422),
        ("/department/hires/quarterly/2021x", 422),
        ("/department/hires/quarterly/2021?department_id=x", 422),
        ("/loads?limit=101", 422),
        ("/loads?status=lost", 422),
        ("/loads/999999999", 404),
        ("/loads/x", 404),
        ("/backups?cursor=x", 422),
    ],
)
def test_a_wrong_parameter_is_refused(cloud: Cloud, path: str, status: int) -> None:
    problem(cloud.get(path), status)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
def test_bytes_that_are_not_utf_8_reach_the_function_as_they_were_sent(cloud: Cloud, media_type: str) -> None:
    """If a gateway decoded the body as text, it would replace these bytes with U+FFFD. The row would be stored with
    this character.

    LocalStack passes a body on as text. So the API cannot see there whether LocalStack has replaced bytes with U+FFFD.
    It refuses a body with this character, and says what to write instead.
    """
    header = {"Content-Type": media_type}
    assert problem(cloud.post("/job/upload", b'{"id": 1, "job": "Caf\xe9"}', **header), 400)["detail"].startswith(
        "the body is not UTF-8"
    )
    assert cloud.table("jobs") == []
    for row_id, text in ((1, b"Caf\xc3\xa9"), (2, b"\\ufffd")):
        assert cloud.post("/job/upload", b'{"id": %d, "job": "%s"}' % (row_id, text), **header).status == 201
    response = cloud.post("/job/upload", b'{"id": 3, "job": "\xef\xbf\xbd"}', **header)
    if cloud.commands.stage == "localstack":
        assert "write U+FFFD as \\ufffd" in problem(response, 400)["detail"]
    else:
        assert response.status == 201
    assert cloud.table("jobs")[:2] == [(1, "Café"), (2, "\ufffd")]
    assert cloud.table("jobs")[2:] == ([] if cloud.commands.stage == "localstack" else [(3, "\ufffd")])


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json, text/html", "image/png"])
def test_json_responses_are_sent_as_text(cloud: Cloud, accept: str) -> None:
    """The fixture `cloud` parses every response as JSON. If a response were encoded in base64, it would not be JSON."""
    response = cloud.send("POST", "/job/upload", b"{}", {"Content-Type": "application/json", "Accept": accept})
    assert problem(response, 422)["errors"]
    assert cloud.send("GET", "/loads", headers={"Accept": accept}).body["loads"]


def test_a_body_over_4_5_mb_is_refused(cloud: Cloud) -> None:
    for size in (4_500_001, 5_900_000, 9_900_000):
        assert cloud.post("/job/upload", b"[" + b" " * size).status == 413
    assert cloud.post("/job/upload", b'{"job": "x"' + b" " * 4_400_000 + b"}").status == 201


def test_an_ambiguous_request_is_refused(cloud: Cloud) -> None:
    twice = problem(cloud.post("/job/upload", b'{"id": 1, "job": "a", "job": "b"}'), 400)
    assert twice["detail"] == "the body is not JSON: the member 'job' is given twice"
    for query in ("dataset[]=jobs", "Limit=1", "limit=1&limit=2"):
        problem(cloud.get(f"/loads?{query}"), 422)
    problem(cloud.get("/health?x=1"), 422)
    assert cloud.table("jobs") == []


def test_an_unknown_route_is_refused(cloud: Cloud) -> None:
    # API Gateway itself responds to these requests. Emulators respond with other statuses.
    assert cloud.get("/nowhere").status in (403, 404)
    assert cloud.send("DELETE", "/loads").status in (403, 404, 405)


@pytest.mark.parametrize("name", ["20210727T160208.123456Z", "../secret", "yesterday", 5])
def test_a_restore_from_an_unknown_restore_point_is_refused(cloud: Cloud, name: Any) -> None:
    problem(cloud.post("/department/backup/restore", {"restore_point": name}), 404)


def test_rows_without_ids_get_new_ids_while_rows_with_ids_come(cloud: Cloud) -> None:
    def without_ids(caller: int) -> list[Response]:
        return [cloud.post("/job/upload", {"job": f"Job {caller}.{i}"}) for i in range(10)]

    def with_ids(_: int) -> list[Response]:
        return [cloud.post("/job/upload", {"id": 5 * i, "job": f"Explicit {i}"}) for i in range(1, 21)]

    with ThreadPoolExecutor(9) as pool:
        others = pool.submit(with_ids, 0)
        responses = [response for of_client in pool.map(without_ids, range(8)) for response in of_client]
        responses_with_ids = others.result()
    assert {response.status for response in responses} == {201}
    assert {response.status for response in responses_with_ids} <= {200, 201}
    new_ids = [response.body["id"] for response in responses]
    assert len(set(new_ids)) == 80
    # The API may give an id to a new row just before another client sends a row with the same id. The request of that
    # client then updates the new row.
    expected = {response.body["id"] for response in responses + responses_with_ids}
    assert {row[0] for row in cloud.table("jobs")} == expected


def test_new_rows_get_ids_after_the_largest_id_was_used(cloud: Cloud) -> None:
    assert cloud.post("/job/upload", {"id": MAX_ID, "job": "Last"}).status == 201
    response = cloud.post("/job/upload/batch", {"data": [{"job": "a"}, {"job": "b"}]})
    assert (response.status, response.body["inserted"]) == (200, 2)
    assert len({row[0] for row in cloud.table("jobs")}) == 3


def test_the_history_is_paged_and_filtered(cloud: Cloud) -> None:
    ids = [cloud.post("/job/upload", {"id": i, "job": "Clerk"}).body["load_id"] for i in range(1, 6)]
    first = cloud.get("/loads?dataset=jobs&limit=2&status=succeeded").body
    assert [load["id"] for load in first["loads"]] == ids[:-3:-1]
    second = cloud.get(f"/loads?dataset=jobs&limit=2&cursor={first['next_cursor']}").body
    assert [load["id"] for load in second["loads"]] == ids[-3:-5:-1]
