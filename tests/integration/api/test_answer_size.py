"""Tests that no response is larger than Lambda can pass on, and that each response says what it leaves out. The fixture
`api` checks the size of every response."""

import json
from datetime import timedelta
from typing import Any

import pytest
from chalice.app import Chalice, Response
from chalice.test import Client

from app import app
from chalicelib.api.http import problems
from chalicelib.api.http.answers import TOO_LARGE, sendable
from chalicelib.api.http.requests import MAX_BODY
from chalicelib.backups.run import run_backup
from chalicelib.core.answer_size import MAX_ANSWER
from chalicelib.core.correlation import HEADER
from chalicelib.core.errors import HireflowError
from chalicelib.core.rules import MOST_UNKNOWN_KEYS
from tests.integration.http_api import Api
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3

LONG = "é" * 2000
WIDE = "\U0001f600"  # the character that grows most: four bytes become twelve


def batch(*rows: Any) -> dict[str, Any]:
    return {"data": list(rows)}


def sent(api: Api, path: str, body: Any) -> Any:
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(data) <= MAX_BODY
    return api.post(path, data)


def test_a_batch_with_long_rejected_rows_still_reports_its_counts(api: Api) -> None:
    good = [{"id": n, "department": LONG} for n in range(1, 501)]
    bad = [{"id": "x", "department": LONG} for _ in range(500)]
    found = sent(api, "/department/upload/batch", batch(*good, *bad))
    assert (found.status, found.body["received"], found.body["inserted"]) == (200, 1000, 500)
    rejected = found.body["rejected"]
    assert [row["index"] for row in rejected] == list(range(500, 1000))
    with_row = [row for row in rejected if "row" in row]
    assert rejected[: len(with_row)] == with_row
    assert 300 < len(with_row) < 500
    assert found.body["truncated"] is True
    assert api.get(f"/loads/{found.body['load_id']}").body["rejected"] == 500


def test_a_batch_whose_rejects_fit_is_not_truncated(api: Api) -> None:
    found = sent(api, "/department/upload/batch", batch({"id": 1, "department": "Sales"}, {"id": "x"}))
    assert "truncated" not in found.body
    assert found.body["rejected"][0]["row"] == {"id": "x"}


def test_a_batch_with_very_many_unknown_keys_still_reports_its_counts(api: Api) -> None:
    keys = {WIDE * 59 + chr(ord("a") + n): 1 for n in range(18)}
    found = sent(api, "/department/upload/batch", batch({"id": 1, "department": "Sales"}, *[keys] * 999))
    assert (found.body["received"], found.body["inserted"], found.body["truncated"]) == (1000, 1, True)
    assert 0 < len(found.body["rejected"]) < 999


def test_a_batch_without_a_valid_row_is_refused_in_the_same_way(api: Api) -> None:
    found = sent(api, "/job/upload/batch", batch(*[{"id": "x", "job": LONG}] * 1000))
    assert (found.status, found.body["received"], found.body["inserted"]) == (422, 1000, 0)
    assert len(found.body["rejected"]) == 1000
    assert found.body["truncated"] is True


def test_only_the_first_unknown_keys_of_a_row_are_named(api: Api) -> None:
    row: dict[str, Any] = {"id": 1, "department": "Sales"} | {f"k{n}": 1 for n in range(300_000)}
    found = sent(api, "/department/upload", row)
    assert found.status == 422
    errors = found.body["errors"]
    assert len(errors) == MOST_UNKNOWN_KEYS + 1
    assert errors[-1] == {"field": None, "reason": "299980 further keys are not columns", "code": "unknown_column"}
    rejects = api.get(f"/loads/{found.body['load_id']}/rejects").body
    assert rejects["reasons"] == [{"reason": "a key is not a column", "code": "unknown_column", "count": 1}]


def test_only_the_first_unknown_members_of_an_upload_are_named(api: Api) -> None:
    found = sent(api, "/uploads", {f"k{n}": 1 for n in range(300_000)})
    assert found.status == 422
    unknown = [error["reason"] for error in found.body["errors"] if error["field"] is None]
    assert len(unknown) == MOST_UNKNOWN_KEYS + 1
    assert unknown[-1].startswith("299980 further members are not one of dataset, filename, size")


def test_responses_have_no_ascii_escapes_except_for_a_lone_surrogate(api: Api) -> None:
    found = api.client.http.post(
        "/department/upload/batch",
        headers={"Content-Type": "application/json"},
        body=b'{"data": [{"id": "\xc3\xa9 \\ud83d\\ude00 \\ud800"}]}',
    )
    assert '"row":{"id":"é 😀 \\ud800"}'.encode() in found.body


