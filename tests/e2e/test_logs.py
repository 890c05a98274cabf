"""Tests the logs of the functions in CloudWatch. The logs have metrics. One correlation id connects a request with the
files of its load."""

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
    """Wait until the log of a function has lines with these fields. Return these lines."""
    return until(lambda: cloud.lines(function, began, **about), f"a line of {function}")


def test_one_correlation_id_connects_a_request_with_the_files_of_its_load(cloud: Cloud, began: float) -> None:
    cloud.upload("departments_traced.csv", "1,Staff\n")
    cloud.upload("jobs_traced.csv", "1,Clerk\n")
    cloud.upload("hired_employees_traced.csv", "1,Ann,2021-07-27,1,1\n2,Bo,2021-07-27,1,1\n")
    cloud.backup()
    cloud.sql("TRUNCATE departments, hired_employees CASCADE")
    mine = f"restore-{uuid4()}"
    accepted = cloud.send("POST", "/hired_employee/backup/restore", headers={HEADER: mine})
    assert (accepted.status, accepted.headers[HEADER]) == (202, mine)
    load = cloud.followed(accepted.body["status_url"])
    assert (load["status"], load["rejected"], load["correlation_id"]) == ("succeeded", 2, mine)
    [listed] = [entry for entry in cloud.get("/loads").body["loads"] if entry["correlation_id"] == mine]
    assert listed == {name: value for name, value in load.items() if name != "reasons"}  # a list has no reasons

    [request] = logged(cloud, "api", began, correlation_id=mine)
    assert (request["method"], request["status"]) == ("POST", 202)
    [line] = logged(cloud, "ingest", began, correlation_id=mine, message="load succeeded")
    [metrics] = logged(cloud, "ingest", began, correlation_id=mine, logger="hireflow.metrics")
    assert line["load_id"] == metrics["load_id"] == load["id"]
    assert line["request_id"] == metrics["request_id"]

    marked = {"load-id": str(load["id"]), "correlation-id": mine}
    assert metadata(cloud, "ERRORED_BUCKET", load["errored_key"]) == marked
    assert metadata(cloud, "LANDING_BUCKET", f"restores/{load['id']}/hired_employees.avro") == marked


def test_a_request_without_a_correlation_id_gets_one(cloud: Cloud, began: float) -> None:
    response = cloud.post("/job/upload/batch", {"data": [{"job": "Clerk"}, {"job": ""}]})
    generated = response.headers[HEADER]
    load = cloud.load(response.body["load_id"])
    assert load["correlation_id"] == generated
    assert metadata(cloud, "ERRORED_BUCKET", load["errored_key"])["correlation-id"] == generated
    [line] = logged(cloud, "api", began, correlation_id=generated)
    assert line["route"] == "/job/upload/batch"


def test_a_file_without_a_request_is_traced_by_its_load_id(cloud: Cloud, began: float) -> None:
    load = cloud.upload("jobs_dropped.csv", "1,Clerk\n2,\n")
    assert load["correlation_id"] is None
    assert metadata(cloud, "ERRORED_BUCKET", load["errored_key"]) == {"load-id": str(load["id"])}
    [line] = logged(cloud, "ingest", began, load_id=load["id"], message="load succeeded")
    [metrics] = logged(cloud, "ingest", began, load_id=load["id"], logger="hireflow.metrics")
    values = emf.of_stage(metrics)
    assert (values["RowsReceived"], values["RowsRejected"], values["LoadsFailed"]) == (2, 1, 0)
    assert line["request_id"] == metrics["request_id"]


def test_backups_and_the_state_of_the_stage_are_measured(cloud: Cloud, began: float, stage: str | None) -> None:
    cloud.post("/job/upload", {"job": "Clerk"})
    point = cloud.backup()
    lines = logged(cloud, "backup", began, restore_point=point, stage=stage or "local")
    assert emf.of_stage(lines[0])["BackupRows"] >= 1
    cloud.commands.invoke("sweep")
    [*_, line] = logged(cloud, "sweep", began, message="metrics of a stage")
    of_outbox = {"OutboxMessages", "OutboxAge"}
    assert {"BackupAge", "BackupLag", "DeadLetters", "OrphansWaiting", *of_outbox} == set(emf.of_stage(line))


def test_no_log_contains_a_value_of_a_row(cloud: Cloud, began: float) -> None:
    secret = f"Zyx{uuid4().hex}"
    load = cloud.upload("jobs_secret.csv", f"1,{secret}\n{secret},Clerk\n")
    response = cloud.post("/job/upload", {"id": secret, "job": secret})
    assert response.status == 422
    logged(cloud, "ingest", began, load_id=load["id"])
    logged(cloud, "api", began, correlation_id=response.headers[HEADER])
    for function in ("api", "ingest"):
        assert secret not in str(cloud.lines(function, began))
