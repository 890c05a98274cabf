"""Tests POST /<dataset>/upload and POST /<dataset>/upload/batch."""

import json
import math
import threading
import time
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.core.errors import LockTimeout
from chalicelib.core.reasons import NOT_A_DATETIME
from chalicelib.core.value_limits import MAX_ID
from chalicelib.ingest import orphans
from chalicelib.ingest.rows import SentRows, upload
from tests.integration.http_api import Api, Response
from tests.integration.landing import GRACE, Landing, Row
from tests.integration.s3_fixtures import S3

ANN = {"id": 1, "name": "Ann", "datetime": "2021-07-27T16:02:08Z", "department_id": 1, "job_id": 1}


def rows(database: Database, sql: str) -> list[list[Any]]:
    with database.session() as session:
        return session.run(sql)


def departments(database: Database) -> list[list[Any]]:
    return rows(database, "SELECT id, department FROM departments ORDER BY id")


def test_a_row_is_inserted_updated_or_unchanged(api: Api, database: Database) -> None:
    path = "/department/upload"
    first = api.post(path, {"id": 7, "department": " Sales "})
    assert (first.status, first.body["id"], first.body["outcome"]) == (201, 7, "inserted")
    same = api.post(path, {"id": "7", "department": "Sales"})
    assert (same.status, same.body["outcome"]) == (200, "unchanged")
    other = api.post(path, {"id": 7, "department": "Ops"})
    assert (other.status, other.body["outcome"]) == (200, "updated")
    assert departments(database) == [[7, "Ops"]]
    assert api.get(f"/loads/{other.body['load_id']}").body["updated"] == 1


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda d: d.name)
def test_a_row_without_an_id_gets_a_new_one(api: Api, dataset: Any) -> None:
    api.post("/department/upload", {"department": "Sales"})
    api.post("/job/upload", {"job": "Clerk"})
    sent = {column.name: column.example for column in dataset.values}
    ids = [api.post(f"/{dataset.route}/upload", body).body["id"] for body in (sent, {**sent, "id": None})]
    assert ids == ([1, 2] if dataset.references else [2, 3])


def test_new_ids_are_larger_than_any_in_use(api: Api, database: Database) -> None:
    def post(row: Row) -> Any:
        return api.post("/department/upload", row).body["id"]

    post({"id": 41, "department": "a"})
    assert post({"department": "b"}) == 42
    assert rows(database, "DELETE FROM departments WHERE id = 42") == []
    assert post({"department": "c"}) == 43, "an id is not given twice"
    batch = {"data": [{"department": "d"}, {"id": 99, "department": "e"}, {"department": "f"}]}
    assert api.post("/department/upload/batch", batch).body["inserted"] == 3
    assert [row[0] for row in departments(database)] == [41, 43, 99, 100, 101]


def test_rows_get_free_ids_after_the_largest_id_was_used(api: Api, database: Database) -> None:
    def post(row: Row) -> Response:
        return api.post("/department/upload", row)

    assert post({"id": MAX_ID, "department": "top"}).status == 201
    assert [post({"department": "x"}).body["id"] for _ in range(2)] == [1, 2]
    batch = {"data": [{"id": 3, "department": "y"}, {"department": "z"}]}
    assert api.post("/department/upload/batch", batch).body["inserted"] == 2
    assert rows(database, "DELETE FROM departments WHERE id > 1000") == []
    assert post({"department": "again"}).body["id"] == 5, "the largest id is free again, so new ids follow the others"


def test_a_row_that_breaks_rules_is_refused_with_all_reasons_and_recorded(api: Api, s3: S3) -> None:
    row = {**ANN, "name": "", "department_id": 5, "job_id": None, "datetime": "soon"}
    response = api.post("/hired_employee/upload", row)
    assert response.status == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.body["errors"] == [
        {"field": "name", "reason": "name is missing", "code": "missing"},
        {"field": "datetime", "reason": f"datetime {NOT_A_DATETIME}", "code": "not_a_datetime"},
        {"field": "job_id", "reason": "job_id is missing", "code": "missing"},
        {"field": "department_id", "reason": "department_id 5 does not exist", "code": "unknown_parent"},
    ]
    load = api.get(f"/loads/{response.body['load_id']}").body
    assert (load["kind"], load["status"], load["rejected"]) == ("api", "succeeded", 1)
    [line] = s3.client.get_object(Bucket="test-errored", Key=load["errored_key"])["Body"].read().splitlines()
    reject = json.loads(line)
    assert (reject["index"], reject["fields"]) == (0, ["name", "datetime", "job_id", "department_id"])
    assert reject["codes"] == [error["code"] for error in response.body["errors"]]
    assert reject["row"] == {**{k: str(v) for k, v in row.items()}, "job_id": None}
    assert json.loads(reject["raw"]) == row
    assert "line" not in reject


