"""Tests the limit of requests a second with moto's API Gateway, and with botocore's model."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from infra.deploy import project, throttle
from infra.deploy.target import Target, bucket_names, queue_names
from infra.sessions import session
from infra.settings.declaration import MACHINE
from infra.venv import ROOT
from tests.integration.s3_fixtures import S3

# AWS documents these paths for UpdateStage (API Gateway, "Patch operations"): `/{resource path}/{method}/throttling/…`,
# where `*/*` stands for all methods. The only operation of each path is `replace`.
DOCUMENTED = {"/*/*/throttling/rateLimit": "replace", "/*/*/throttling/burstLimit": "replace"}


@pytest.fixture
def target(s3: S3, tmp_path: Path) -> Target:
    """Return a target with an API in moto's API Gateway. The fixture `s3` starts moto."""
    names = {**bucket_names("prod"), **queue_names("prod")}
    made = Target("prod", ROOT, tmp_path, names, {"AWS_DEFAULT_REGION": "us-east-1"})
    gateway = made.client("apigateway")
    api = gateway.create_rest_api(name="hireflow")["id"]
    [root] = gateway.get_resources(restApiId=api)["items"]
    where = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE")
    gateway.put_integration(**where, type="MOCK")
    gateway.create_deployment(restApiId=api, stageName="api")
    record = project.record(made)
    record.parent.mkdir(parents=True)
    record.write_text(
        json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_id": api, "name": "rest_api"}]})
    )
    return made


def limits(target: Target) -> tuple[float, int]:
    stage = target.client("apigateway").get_stage(restApiId=project.api_id(target), stageName="api")
    found: Any = stage["methodSettings"]["*/*"]
    return found["throttlingRateLimit"], found["throttlingBurstLimit"]


def test_every_method_of_the_api_is_limited(target: Target) -> None:
    for _ in range(2):
        throttle.limit(target, 50)
        assert limits(target) == (50, 100)
    throttle.limit(target, 10_000)
    assert limits(target) == (10_000, 5000)


@pytest.mark.parametrize("rate", [1, 50, 10_000])
def test_the_request_is_one_of_those_that_aws_documents(rate: int) -> None:
    operations = throttle.operations(rate)
    assert {one["path"]: one["op"] for one in operations} == DOCUMENTED
    client = session(region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b").client("apigateway")
    with Stubber(client) as stub:  # botocore checks the request against its model
        stub.add_response("update_stage", {"stageName": "api"})
        client.update_stage(restApiId="id", stageName="api", patchOperations=operations)


def test_the_default_allows_a_page_of_the_dashboard_at_once() -> None:
    [setting] = [one for one in MACHINE if one.name == "API_RATE_LIMIT"]
    burst = int(throttle.operations(setting.read(""))[1]["value"])
    assert burst >= 2 * 30  # a page of the dashboard with its files needs fewer than 30 requests
