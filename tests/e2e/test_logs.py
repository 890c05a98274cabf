"""What the functions log, read where CloudWatch keeps it: one id from a request to its load's files, and metrics."""

import time
from typing import Any
from uuid import uuid4

import pytest

from tests import emf
from tests.e2e.cloud import Cloud, Row, until

HEADER = "X-Correlation-Id"


@pytest.fixture
def began() -> float:
    return time.time()


def metadata(cloud: Cloud, bucket: str, key: str) -> dict[str, str]:
    return dict(cloud.s3.head_object(Bucket=cloud.env[bucket], Key=key)["Metadata"])


def logged(cloud: Cloud, function: str, began: float, **about: Any) -> list[Row]:
    """Lines come a little after what they tell of."""
    return until(lambda: cloud.lines(function, began, **about), f"a line of {function}")


def test_one_id_leads_from_a_request_to_the_files_of_its_load(cloud: Cloud, began: float) -> None:
    cloud.upload("departments_traced.csv", "1,Staff\n")
    cloud.upload("jobs_traced.csv", "1,Clerk\n")
    cloud.upload("hired_employees_traced.csv", "1,Ann,2021-07-27,1,1\n2,Bo,2021-07-27,1,1\n")
    cloud.backup()
    cloud.sql("TRUNCATE departments, hired_employees")
    mine = f"restore-{uuid4()}"
    ordered = cloud.send("POST", "/hired_employee/backup/restore", headers={HEADER: mine})
    assert (ordered.status, ordered.headers[HEADER]) == (202, mine)
    load = cloud.followed(ordered.body["status_url"])
    assert (load["status"], load["rejected"], load["correlation_id"]) == ("succeeded", 2, mine)
    [listed] = [found for found in cloud.get("/loads").body["loads"] if found["correlation_id"] == mine]
    assert listed == load

    [request] = logged(cloud, "api", began, correlation_id=mine)
    assert (request["method"], request["status"]) == ("POST", 202)
    [told] = logged(cloud, "ingest", began, correlation_id=mine, message="load succeeded")
    [measured] = logged(cloud, "ingest", began, correlation_id=mine, logger="hireflow.metrics")
    assert told["load_id"] == measured["load_id"] == load["id"]
    assert told["request_id"] == measured["request_id"]

    marked = {"load-id": str(load["id"]), "correlation-id": mine}
    assert metadata(cloud, "ERRORED_BUCKET", load["errored_key"]) == marked
    assert metadata(cloud, "LANDING_BUCKET", f"restores/{load['id']}/hired_employees.avro") == marked


def test_rows_of_a_request_are_traced_without_asking_for_it(cloud: Cloud, began: float) -> None:
    response = cloud.post("/job/upload/batch", {"data": [{"job": "Clerk"}, {"job": ""}]})
    given = response.headers[HEADER]
    load = cloud.load(response.body["load_id"])
    assert load["correlation_id"] == given
    assert metadata(cloud, "ERRORED_BUCKET", load["errored_key"])["correlation-id"] == given
    [line] = logged(cloud, "api", began, correlation_id=given)
    assert line["route"] == "/job/upload/batch"


def test_a_file_that_was_dropped_is_traced_by_its_load(cloud: Cloud, began: float) -> None:
    load = cloud.upload("jobs_dropped.csv", "1,Clerk\n,\n")
    assert load["correlation_id"] is None
    assert metadata(cloud, "ERRORED_BUCKET", load["errored_key"]) == {"load-id": str(load["id"])}
    [told] = logged(cloud, "ingest", began, load_id=load["id"], message="load succeeded")
    [measured] = logged(cloud, "ingest", began, load_id=load["id"], logger="hireflow.metrics")
    found = emf.of_stage(measured)
    assert (found["RowsReceived"], found["RowsRejected"], found["LoadsFailed"]) == (2, 1, 0)
    assert told["request_id"] == measured["request_id"]


def test_backups_and_the_state_of_the_stage_are_measured(cloud: Cloud, began: float, stage: str | None) -> None:
    cloud.post("/job/upload", {"job": "Clerk"})
    point = cloud.backup()
    made = logged(cloud, "backup", began, restore_point=point, stage=stage or "local")
    assert emf.of_stage(made[0])["BackupRows"] >= 1
    cloud.commands.invoke("sweep")
    [*_, line] = logged(cloud, "sweep", began, message="metrics of a stage")
    found = emf.of_stage(line)
    assert {"BackupAge", "BackupLag", "DeadLetters", "OrphansWaiting"} == set(found)


def test_no_log_holds_anything_of_a_row(cloud: Cloud, began: float) -> None:
    secret = f"Zyx{uuid4().hex}"
    load = cloud.upload("jobs_secret.csv", f"1,{secret}\n{secret},Clerk\n")
    response = cloud.post("/job/upload", {"id": secret, "job": secret})
    assert response.status == 422
    logged(cloud, "ingest", began, load_id=load["id"])
    logged(cloud, "api", began, correlation_id=response.headers[HEADER])
    for function in ("api", "ingest"):
        assert secret not in str(cloud.lines(function, began))