def test_a_batch_stores_the_valid_rows(api: Api, database: Database) -> None:
    data: list[Any] = [{"id": n, "department": f"Department {n}"} for n in range(1, 1001)]
    data[10], data[500], data[999] = {"id": "x", "department": "d"}, {"id": 3}, "row"
    response = api.post("/department/upload/batch", {"data": data})
    assert response.status == 200
    assert {k: v for k, v in response.body.items() if k not in ("rejected", "load_id")} == {
        "received": 1000,
        "inserted": 997,
        "updated": 0,
        "unchanged": 0,
        "superseded": 0,
    }
    assert response.body["rejected"] == [
        {
            "index": 10,
            "reasons": ["id is not a whole number from 1 to 2147483647"],
            "fields": ["id"],
            "codes": ["not_an_id"],
            "row": {"id": "x", "department": "d"},
        },
        {
            "index": 500,
            "reasons": ["department is missing"],
            "fields": ["department"],
            "codes": ["missing"],
            "row": {"id": 3},
        },
        {
            "index": 999,
            "reasons": ["the row is not an object"],
            "fields": [],
            "codes": ["not_an_object"],
            "row": "row",
        },
    ]
    assert len(departments(database)) == 997


def test_a_batch_of_too_many_rows_stores_nothing(api: Api, database: Database) -> None:
    response = api.post("/department/upload/batch", {"data": [{"department": "x"}] * 1001})
    assert (response.status, response.body["title"]) == (413, "Too large")
    assert departments(database) == []
    assert api.get("/loads").body["loads"] == []


def test_a_batch_without_a_valid_row_is_refused(api: Api) -> None:
    response = api.post("/job/upload/batch", {"data": [{"id": 1}, {"job": 5}]})
    assert response.status == 422
    assert (response.body["title"], response.body["received"]) == ("Unprocessable content", 2)
    assert [reject["index"] for reject in response.body["rejected"]] == [0, 1]


def test_the_last_row_of_an_id_in_a_batch_is_stored(api: Api, database: Database) -> None:
    data = [{"id": 1, "department": "a"}, {"id": 1, "department": "b"}, {"id": 1, "department": ""}]
    response = api.post("/department/upload/batch", {"data": data}).body
    assert (response["inserted"], response["superseded"], len(response["rejected"])) == (1, 1, 1)
    assert departments(database) == [[1, "b"]]


@pytest.mark.parametrize("body", [[], {}, {"data": []}, {"data": {}}, {"data": None}, {"rows": [1]}, 5, None, "x"])
def test_a_batch_of_another_shape_is_refused(api: Api, body: Any) -> None:
    response = api.post("/department/upload/batch", json.dumps(body).encode())
    assert response.status == 422
    assert api.get("/loads").body["loads"] == []


@pytest.mark.parametrize("body", [[{"department": "x"}], 5, None, "x"])
def test_a_single_row_must_be_an_object(api: Api, body: Any) -> None:
    assert api.post("/department/upload", json.dumps(body).encode()).status == 422


@pytest.mark.parametrize("body", [b"", b"{", b'{"id": NaN}', b"\xff", b"[" * 100_000, b"{'id': 1}"])
@pytest.mark.parametrize("path", ["/department/upload", "/department/upload/batch"])
def test_malformed_json_is_refused(api: Api, path: str, body: bytes) -> None:
    response = api.post(path, body)
    assert (response.status, response.headers["Content-Type"]) == (400, "application/problem+json")


def test_too_large_numbers_affect_no_other_row_and_are_shown_as_json(api: Api, s3: S3) -> None:
    body = b'{"data": [{"id": 1e400, "department": -1e999}, {"id": ' + b"1" * 5000 + b"}, " + b'{"department": "ok"}]}'
    response = api.post("/department/upload/batch", body)
    assert (response.status, response.body["inserted"]) == (200, 1)
    assert [r["fields"] for r in response.body["rejected"]] == [["id", "department"], ["id", "department"]]
    assert math.isfinite(response.body["rejected"][0]["row"]["id"])
    [key] = s3.keys("test-errored")
    assert b"Infinity" not in s3.client.get_object(Bucket="test-errored", Key=key)["Body"].read()


