"""Tests GET /loads/{load_id}/rejects, which shows why rows were rejected, and the URL of the reject file."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.loads import history
from chalicelib.services import services
from tests.integration.core.test_deadline import busy_jobs, deliver
from tests.integration.http_api import Api
from tests.integration.landing import Landing, Row
from tests.integration.s3_fixtures import ERRORED, S3

FILE = "1,Clerk\n2,\n,Smith\n3,\nx,y\n"
REASONS = [
    {"reason": "job is missing", "code": "missing", "count": 2},
    {"reason": "id is missing", "code": "missing", "count": 1},
    {"reason": "id is not a whole number from 1 to 2147483647", "code": "not_an_id", "count": 1},
]


def shown(api: Api, load_id: int, query: str = "") -> Any:
    response = api.get(f"/loads/{load_id}/rejects{query}")
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    return response.body


def as_stored(rejects: list[Row]) -> list[Row]:
    """Return the rejects without the two members that the API adds to the lines of the reject file."""
    return [{name: value for name, value in r.items() if name not in ("resolved", "waiting")} for r in rejects]


def test_reasons_are_counted_and_the_first_rejects_are_those_of_the_file(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", FILE)
    found = shown(api, load["id"])
    assert {name: found[name] for name in ("load_id", "rejected", "resolved", "truncated")} == {
        "load_id": load["id"],
        "rejected": 4,
        "resolved": 0,
        "truncated": False,
    }
    assert found["reasons"] == REASONS
    assert as_stored(found["rejects"]) == landing.rejects(load)
    assert as_stored(shown(api, load["id"], "?limit=2")["rejects"]) == landing.rejects(load)[:2]
    assert shown(api, load["id"], "?limit=2")["truncated"] is False
    assert api.get(f"/loads/{load['id']}").body["reasons"] == REASONS
    assert "reasons" not in api.get("/loads").body["loads"][0]


def test_the_url_is_signed_for_a_quarter_of_an_hour(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", FILE)
    found = shown(api, load["id"])
    url = urlsplit(found["url"])
    query = parse_qs(url.query)
    assert load["errored_key"] in url.path
    assert (query["X-Amz-Algorithm"], query["X-Amz-Expires"]) == (["AWS4-HMAC-SHA256"], ["900"])
    signed = query["X-Amz-Date"][0]
    assert f"{signed[:4]}-{signed[4:6]}-{signed[6:8]}" <= found["expires_at"][:10]


def test_in_another_region_the_url_has_the_host_of_that_region(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of S3 without a region finds neither new buckets nor the buckets of newer regions."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert ".s3.eu-west-1.amazonaws.com/" in services().storage.errored.presigned_get("x", seconds=5)


def test_with_a_custom_endpoint_the_bucket_is_in_the_path(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    url = services().storage.errored.presigned_get("x", seconds=5)
    assert url.startswith(f"http://localhost:4566/{ERRORED}/x?")


def test_a_load_without_rejects_has_no_file(api: Api, landing: Landing, s3: S3) -> None:
    load = landing.upload("jobs.csv", "1,Clerk\n")
    counts = {"rejected": 0, "resolved": 0, "waiting": 0}
    expected = {"load_id": load["id"], **counts, "reasons": [], "rejects": [], "truncated": False}
    assert shown(api, load["id"]) == {**expected, "next_cursor": None, "url": None, "expires_at": None}


def test_counts_stay_after_the_reject_file_has_expired(api: Api, landing: Landing, s3: S3) -> None:
    load = landing.upload("jobs.csv", FILE)
    s3.client.delete_object(Bucket=ERRORED, Key=load["errored_key"])
    found = shown(api, load["id"])
    assert (found["rejected"], found["reasons"]) == (4, REASONS)
    assert (found["rejects"], found["url"], found["expires_at"], found["truncated"]) == ([], None, None, False)


@pytest.mark.parametrize("load_id", ["1", "0", "x", "9223372036854775808", "%20"])
def test_an_unknown_load_is_a_404(api: Api, load_id: str) -> None:
    assert api.get(f"/loads/{load_id}/rejects").status == 404


def test_the_limit_is_checked(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", FILE)
    assert api.get(f"/loads/{load['id']}/rejects?limit=101").status == 422


def test_records_that_are_too_large_are_only_in_the_file(api: Api, landing: Landing, s3: S3) -> None:
    load = landing.upload("jobs.csv", b"".join(b"x,%d%s\n" % (i, b"y" * 900_000) for i in range(8)))
    found = shown(api, load["id"])
    assert (found["rejected"], len(found["rejects"]), found["truncated"]) == (8, 2, True)
    assert as_stored(found["rejects"]) == landing.rejects(load)[:2]
    assert found["url"]


def test_bytes_that_are_no_text_are_shown_as_in_the_file(api: Api, landing: Landing) -> None:
    load = landing.upload("jobs.csv", b"1,\xe9\n2,\0\n")
    assert as_stored(shown(api, load["id"])["rejects"]) == landing.rejects(load)
    assert "raw_base64" in shown(api, load["id"])["rejects"][0]


def test_rejects_of_requests_are_counted_in_the_same_way(api: Api) -> None:
    rows = [{"id": 0, "job": ""}, {"id": 1, "job": "a"}, {"job": "b", "x": 1}, {"job": "", "y": 1}, 5]
    load_id = api.post("/job/upload/batch", {"data": rows}).body["load_id"]
    found = shown(api, load_id, "?limit=1")
    assert found["reasons"] == [
        {"reason": "a key is not a column", "code": "unknown_column", "count": 2},
        {"reason": "job is missing", "code": "missing", "count": 2},
        {"reason": "id is not a whole number from 1 to 2147483647", "code": "not_an_id", "count": 1},
        {"reason": "the row is not an object", "code": "not_an_object", "count": 1},
    ]
    assert [record["index"] for record in found["rejects"]] == [0]


def test_rows_without_parents_are_counted_by_parent_and_resolved_later(api: Api, landing: Landing) -> None:
    lines = [f"{i},Ann,2021-01-01,{1 + i % 3},{7 + i % 2}" for i in range(1, 7)]
    load = landing.upload("hired_employees.csv", "\n".join(lines))
    reasons = [
        {"reason": f"{name} does not exist", "code": "unknown_parent", "count": 6}
        for name in ("department_id", "job_id")
    ]
    assert shown(api, load["id"])["reasons"] == reasons
    landing.upload("departments.csv", "1,a\n2,b\n3,c\n")
    landing.upload("jobs.csv", "7,a\n8,b\n")
    found = shown(api, load["id"])
    assert (found["rejected"], found["resolved"], found["reasons"]) == (6, 6, reasons)


# --- a load shows the reasons of its last attempt


def reasons(landing: Landing) -> list[Row]:
    return list(landing.scalar("SELECT reasons FROM loads ORDER BY id DESC LIMIT 1"))


def test_a_repeated_attempt_starts_counting_from_zero(landing: Landing, database_url: str) -> None:
    event = landing.put("jobs.csv", FILE)
    with busy_jobs(database_url), pytest.raises(Exception, match="did not finish in time"):
        deliver(landing, event, 1)
    assert (landing.load()["status"], reasons(landing)) == ("queued", [])
    deliver(landing, event, 30)
    assert (landing.load()["status"], reasons(landing)) == ("succeeded", REASONS)


def test_a_retried_merge_counts_its_rejects_once(landing: Landing, database_url: str) -> None:
    """The reject file is stored, but then the commit fails, for example because of a deadlock. The load then merges the
    staged rows again."""
    event = landing.put("jobs.csv", FILE)
    with landing.database.session() as session:
        session.run(
            "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN IF (SELECT last_value FROM met) = 1 THEN PERFORM nextval('met'), nextval('met');"
            " RAISE EXCEPTION USING ERRCODE = '40001'; END IF; RETURN NULL; END$$;"
            "CREATE SEQUENCE met; CREATE TRIGGER meet AFTER INSERT ON jobs EXECUTE FUNCTION meet();"
            "ALTER TABLE jobs ENABLE ALWAYS TRIGGER meet"
        )
    try:
        landing.deliver(event)
        assert landing.scalar("SELECT last_value FROM met") == 2  # two merges, because the first merge failed
    finally:
        with landing.database.session() as session:
            session.run("DROP TRIGGER meet ON jobs; DROP FUNCTION meet; DROP SEQUENCE met")
    load = landing.load()
    assert (load["status"], load["attempts"], load["rejected"]) == ("succeeded", 1, 4)
    assert reasons(landing) == REASONS


def test_a_failed_load_has_no_reasons(landing: Landing) -> None:
    event = landing.put("jobs.csv.gz", FILE)
    bad = landing.s3.client.put_object(Bucket="test-landing", Key="jobs.csv.gz", Body=b"\x1f\x8b1,\n")
    event["Records"][0]["s3"]["object"]["versionId"] = bad["VersionId"]
    landing.deliver(event)
    assert (landing.load()["status"], reasons(landing)) == ("failed", [])


def test_a_skipped_load_has_no_reasons(landing: Landing) -> None:
    older, newer = landing.put("jobs.csv", FILE), landing.put("jobs.csv", "1,New\n")
    landing.deliver(newer)
    landing.deliver(older)
    assert (landing.load()["status"], reasons(landing)) == ("skipped", [])


def test_postgres_accepts_every_kind_of_reason(landing: Landing) -> None:
    body = b'1,"a\0"\n\xff\xfe\n3,x"\n' + "2,\U0001f600\ufffd".encode() + b"\n4," + b"x" * 10_001 + b'\n"1,\n'
    load = landing.upload("jobs.csv", body)
    with landing.database.session() as session:
        found = history.reject_counts(session, load["id"])
    assert found is not None
    assert sum(reason["count"] for reason in found.reasons) >= load["rejected"] == 5
    assert json.dumps(found.reasons).isascii()
