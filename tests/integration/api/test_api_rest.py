"""Tests the routes for reports, the history of loads, restore requests and health, and the format of errors."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from app import app
from chalicelib.core.datasets import DATASETS
from chalicelib.services import services
from infra.local.provision import connect
from tests.integration.http_api import Api
from tests.integration.landing import Landing
from tests.integration.s3_fixtures import S3

RESTORES = [name for dataset in DATASETS.values() for name in (dataset.route, dataset.name)]
STATIC = ("/", "/dashboard/{panel}", "/openapi.json", "/docs", "/docs/{asset}")


def test_the_routes_of_the_contract() -> None:
    datasets = [d.route for d in DATASETS.values()]
    expected = {("POST", f"/{d}/upload{batch}") for d in datasets for batch in ("", "/batch")}
    expected.add(("POST", "/uploads"))
    expected |= {("POST", f"/{name}/backup/restore") for name in RESTORES}
    expected |= {
        ("GET", f"/department/hires/{report}{year}") for report in ("quarterly", "top") for year in ("", "/{year}")
    }
    expected |= {("GET", "/department/hires/years"), ("HEAD", "/health")}
    expected |= {("GET", f"/{d}/template.{ending}") for d in datasets for ending in ("csv", "xlsx")}
    expected |= {("GET", path) for path in ("/loads", "/loads/{load_id}", "/backups", "/health", *STATIC)}
    expected |= {("POST", "/uploads/check"), ("DELETE", "/uploads/{load_id}"), ("GET", "/loads/{load_id}/rejects")}
    assert {(method, path) for path, methods in app.routes.items() for method in methods} == expected


def test_everything_works_on_an_empty_database(api: Api) -> None:
    assert api.get("/department/hires/quarterly/2021").body == []
    assert api.get("/department/hires/top/2021").body == []
    assert api.get("/loads").body == {"loads": [], "next_cursor": None}
    assert api.get("/backups").body == {"backups": [], "next_cursor": None}
    health = api.get("/health")
    assert (health.status, health.body["status"], health.body["last_backup"]) == (200, "ok", None)


def test_the_reports_show_the_hires(api: Api, landing: Landing) -> None:
    landing.upload("departments.csv", "1,Sales\n2,Ops\n3,IT\n")
    landing.upload("jobs.csv", "1,Clerk\n2,smith\n")
    hires = ["2021-01-01T00:00:00Z,1,1", "2020-12-31T23:30:00-01:00,1,1", "2021-12-31T23:59:59Z,1,2", "2021-05-05,2,1"]
    landing.upload("hired_employees.csv", "".join(f"{n},Ann,{hire}\n" for n, hire in enumerate(hires, 1)))
    assert api.get("/department/hires/quarterly/2021").body == [
        {"department": "Ops", "job": "Clerk", "q1": 0, "q2": 1, "q3": 0, "q4": 0},
        {"department": "Sales", "job": "Clerk", "q1": 2, "q2": 0, "q3": 0, "q4": 0},
        {"department": "Sales", "job": "smith", "q1": 0, "q2": 0, "q3": 0, "q4": 1},
    ]
    narrowed = api.send("GET", "/department/hires/quarterly/2021?department_id=2")
    assert [row["department"] for row in narrowed.body] == ["Ops"]
    assert api.get("/department/hires/top/2021").body == [{"id": 1, "department": "Sales", "hired": 3}]
    assert api.get("/department/hires/top/2020").body == []


@pytest.mark.parametrize("year", ["0", "10000", "abc", "-1", "2021.5", "+2021", "%20"])
@pytest.mark.parametrize("report", ["quarterly", "top"])
def test_a_year_is_from_1_to_9999(api: Api, report: str, year: str) -> None:
    response = api.get(f"/department/hires/{report}/{year}")
    assert (response.status, response.body["detail"]) == (422, "year must be a whole number from 1 to 9999")


@pytest.mark.parametrize("value", ["", "x", "0", "1.5", "99999999999"])
def test_a_malformed_department_id_is_refused(api: Api, value: str) -> None:
    assert api.get(f"/department/hires/quarterly/2021?department_id={value}").status == 422


def test_a_report_over_5_mb_says_how_to_narrow_it(api: Api, landing: Landing) -> None:
    with landing.database.session() as session:
        session.run(
            "INSERT INTO departments SELECT g, repeat('d', 9000) || g FROM generate_series(1, 30) g;"
            "INSERT INTO jobs SELECT g, 'j' || g FROM generate_series(1, 30) g;"
            "INSERT INTO hired_employees"
            " SELECT g, 'x', '2021-01-01', 1 + g % 30, 1 + g / 30 FROM generate_series(1, 899) g"
        )
    response = api.get("/department/hires/quarterly/2021")
    assert response.status == 422
    assert "department_id" in response.body["detail"]
    assert len(api.get("/department/hires/quarterly/2021?department_id=2").body) == 30


def test_the_history_of_loads_is_paged_and_filtered(api: Api) -> None:
    for n in range(5):
        api.post("/job/upload" if n % 2 else "/department/upload", {"job" if n % 2 else "department": f"x{n}"})
    first = api.get("/loads?limit=2").body
    second = api.get(f"/loads?limit=2&cursor={first['next_cursor']}").body
    third = api.get(f"/loads?limit=2&cursor={second['next_cursor']}").body
    ids = [load["id"] for page in (first, second, third) for load in page["loads"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
    assert third["next_cursor"] is None
    jobs = api.get("/loads?dataset=jobs&status=succeeded").body["loads"]
    assert [load["dataset"] for load in jobs] == ["jobs", "jobs"]
    assert api.get("/loads?status=failed").body["loads"] == []


def test_loads_are_found_by_a_part_of_their_source_and_by_their_rejects(api: Api) -> None:
    for path, body in (
        ("/job/upload", {"job": "Clerk"}),
        ("/department/upload", {"department": "Sales"}),
        ("/job/upload/batch", {"data": [{"job": "Smith"}, {"job": ""}]}),
    ):
        api.post(path, body)

    def found(query: str) -> list[int]:
        ids = [load["id"] for load in api.get(f"/loads?{query}").body["loads"]]
        shown = re.findall(r'data-load="(\d+)"', api.get(f"/dashboard/loads?{query}").body)
        assert shown == [str(load_id) for load_id in ids]
        return ids

    assert found("source=JOB/upload") == [3, 1]
    assert found("source=job%2Fupload&with_rejects=true") == [3]
    assert found("with_rejects=false") == [2, 1]
    assert found("source=%25") == found("source=_") == []  # these are no patterns
    assert found("source=%00") == found("source=") == [3, 2, 1]
    assert api.get("/loads?with_rejects=yes").status == 422


def test_a_load_shows_what_the_contract_names(api: Api) -> None:
    load = api.get(f"/loads/{api.post('/job/upload', {'job': 'Clerk'}).body['load_id']}").body
    counts = {"received", "inserted", "updated", "unchanged", "superseded", "rejected", "resolved", "attempts"}
    named = {"id", "dataset", "source", "kind", "status", "errored_key", "started_at", "finished_at", "error"} | counts
    assert named <= set(load)
    assert load["started_at"].endswith("Z")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "status=done", "dataset=people", "cursor=x"])
def test_malformed_filters_are_refused(api: Api, query: str) -> None:
    assert api.get(f"/loads?{query}").status == 422


@pytest.mark.parametrize("load_id", ["1", "0", "x", "-1", "9" * 30])
def test_an_unknown_load_is_a_404(api: Api, load_id: str) -> None:
    assert api.get(f"/loads/{load_id}").status == 404


@pytest.mark.parametrize("name", RESTORES)
@pytest.mark.parametrize("body", [None, {}, {"restore_point": "20210727T160208.123456Z"}, {"restore_point": "x"}])
def test_an_unknown_restore_point_is_a_404(api: Api, name: str, body: Any) -> None:
    response = api.post(f"/{name}/backup/restore", body)
    assert (response.status, response.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_restore_needs_neither_a_body_nor_a_content_type(api: Api) -> None:
    assert api.send("POST", "/job/backup/restore").status == 404
    assert api.send("POST", "/job/backup/restore", headers={"Content-Type": "text/plain"}).status == 404
    assert api.send("POST", "/job/backup/restore", b"{}", {"Content-Type": "text/plain"}).status == 415


@pytest.mark.parametrize("body", [[], "x", {"restorepoint": "20210727T160208.123456Z"}])
def test_a_misspelt_restore_does_not_restore_the_newest_backup(api: Api, body: Any) -> None:
    assert api.post("/job/backup/restore", body).status == 422


def test_an_unknown_method_is_refused(api: Api) -> None:
    response = api.send("DELETE", "/health")
    assert response.status in (403, 405)


def test_requests_get_503_while_the_database_is_unavailable(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+pg8000://user:secret@127.0.0.1:1/hireflow")
    services.cache_clear()
    calls = [("GET", "/loads"), ("GET", "/department/hires/top/2021"), ("POST", "/job/upload")]
    for method, path in calls:
        response = api.post(path, {"job": "x"}) if method == "POST" else api.get(path)
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "secret" not in json.dumps(response.body)
    assert api.get("/health").body["database"] == "unavailable"
    assert api.get("/health").status == 503


def test_a_server_that_became_a_standby_counts_as_unavailable(api: Api, database_url: str) -> None:
    """After a failover the old connection still works, but its server accepts no writes."""
    api.get("/loads")
    owner = urlsplit(database_url).username
    with connect(database_url) as admin:
        admin.run(f"ALTER ROLE {owner} SET default_transaction_read_only = on")
        admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hireflow%'")
        try:
            response = api.post("/job/upload", {"job": "Clerk"})
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        finally:
            admin.run("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
            admin.run(f"ALTER ROLE {owner} RESET default_transaction_read_only")
    assert api.post("/job/upload", {"job": "Clerk"}).status == 201  # the API has opened a new connection


def test_requests_get_503_while_a_bucket_is_unavailable(api: Api, s3: S3) -> None:
    s3.client.delete_bucket(Bucket="test-errored")
    health = api.get("/health")
    assert (health.status, health.body["errored_bucket"], health.body["database"]) == (503, "unavailable", "ok")
    response = api.post("/job/upload", {"job": ""})
    assert (response.status, response.headers.get("Retry-After")) == (503, "5")
    assert api.get("/loads").body["loads"] == [], "if a reject cannot be stored, nothing of its load is recorded"


def test_an_unforeseen_error_reveals_nothing(api: Api, landing: Landing) -> None:
    with landing.database.session() as session:
        session.run("ALTER TABLE quarterly_hires RENAME TO away")
    try:
        response = api.get("/department/hires/top/2021")
    finally:
        with landing.database.session() as session:
            session.run("ALTER TABLE away RENAME TO quarterly_hires")
    assert response.status == 500
    assert "quarterly" not in json.dumps(response.body)
    assert response.headers["Content-Type"] == "application/problem+json"