@pytest.mark.parametrize("depth", range(960, 985))
def test_json_of_any_depth_is_either_read_or_refused(api: Api, depth: int) -> None:
    """One of the depths can be parsed as JSON, but cannot be written as JSON."""
    response = api.post("/department/upload", b'{"department": ' + b"[" * depth + b"]" * depth + b"}")
    assert response.status in (400, 422)


def test_the_lock_timeout_covers_all_locks_of_a_request_together(database: Database, database_url: str, s3: S3) -> None:
    with database.session() as session:
        session.run("INSERT INTO departments VALUES (1, 'Sales'); INSERT INTO jobs VALUES (1, 'Clerk')")
    first, second = (Database(database_url, tls="disable") for _ in range(2))
    with second.transaction() as row, first.session() as table:
        row.run("SELECT FROM jobs WHERE id = 1 FOR UPDATE")
        table.run("BEGIN; LOCK TABLE hired_employees IN SHARE ROW EXCLUSIVE MODE")
        release = threading.Timer(0.8, table.run, ("COMMIT",))
        release.start()
        start = time.monotonic()
        with pytest.raises(LockTimeout):
            upload(
                database, s3.storage, SentRows(DATASETS["hired_employees"], [ANN], "api"), grace=GRACE, lock_timeout=1.2
            )
        assert 0.8 < time.monotonic() - start < 1.8
        release.join()
    first.close()
    second.close()


def test_after_the_type_of_a_column_was_changed_the_connection_is_replaced(api: Api, landing: Landing) -> None:
    def send(number: int) -> int:
        return api.post("/job/upload", {"id": 1, "job": f"Clerk {number}"}).status

    assert {send(number) for number in range(6)} == {200, 201}
    try:
        for kind in ("numeric", "bigint"):
            landing.scalar(f"ALTER TABLE loads ALTER COLUMN inserted TYPE {kind}; SELECT 1")
            assert [send(len(kind)), send(7), send(8)][1:] == [200, 200]
    finally:
        landing.scalar("ALTER TABLE loads ALTER COLUMN inserted TYPE bigint; SELECT 1")


def test_resolving_waiting_rows_does_not_delay_a_request(api: Api, landing: Landing, database_url: str) -> None:
    landing.upload("jobs.csv", "1,Clerk\n")
    load = landing.upload("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n")
    other = Database(database_url, tls="disable")
    with other.transaction() as blocker:
        blocker.run("LOCK TABLE hired_employees IN SHARE ROW EXCLUSIVE MODE")
        assert api.post("/department/upload", {"id": 1, "department": "Sales"}).status == 201
    other.close()
    assert landing.load(load["id"])["resolved"] == 0
    with landing.database.session() as session:
        assert orphans.heal_all(session, GRACE) == 1


def test_a_waiting_row_that_cannot_be_stored_does_not_fail_the_request_or_file_of_its_parent(
    api: Api, landing: Landing
) -> None:
    """The parent has been committed. An error would say that nothing was stored, or would make S3 send the event of the
    file again."""
    api.post("/job/upload", {"id": 1, "job": "Clerk"})
    for parent in (1, 2):
        landing.upload(f"hired_employees_{parent}.csv", f"{parent},Ann,2021-07-27,{parent},1\n")
    with landing.database.session() as session:
        session.run("ALTER TABLE hired_employees ADD CONSTRAINT no_ann CHECK (name <> 'Ann')")
        try:
            assert api.post("/department/upload", {"id": 1, "department": "Sales"}).status == 201
            assert landing.upload("departments.csv", "2,Kitchen\n")["status"] == "succeeded"
            landing.upload("hired_employees_3.csv", "3,Bo,2021-07-27,9,1\n")
            session.run("UPDATE orphans SET rejected_at = now() - interval '1 hour' WHERE id = 3")
            with pytest.raises(DatabaseError):
                orphans.heal_all(session, GRACE)
            assert landing.rows("SELECT id FROM orphans ORDER BY id") == [(1,), (2,)]  # the expired one is deleted
        finally:
            session.run("ALTER TABLE hired_employees DROP CONSTRAINT no_ann")
        assert landing.rows("SELECT id FROM departments ORDER BY id") == [(1,), (2,)]
        assert orphans.heal_all(session, GRACE) == 2


