"""Tests what users can check: a file before its upload, the rejects of a load, and restore points."""

import gzip
import json
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.e2e.cloud import COUNTS, PATIENCE, Cloud, counts, until

FILE = b'1,Clerk\n2,\n3,"Smith, senior"\n1,Judge\n4,caf\xe9\n5\n'


@pytest.mark.parametrize("media_type", ["text/csv", "application/gzip", "application/octet-stream"])
def test_a_check_predicts_the_counts_and_the_rejects_of_a_load(cloud: Cloud, media_type: str) -> None:
    cloud.post("/job/upload", {"id": 3, "job": "Smith"})
    before = (cloud.table("jobs"), cloud.newest_load())
    body = FILE if media_type == "text/csv" else gzip.compress(FILE)
    response = cloud.send("POST", "/uploads/check?dataset=jobs&limit=2", body, {"Content-Type": media_type})
    assert response.status == 200
    assert (cloud.table("jobs"), cloud.newest_load()) == before
    load = cloud.upload("checked/jobs.csv", FILE)
    assert counts(load) == (6, 1, 1, 0, 1, 3) == tuple(response.body[name] for name in COUNTS)
    rejects = cloud.get(f"/loads/{load['id']}/rejects").body
    assert rejects["reasons"] == response.body["reasons"]
    assert {reason["reason"] for reason in rejects["reasons"]} == {
        "job is missing",
        "job is not valid UTF-8",
        "expected 2 fields, found fewer",
    }
    shown = [{name: record[name] for name in response.body["rejects"][0]} for record in rejects["rejects"]]
    assert shown[:2] == response.body["rejects"]


def test_a_check_refuses_a_body_that_is_too_large_or_cannot_be_read(cloud: Cloud) -> None:
    def check(body: bytes, media_type: str) -> int:
        return cloud.send("POST", "/uploads/check?dataset=jobs", body, {"Content-Type": media_type}).status

    assert check(b"1,Clerk\n" * 600_000, "text/csv") == 413
    assert check(gzip.compress(b"1,Clerk\n" * 600_000), "application/gzip") == 200
    assert check(b"1,Clerk\n", "application/gzip") == 200  # the content decides
    assert check(b"%PDF-1.7\n", "text/csv") == 422
    assert check(b"1,Clerk\n", "application/json") == 415


def test_anybody_with_the_url_gets_all_rejects(cloud: Cloud, stage: str | None) -> None:
    load = cloud.upload("many/jobs.csv", "".join(f"{i},\n" for i in range(1, 101)))
    rejects = cloud.get(f"/loads/{load['id']}/rejects?limit=3").body
    assert (rejects["rejected"], rejects["reasons"]) == (
        100,
        [{"reason": "job is missing", "code": "missing", "count": 100}],
    )
    with urlopen(rejects["url"], timeout=PATIENCE) as response:  # the request has no credentials: the URL is enough
        lines = response.read().splitlines()
    assert [json.loads(line) for line in lines] == cloud.rejects(load)
    state = {"resolved": False, "waiting": False}
    assert rejects["rejects"] == [json.loads(line) | state for line in lines[:3]]
    if stage is None:  # not every emulator validates the signature of the URL
        with pytest.raises(HTTPError) as refused:
            urlopen(rejects["url"].replace("X-Amz-Expires=900", "X-Amz-Expires=901"), timeout=PATIENCE)
        with refused.value as response:
            assert response.code == 403


def test_the_list_of_restore_points_shows_a_verification(cloud: Cloud) -> None:
    cloud.post("/job/upload", {"job": "Verified"})
    point = cloud.backup()
    report = cloud.commands.invoke_scheduled("verify", {"restore_point": point})
    assert (report["restore_point"], report["faults"]) == (point, [])

    def listed() -> str | None:
        backups = cloud.get("/backups?limit=100").body["backups"]
        return next(str(b["verified_at"]) for b in backups if b["restore_point"] == point)

    assert until(listed, "the time of the verification in the list").endswith("Z")
    # The event of the schedule names no restore point, and this event names none either. So the function verifies the
    # newest restore point.
    assert cloud.commands.invoke("verify")["faults"] == []