def test_a_page_of_loads_ends_where_a_response_has_no_room_for_more(api: Api, landing: Landing) -> None:
    header = ",".join(["id", "job", *(f"{WIDE * 36}{n:03}" for n in range(398))])
    for n in range(30):
        landing.upload(f"jobs{n}.csv", header + "\n")
    seen, query = list[int](), "?limit=100"
    pages = 0
    while query:
        page = api.get(f"/loads{query}").body
        seen += [load["id"] for load in page["loads"]]
        pages += 1
        query = page["next_cursor"] and f"?limit=100&cursor={page['next_cursor']}"
    assert seen == list(range(30, 0, -1))
    assert pages > 1


@pytest.mark.parametrize("character", ['"', WIDE])
def test_every_route_keeps_to_the_limit_over_the_largest_contents(
    api: Api, landing: Landing, s3: S3, character: str
) -> None:
    """Request all routes that show something, after loads of files whose texts are as large as possible."""
    text = character * (1_000_000 // len(character.encode()))
    quoted = text.replace('"', '""')
    for n in range(1, 3):
        landing.upload(f"jobs{n}.csv", f'id,job,{character * 9}note\n{n},Clerk,\n,"{quoted}",\nx{quoted[:100]},,\n')
        landing.upload(f"departments{n}.csv", "".join(f'{n}{i},"{quoted[:9000]}"\n' for i in range(100)))
    landing.upload("departments.csv", "1,Sales\n2,Ops\n")
    landing.upload("hired_employees.csv", "".join(f"{n},Ann,{n:04}-01-01,1,1\n" for n in range(1, 4000)))
    run_backup(landing.database, s3.storage, retention=timedelta(days=30))
    last = landing.loads()
    checked = 0
    for path in walked(app, last):
        for accept in ("application/json", "text/csv"):
            found = api.send("GET", path, headers={"Accept": accept})
            assert found.status in (200, 404, 422), (path, found.body)
            checked += 1
    assert checked > 60


def walked(api: Chalice, loads: int) -> list[str]:
    """Return the paths of all GET routes, with values for their parameters."""
    panels = [f"/dashboard/{name}" for name in ("reports", "reports?from=1&to=9999", "loads", "upload", "backups")]
    paths = [*panels, "/dashboard/health", *(f"/dashboard/load?id={n}" for n in range(1, loads + 1))]
    for route, methods in api.routes.items():
        if "GET" not in methods or route.startswith("/dashboard"):
            continue
        if "{load_id}" in route:
            paths += [route.replace("{load_id}", str(n)) for n in range(1, loads + 1)]
        else:
            paths.append(route.replace("{year}", "2021").replace("{asset}", "docs.js"))
    return [*paths, *(f"/loads/{n}/rejects?all=true&limit=100" for n in range(1, loads + 1)), "/loads?limit=100"]


@pytest.mark.parametrize("character", ['"', WIDE])
def test_a_check_shows_as_many_rejects_as_fit(api: Api, character: str) -> None:
    size = 400_000 // len(character.encode())
    line = '"' + (character * size).replace('"', '""') + '",,,\n'
    body = line * (MAX_BODY // len(line.encode()))
    found = api.send("POST", "/uploads/check?dataset=jobs&limit=100", body.encode(), {"Content-Type": "text/csv"})
    assert found.status == 200
    assert found.body["rejected"] == body.count("\n")
    assert found.body["truncated"] == (len(found.body["rejects"]) < found.body["rejected"])


def test_a_response_that_is_too_large_nevertheless_becomes_an_error_that_says_so() -> None:
    for body in ("x" * (MAX_ANSWER + 1), {"text": "é" * 1_100_000}):
        with pytest.raises(HireflowError, match="larger than 5 MB"):
            sendable(Response(body))
    assert sendable(Response("x" * MAX_ANSWER)).status_code == 200


def test_such_an_error_has_the_correlation_id() -> None:
    probe = Chalice("probe")
    probe.register_middleware(problems.middleware, "http")
    probe.route("/large")(lambda: {"text": WIDE * 1_000_000})
    with Client(probe) as client:
        found = client.http.get("/large", headers={HEADER: "abc-1"})
    assert (found.status_code, found.headers[HEADER]) == (500, "abc-1")
    assert found.json_body["detail"] == TOO_LARGE
    assert found.json_body["correlation_id"] == "abc-1"