@pytest.mark.parametrize("media_type", ["text/csv", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_wrong_content_type_is_refused(api: Api, media_type: str) -> None:
    response = api.post("/department/upload", {"department": "x"}, **{"Content-Type": media_type})
    assert (response.status, response.headers["Content-Type"]) == (415, "application/problem+json")


@pytest.mark.parametrize(
    "path", ["department/upload", "department/upload/batch", "department/backup/restore", "uploads"]
)
def test_a_body_without_a_content_type_is_refused(api: Api, path: str) -> None:
    """A page of another origin can make a browser send a body without a Content-Type, and without a CORS preflight."""
    response = api.send("POST", f"/{path}", b'{"department": "x"}')
    assert response.status == 415
    assert "needs a Content-Type: application/json" in response.body["detail"]


def test_a_page_of_another_origin_changes_nothing(api: Api) -> None:
    before = api.get("/loads").body
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        response = api.post("/department/upload", {"department": "x"}, **headers)
        assert (response.status, response.headers["Content-Type"]) == (403, "application/problem+json")
    assert api.get("/loads").body == before


def test_json_may_name_its_charset(api: Api) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert api.post("/department/upload", {"department": "Café"}, **headers).status == 201


def test_text_that_postgres_cannot_store_is_refused(api: Api, s3: S3) -> None:
    response = api.post(
        "/department/upload/batch", b'{"data": [{"department": "a\\u0000b"}, {"department": "\\ud800"}]}'
    )
    assert response.status == 422
    assert [r["reasons"] for r in response.body["rejected"]] == [
        ["department contains a NUL character"],
        ["department contains half of a surrogate pair"],
    ]
    [key] = s3.keys("test-errored")
    lines = s3.client.get_object(Bucket="test-errored", Key=key)["Body"].read().decode().splitlines()
    assert [json.loads(line)["row"]["department"] for line in lines] == ["a\ufffdb", "\ufffd"]


def test_a_row_that_the_api_refused_is_not_loaded_later(api: Api, database: Database) -> None:
    api.post("/job/upload", {"id": 1, "job": "Clerk"})
    assert api.post("/hired_employee/upload", ANN).status == 422
    api.post("/department/upload", {"id": 1, "department": "Sales"})
    assert rows(database, "SELECT * FROM hired_employees") == []


def test_a_parent_sent_to_the_api_resolves_waiting_rows_of_files(api: Api, landing: Landing) -> None:
    load = landing.upload("hired_employees.csv", "1,Ann,2021-07-27T16:02:08Z,1,1\n2,Bo,2021-07-27T16:02:08Z,1,1\n")
    api.post("/job/upload", {"id": 1, "job": "Clerk"})
    healing_wins = api.post("/hired_employee/upload", {**ANN, "id": 2, "department_id": 1})
    assert healing_wins.status == 422
    api.post("/department/upload", {"id": 1, "department": "Sales"})
    assert landing.rows("SELECT id FROM hired_employees ORDER BY id") == [(1,), (2,)]
    assert landing.load(load["id"])["resolved"] == 2


def test_rows_without_id_and_explicit_ids_at_once(api: Api, database_url: str, s3: S3) -> None:
    """Eight callers send rows without an id at the same time, each over its own connection. Another caller sends rows
    with the ids that would be next."""
    from chalicelib.ingest.rows import SentRows, upload

    given: list[int | None] = []
    failures: list[BaseException] = []

    def call(rows: list[dict[str, Any]]) -> None:
        database = Database(database_url, tls="disable")
        try:
            for start in range(0, len(rows), 5):
                chunk = rows[start : start + 5]
                done = upload(database, s3.storage, SentRows(DATASETS["departments"], chunk, "test"), grace=GRACE)
                assert done.counts.inserted == len(chunk)
                given.extend(done.ids)
        except BaseException as failure:
            failures.append(failure)
        finally:
            database.close()

    nameless = [[{"department": f"{caller}.{n}"} for n in range(40)] for caller in range(8)]
    explicit = [{"id": 10_000 * n, "department": f"explicit {n}"} for n in range(1, 41)]
    threads = [threading.Thread(target=call, args=(rows,)) for rows in [*nameless, explicit]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(given) == len(set(given)) == 9 * 40
