"""Tests that the roles of infra/aws/templates/deployer.yaml allow every request that the code in infra sends.

tests/e2e/test_account.py tests this with the requests of a deployment in which nothing fails. Here are the requests
after failures, and all operations that the code names.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import create_loader

from infra.aws.profiles import PART_OF, STANDARD, TINY, Profile
from infra.errors import CloudError
from infra.venv import ROOT
from tests.aws_recorder import Call, Recorder
from tests.deployer_policies import ACCOUNT, DEPLOY, PLAN, allowed, statements
from tests.fakes.account import SECRET, Failure
from tests.fakes.stages import Stage
from tests.fakes.templates import ACCOUNT as FAKE_ACCOUNT

SERVICES = (
    *("apigateway", "cloudformation", "ec2", "events", "iam", "lambda", "logs", "rds", "s3", "secretsmanager", "sns"),
    *("sqs", "sts"),
)
# Operations that the roles do not need, with the reason.
EXCUSED = {
    "get_caller_identity": "nobody needs a permission for it",
    "put_bucket_encryption": "makes the buckets of a stage on this machine",
    "put_bucket_lifecycle_configuration": "makes the buckets of a stage on this machine",
    "put_public_access_block": "makes the buckets of a stage on this machine",
}
UPDATE = {"storage": {"LandingDays": "60", "ErroredDays": "60"}}


@cache
def operations() -> dict[str, list[str]]:
    """Return the names of boto3's methods, each with the actions that IAM checks in the services that have it."""
    found: dict[str, list[str]] = {}
    for service in SERVICES:
        model: Any = create_loader().load_service_model(service, "service-2")
        for name, operation in model["operations"].items():
            nothing = {"Bucket": "b", "path": "p", "logGroupName": "l", "QueueName": "q", "SecretId": "s"}
            [call] = Recorder().needed(service, operation["http"]["method"], name, nothing)
            found.setdefault(xform_name(name), []).append(call.action)
    return found


def named() -> Iterator[str]:
    """Yield the boto3 methods that the code of deployments names, as attributes or as names of paginators."""
    for folder in ("aws", "deploy"):
        for file in (ROOT / "infra" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
                if isinstance(name, str) and name in operations():
                    yield name


def test_the_role_of_a_deployment_allows_every_operation_that_the_code_names() -> None:
    actions = {action for each in statements(DEPLOY) for action in each.actions}
    refused = {
        name
        for name in named()
        if not any(fnmatchcase(action, ours) for action in operations()[name] for ours in actions)
    }
    assert refused == EXCUSED.keys()


def sent(stage: Stage) -> set[Call]:
    """Return what IAM checks for the requests so far, in the account of the roles."""
    calls = set[Call]()
    for service, operation, given in stage.aws.sent:
        texts = {name: value for name, value in given.items() if isinstance(value, str)}
        change_set = texts.get("ChangeSetName", "")
        if change_set.startswith("arn:"):  # IAM checks the stack of a change set
            texts["StackName"] = change_set.replace(":changeSet/", ":stack/")
        calls |= set(Recorder().needed(service, "POST", operation, texts))
    return {Call(call.action, call.resource.replace(FAKE_ACCOUNT, ACCOUNT)) for call in calls}


def denied(role: str, stage: Stage) -> set[Call]:
    return {call for call in sent(stage) if not allowed(role, call.action, call.resource)}


@pytest.mark.parametrize("profile", [STANDARD, TINY], ids=lambda profile: profile.name)
def test_the_role_of_a_deployment_allows_every_request_after_failures(profile: Profile) -> None:
    stage = Stage(profile)
    stage.deploy()
    stage.aws.failures = [Failure("Errored", "update"), Failure("Landing", "rollback")]
    with pytest.raises(CloudError):
        stage.deploy(UPDATE)  # its rollback fails, too
    for thing in stage.aws.things.values():
        thing.scheduled_for_deletion = thing.kind == SECRET
    stage.deploy(UPDATE)
    stage.in_service = None
    stage.delete_by_hand(PART_OF[profile.database])
    stage.delete_by_hand("storage")
    for thing in stage.aws.things.values():
        thing.scheduled_for_deletion = thing.kind == SECRET
    stage.aws.failures = [Failure("DatabaseSecurityGroup", "delete", times=9)]
    for _ in range(2):
        try:
            stage.destroy()
        except CloudError:
            continue
    stage.deploy()
    assert denied(DEPLOY, stage) == set()


@pytest.mark.parametrize("profile", [STANDARD, TINY], ids=lambda profile: profile.name)
def test_the_role_of_plans_allows_every_request_of_a_plan(profile: Profile) -> None:
    stage = Stage(profile)
    stage.deploy()
    stage.aws.sent.clear()
    assert stage.plan() == []
    assert denied(PLAN, stage) == set()
