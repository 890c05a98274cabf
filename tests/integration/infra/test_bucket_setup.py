"""Tests how a deployment sets up the buckets of a stage on AWS, where every endpoint has TLS. tests/e2e/test_stage.py
tests the same without TLS."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.deploy import driver
from infra.deploy.buckets import admit_forms, make_buckets, origins_of_forms, tls_only
from infra.deploy.target import Target, bucket_names
from tests.integration.s3_fixtures import S3


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_requests_without_tls_are_denied(s3: S3, tmp_path: Path, region: str) -> None:
    target = Target("prod", tmp_path, tmp_path, bucket_names("prod"), {"AWS_DEFAULT_REGION": region})
    for _ in range(2):
        make_buckets(target)
    for bucket in target.buckets:
        policy = json.loads(target.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
        assert policy == tls_only(bucket)
        [statement] = policy["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_browsers_may_send_files_only_from_the_origins_of_the_api(s3: S3, tmp_path: Path) -> None:
    target = Target("prod", tmp_path, tmp_path, bucket_names("prod"), {"AWS_DEFAULT_REGION": "us-east-1"})
    make_buckets(target)
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        origins_of_forms(target)
    for origins in (
        ["http://127.0.0.1:4566", "http://localhost:4566"],
        ["https://abc.execute-api.us-east-1.amazonaws.com"],
    ):
        for _ in range(2):
            admit_forms(target, origins)
        assert origins_of_forms(target) == origins
    [rule] = target.client("s3").get_bucket_cors(Bucket=target.landing)["CORSRules"]
    assert rule["AllowedMethods"] == ["POST"]
    for bucket in target.buckets[1:]:
        with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
            target.client("s3").get_bucket_cors(Bucket=bucket)


def test_pages_of_the_domain_of_the_stage_may_send_files(s3: S3, tmp_path: Path) -> None:
    names = {**bucket_names("prod"), "API_ORIGINS": "https://jobs.example, https://hr.example:8443"}
    target = Target("prod", tmp_path, tmp_path, names, {"AWS_DEFAULT_REGION": "us-east-1"})
    deployed = target.project / ".chalice" / "deployed" / "prod.json"
    deployed.parent.mkdir(parents=True)
    deployed.write_text(json.dumps({"resources": [{"resource_type": "rest_api", "rest_api_id": "abc"}]}))
    make_buckets(target)
    driver.admit_pages(target)
    api = "https://abc.execute-api.us-east-1.amazonaws.com"
    assert (
        origins_of_forms(target) == driver.origins(target) == [api, "https://jobs.example", "https://hr.example:8443"]
    )
    fewer = replace(target, functions=bucket_names("prod"))
    assert origins_of_forms(fewer) != driver.origins(fewer)  # `make up` detects this difference
