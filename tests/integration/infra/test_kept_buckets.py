"""Tests that a stage keeps its settings and its lock although somebody has deleted the stack of its buckets."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.aws import stacks
from infra.deploy import kept_buckets, memory
from infra.deploy.account import Account
from infra.deploy.deployer_lock import KEY
from infra.local.state import State
from infra.venv import ROOT
from tests.templates import parsed

ACCOUNT, REGION = "123456789012", "eu-central-1"
BACKUP = f"hireflow-prod-backup-{ACCOUNT}-{REGION}"
URL = "postgresql+pg8000://boss:s3cret@db.example:5432/hireflow"


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """A stage with its own Postgres, whose stacks are gone."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        known: Any = stacks
        yield Account("prod", ROOT, State(tmp_path), known, print, {})


@pytest.fixture
def s3(account: Account) -> Any:
    client: Any = boto3.client("s3")
    client.create_bucket(Bucket=BACKUP, CreateBucketConfiguration={"LocationConstraint": REGION})
    document = {"settings": {"LOG_LEVEL": "DEBUG"}, "own_database": True, "authorities": ""}
    client.put_object(Bucket=BACKUP, Key=memory.KEY, Body=json.dumps(document).encode())
    boto3.client("secretsmanager").create_secret(Name="hireflow-prod-database-owner", SecretString=URL)
    return client


def test_the_settings_are_found_without_the_stack_of_the_buckets(account: Account, s3: Any) -> None:
    chosen = account.settings()
    assert chosen.text("DATABASE_URL") == URL  # otherwise, a deployment would make an Aurora
    assert chosen.text("LOG_LEVEL") == "DEBUG"


def test_the_lock_is_found_without_the_stack_of_the_buckets(account: Account, s3: Any) -> None:
    lock = {"caller": "arn", "machine": "m", "checkout": "c", "command": "deploy", "since": "2026-01-01T00:00:00+00:00"}
    s3.put_object(Bucket=BACKUP, Key=KEY, Body=json.dumps(lock).encode())
    assert "deleted the lock" in replace(account, env={"YES": "prod"}).unlock()


def test_a_stage_that_never_existed_has_no_buckets(account: Account) -> None:
    assert kept_buckets.outputs(boto3.client("s3"), "prod", ACCOUNT) == {}
    assert not account.settings().given("DATABASE_URL")


def test_a_bucket_of_another_account_does_not_count(account: Account, s3: Any) -> None:
    asked: list[dict[str, Any]] = []
    s3.meta.events.register("before-parameter-build.s3.HeadBucket", lambda params, **_: asked.append(dict(params)))
    kept_buckets.outputs(s3, "prod", ACCOUNT)
    assert asked == [{"Bucket": BACKUP, "ExpectedBucketOwner": ACCOUNT}]


def test_the_buckets_have_the_names_in_the_template(account: Account, s3: Any) -> None:
    template = parsed("storage")
    made = {
        name: template["Resources"][output["Value"]["Ref"]]["Properties"]["BucketName"]["Fn::Sub"]
        for name, output in template["Outputs"].items()
    }
    known = {"${Stage}": "prod", "${AWS::AccountId}": ACCOUNT, "${AWS::Region}": REGION}
    for variable, value in known.items():
        made = {name: text.replace(variable, value) for name, text in made.items()}
    assert kept_buckets.outputs(s3, "prod", ACCOUNT) == made
