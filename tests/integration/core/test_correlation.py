"""Tests that a request, its response, its log lines, its load and the load's objects have the same correlation id."""

import json
from datetime import timedelta

import pytest

from chalicelib.auth import tokens
from chalicelib.backups.run import run_backup
from chalicelib.cloud.object_streams import PART_SIZE
from chalicelib.core.correlation import HEADER
from chalicelib.services import services
from tests.integration.http_api import Api, Response
from tests.integration.landing import Landing
from tests.integration.lines import Lines
from tests.integration.s3_fixtures import BACKUP, ERRORED, LANDING, S3

MINE = "import-2021.07_27"
JSON = {"Content-Type": "application/json"}


def send(api: Api, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    return api.send(method, path, body, {HEADER: MINE, **JSON, **{k.replace("_", "-"): v for k, v in headers.items()}})


def metadata(s3: S3, bucket: str, key: str) -> dict[str, str]:
    return dict(s3.client.head_object(Bucket=bucket, Key=key)["Metadata"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/loads", b"", 200),
        ("GET", "/loads/7", b"", 404),
        ("GET", "/department/hires/top/0", b"", 422),
        ("POST", "/job/upload", b'{"job": "Clerk"}', 201),
        ("POST", "/job/upload", b"{", 400),
        ("POST", "/job/upload", b'{"id": 0}', 422),
        ("POST", "/job/upload/batch", json.dumps({"data": [1] * 1001}).encode(), 413),
        ("POST", "/job/backup/restore", b"", 404),
        ("GET", "/openapi.json", b"", 200),
        ("GET", "/health", b"", 200),
    ],
)
def test_every_response_has_the_correlation_id(
    api: Api, lines: Lines, method: str, path: str, body: bytes, status: int
) -> None:
    response = send(api, method, path, body)
    assert (response.status, response.headers[HEADER]) == (status, MINE)
    [line] = lines.all(message="request")
    assert (line["correlation_id"], line["status"]) == (MINE, status)


def test_a_response_without_a_body_has_the_correlation_id(api: Api) -> None:
    tag = send(api, "GET", "/department/hires/top/2021").headers["ETag"]
    response = send(api, "GET", "/department/hires/top/2021", If_None_Match=tag)
    assert (response.status, response.headers[HEADER]) == (304, MINE)


def test_a_response_of_the_framework_has_the_correlation_id(api: Api) -> None:
    response = api.send("POST", "/job/upload", b"x", {HEADER: MINE, "Content-Type": "text/plain"})
    assert (response.status, response.headers[HEADER]) == (415, MINE)


def test_a_401_response_has_the_correlation_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services.cache_clear()
    response = send(api, "GET", "/loads")
    assert (response.status, response.headers[HEADER]) == (401, MINE)


def test_a_request_without_a_correlation_id_gets_a_new_one(api: Api, lines: Lines) -> None:
    one, other = api.get("/loads").headers[HEADER], api.get("/loads").headers[HEADER]
    assert one != other
    assert [line["correlation_id"] for line in lines.all(message="request")] == [one, other]
    assert api.send("GET", "/loads", headers={HEADER: "not sane"}).headers[HEADER] not in (one, other, "not sane")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_body_of_a_server_error_has_the_correlation_id(
    api: Api, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+pg8000://user:secret@127.0.0.1:1/hireflow")
    services.cache_clear()
    response = send(api, method, "/loads" if method == "GET" else "/job/upload", b'{"job": "x"}')
    assert (response.status, response.headers[HEADER], response.body["correlation_id"]) == (503, MINE, MINE)
    refused = send(api, "GET", "/department/hires/top/0")
    assert "correlation_id" not in refused.body


def test_an_unexpected_error_before_the_view_is_a_problem_with_the_correlation_id(
    api: Api, landing: Landing, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIREFLOW_AUTH", "on")
    services.cache_clear()
    with landing.database.session() as session:
        token = tokens.create(session, "reader")["token"]
        session.run("ALTER TABLE tokens RENAME TO away")
        try:
            response = send(api, "GET", "/loads", Authorization=f"Bearer {token}")
        finally:
            session.run("ALTER TABLE away RENAME TO tokens")
    assert (response.status, response.headers["Content-Type"]) == (500, "application/problem+json")
    assert (response.headers[HEADER], response.body["correlation_id"]) == (MINE, MINE)
    [line] = lines.all(level="ERROR")
    assert line["correlation_id"] == MINE


def test_a_request_passes_its_correlation_id_to_its_load_and_its_reject_file(api: Api, s3: S3, lines: Lines) -> None:
    single = send(api, "POST", "/job/upload", b'{"job": "Clerk"}').body["load_id"]
    batch = send(api, "POST", "/job/upload/batch", b'{"data": [{"job": "Smith"}, {"job": ""}]}').body["load_id"]
    for load_id in (single, batch):
        assert api.get(f"/loads/{load_id}").body["correlation_id"] == MINE
    listed = {load["id"]: load for load in api.get("/loads").body["loads"]}
    assert listed[batch]["correlation_id"] == MINE
    found = metadata(s3, ERRORED, listed[batch]["errored_key"])
    assert found == {"load-id": str(batch), "correlation-id": MINE}


def test_an_announced_upload_passes_its_correlation_id_to_its_load_and_its_reject_file(
    api: Api, landing: Landing, lines: Lines
) -> None:
    order = {"dataset": "jobs", "filename": "new.csv", "size": 100}
    response = send(api, "POST", "/uploads", json.dumps(order).encode())
    load_id = response.body["load_id"]
    assert (response.headers[HEADER], landing.load(load_id)["correlation_id"]) == (MINE, MINE)
    landing.deliver(landing.put(response.body["key"], "1,Clerk\n2,\n"))
    load = landing.load(load_id)
    assert (load["status"], load["rejected"], load["correlation_id"]) == ("succeeded", 1, MINE)
    assert metadata(landing.s3, ERRORED, load["errored_key"]) == {"load-id": str(load_id), "correlation-id": MINE}
    [line] = lines.all(message="load succeeded", load_id=load_id)
    assert line["correlation_id"] == MINE


def test_a_restore_passes_its_correlation_id_to_its_load_and_its_reject_file(
    api: Api, landing: Landing, lines: Lines
) -> None:
    landing.upload("departments.csv", "1,Staff\n")
    landing.upload("jobs.csv", "1,Clerk\n")
    landing.upload("hired_employees.csv", "1,Ann,2021-07-27,1,1\n2,Bo,2021-07-27,1,1\n")
    run_backup(landing.database, landing.s3.storage, retention=timedelta(days=30))
    with landing.database.session() as session:
        session.run("TRUNCATE departments, hired_employees CASCADE")
    load_id = send(api, "POST", "/hired_employee/backup/restore").body["load_id"]
    key = f"restores/{load_id}/hired_employees.avro"
    assert metadata(landing.s3, LANDING, key) == {"load-id": str(load_id), "correlation-id": MINE}
    head = landing.s3.client.head_object(Bucket=LANDING, Key=key)
    assert head["ContentType"] == "application/avro"
    item = {"key": key, "versionId": head["VersionId"], "eTag": head["ETag"], "sequencer": "0A"}
    landing.deliver({"Records": [{"s3": {"bucket": {"name": LANDING}, "object": item}}]})
    load = api.get(f"/loads/{load_id}").body
    assert (load["status"], load["rejected"], load["correlation_id"]) == ("succeeded", 2, MINE)
    assert metadata(landing.s3, ERRORED, load["errored_key"]) == {"load-id": str(load_id), "correlation-id": MINE}
    [line] = lines.all(message="load succeeded", load_id=load_id)
    assert line["correlation_id"] == MINE


def test_a_large_copy_keeps_its_metadata(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 copies an object of 8 MiB or more in parts. S3 does not copy the metadata of such an object by itself."""
    storage = landing.s3.storage
    landing.s3.client.put_object(Bucket=BACKUP, Key="backups/large", Body=b"x" * (9 * 1024 * 1024))
    storage.landing.copy_from(storage.backup, "backups/large", "restores/7/large", "application/avro", {"load-id": "7"})
    assert ("CreateMultipartUpload", "restores/7/large") in landing.s3.calls
    head = landing.s3.client.head_object(Bucket=LANDING, Key="restores/7/large")
    assert (head["Metadata"], head["ContentType"]) == ({"load-id": "7"}, "application/avro")


def test_a_reject_file_of_several_parts_has_its_metadata(landing: Landing) -> None:
    writer = landing.s3.storage.errored.writer("jobs/x", "text/plain", {"load-id": "7"})
    writer.write(b"x" * (PART_SIZE + 1))
    writer.complete()
    assert ("CreateMultipartUpload", "jobs/x") in landing.s3.calls
    assert metadata(landing.s3, ERRORED, "jobs/x") == {"load-id": "7"}


def test_a_file_that_no_request_announced_has_no_correlation_id(landing: Landing, lines: Lines) -> None:
    load = landing.upload("jobs.csv", "1,Clerk\n2,\n")
    assert load["correlation_id"] is None
    assert metadata(landing.s3, ERRORED, load["errored_key"]) == {"load-id": str(load["id"])}
    [line] = lines.all(message="load succeeded", load_id=load["id"])
    assert "correlation_id" not in line


def test_every_attempt_of_a_load_logs_the_correlation_id(api: Api, landing: Landing, lines: Lines) -> None:
    landing.upload("jobs.csv", "1,Clerk\n")
    run_backup(landing.database, landing.s3.storage, retention=timedelta(days=30))
    load_id = send(api, "POST", "/job/backup/restore").body["load_id"]
    key = f"restores/{load_id}/jobs.avro"
    item = {"key": key, "versionId": landing.s3.client.head_object(Bucket=LANDING, Key=key)["VersionId"]}
    landing.give_up({"Records": [{"s3": {"bucket": {"name": LANDING}, "object": item}}]})
    attempts = [line for line in lines.all(load_id=load_id) if line["message"].startswith("attempt")]
    assert [line["correlation_id"] for line in attempts] == [MINE] * 3
