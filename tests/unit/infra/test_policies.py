"""Tests the IAM policies of the functions. Each policy allows only what its function needs, and only in its stage."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from app import app
from infra.aws.stacks import TEMPLATES
from infra.deploy.buckets import tls_only
from infra.deploy.policies import PolicyContext, policies
from infra.deploy.target import Target, Vpc, bucket_names, queue_names
from infra.errors import CloudError
from infra.local.commands import STAGES
from infra.local.gate.app import FOR_FUNCTIONS
from infra.venv import ROOT

CONFIG: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text())
FOLDER = ROOT / ".chalice"
_APP: Any = app
FUNCTIONS = ["api_handler", *(found.name for found in [*_APP.pure_lambda_functions, *_APP.event_sources])]
Policy = dict[str, Any]


def made(stage: str) -> dict[str, Policy]:
    return policies(FOLDER, stage, CONFIG["lambda_functions"], {**bucket_names(stage), **queue_names(stage)})


def resources(policy: Policy) -> list[str]:
    return [resource for statement in policy["Statement"] for resource in statement["Resource"]]


def may(function: str, action: str, resource: str, stage: str = "local") -> bool:
    return any(
        fnmatchcase(action, allowed) and fnmatchcase(resource, where)
        for statement in made(stage)[function]["Statement"]
        for allowed in statement["Action"]
        for where in statement["Resource"]
    )


def who_may(action: str, resource: str) -> set[str]:
    return {function for function in FUNCTIONS if may(function, action, resource)}


def test_every_function_has_its_own_policy() -> None:
    assert set(FUNCTIONS) == set(CONFIG["lambda_functions"])
    for function, settings in CONFIG["lambda_functions"].items():
        assert settings["iam_policy_file"] == f"policy-{function}.json"
    assert {path.name for path in FOLDER.glob("policy-*.json")} == {
        f"policy-{name}.json" for name in [*FUNCTIONS, "every-function", "login", "tracing", "vpc"]
    }
    assert set(STAGES) <= set(CONFIG["stages"])
    assert CONFIG["autogen_policy"] is False


@pytest.mark.parametrize("stage", STAGES)
def test_a_policy_allows_nothing_outside_its_stage(stage: str) -> None:
    buckets = {f"arn:aws:s3:::{name}" for name in bucket_names(stage).values()}
    for policy in made(stage).values():
        for resource in resources(policy):
            name = resource.split(":", 5)[5].removeprefix("log-group:/aws/lambda/").removeprefix("function:")
            name = name.removeprefix("secret:")
            if name == "event-bus/default":  # all stages of an account share this bus; events name their stage
                continue
            assert resource.partition("/")[0] in buckets or name.split(":")[0].startswith(f"hireflow-{stage}")
            assert "*" not in name.split(":")[0].split("/")[0]


def test_in_a_vpc_a_function_may_log_in_only_as_its_own_role() -> None:
    vpc = Vpc(("subnet-1",), ("sg-1",), "prx-1", "owner", "app")
    names = {**bucket_names("prod"), **queue_names("prod")}
    inside = policies(FOLDER, "prod", FUNCTIONS, names, PolicyContext(vpc))
    outside = policies(FOLDER, "prod", FUNCTIONS, names)
    for function in FUNCTIONS:
        more = [s for s in inside[function]["Statement"] if s not in outside[function]["Statement"]]
        assert len(inside[function]["Statement"]) == len(outside[function]["Statement"]) + len(more)
        login = [s["Resource"] for s in more if s["Action"] == ["rds-db:connect"]]
        assert login == [[f"arn:aws:rds-db:*:*:dbuser:prx-1/{'owner' if function == 'migrate' else 'app'}"]]
        assert {a for s in more for a in s["Action"] if a.startswith("ec2:")} >= {
            f"ec2:{verb}NetworkInterface{s}" for verb, s in (("Create", ""), ("Delete", ""), ("Describe", "s"))
        }


def test_a_function_outside_of_the_vpc_has_no_rights_of_the_vpc() -> None:
    vpc = Vpc(("subnet-1",), ("sg-1",), "prx-1", "owner", "app")
    names = {**bucket_names("prod"), **queue_names("prod")}
    mixed, none = (
        policies(FOLDER, "prod", FUNCTIONS, names, PolicyContext(vpc, {"relay"})),
        policies(FOLDER, "prod", FUNCTIONS, names),
    )
    assert [function for function in FUNCTIONS if mixed[function] == none[function]] == ["relay"]


def test_without_a_proxy_the_migration_may_not_log_in_with_a_token() -> None:
    """The owner of the schema logs in with the password that the deployer passes to the migration."""
    vpc = Vpc(("subnet-1",), ("sg-1",), "cluster-1", "", "app")
    for function, policy in policies(
        FOLDER, "prod", FUNCTIONS, {**bucket_names("prod"), **queue_names("prod")}, PolicyContext(vpc)
    ).items():
        login = [s["Resource"] for s in policy["Statement"] if s["Action"] == ["rds-db:connect"]]
        assert login == ([] if function == "migrate" else [["arn:aws:rds-db:*:*:dbuser:cluster-1/app"]])


def test_policies_name_the_partition_of_the_stage() -> None:
    names = {**bucket_names("prod"), **queue_names("prod")}
    vpc = Vpc(("subnet-1",), ("sg-1",), "prx-1", "owner", "app")
    for policy in policies(FOLDER, "prod", FUNCTIONS, names, PolicyContext(vpc, partition="aws-us-gov")).values():
        arns = [resource for resource in resources(policy) if resource != "*"]
        assert {arn.split(":")[1] for arn in arns} == {"aws-us-gov"}
    target = Target("prod", ROOT, ROOT, {}, {"AWS_DEFAULT_REGION": "us-gov-west-1"})
    assert target.partition == "aws-us-gov"
    assert tls_only("b", target.partition)["Statement"][0]["Resource"] == [
        "arn:aws-us-gov:s3:::b",
        "arn:aws-us-gov:s3:::b/*",
    ]


def test_no_template_names_a_partition() -> None:
    assert [path.name for path in TEMPLATES.rglob("*.yaml") if "arn:aws" in path.read_text()] == []


def test_a_stage_has_no_access_to_a_stage_whose_name_begins_with_its_name() -> None:
    assert not may("ingest", "logs:PutLogEvents", "arn:aws:logs:r:1:log-group:/aws/lambda/hireflow-localstack-ingest")
    assert not may("tokens", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:r:1:secret:hireflow-localstack-x")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_policy_has_no_wildcard_actions(function: str) -> None:
    statements = made("local")[function]["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    assert not [action for statement in statements for action in statement["Action"] if "*" in action]


LANDING, ERRORED, BACKUP = (f"arn:aws:s3:::{name}" for name in bucket_names("local").values())
QUEUE = f"arn:aws:sqs:us-east-1:000000000000:{queue_names('local')['DEAD_LETTER_QUEUE']}"
INGEST = "arn:aws:lambda:us-east-1:000000000000:function:hireflow-local-ingest"
LOG = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/hireflow-local"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:hireflow-local-database"


@pytest.mark.parametrize(
    ("action", "resource", "functions"),
    [
        ("s3:GetObject", f"{LANDING}/jobs.csv", {"ingest"}),
        ("s3:PutObject", f"{LANDING}/jobs.csv", set()),
        ("s3:PutObject", f"{LANDING}/restores/1/jobs.avro", {"api_handler"}),
        ("s3:PutObject", f"{LANDING}/uploads/1/jobs.csv", {"api_handler"}),
        ("s3:GetObject", f"{LANDING}/uploads/1/jobs.csv", {"ingest"}),
        ("s3:DeleteObject", f"{LANDING}/uploads/1/jobs.csv", set()),
        ("s3:DeleteObject", f"{LANDING}/restores/1/jobs.avro", set()),
        ("s3:ListBucket", LANDING, {"api_handler", "ingest"}),
        ("s3:ListBucketVersions", LANDING, {"ingest", "sweep"}),
        ("s3:ListBucket", ERRORED, {"api_handler", "sweep"}),
        ("s3:GetObject", f"{ERRORED}/jobs/x.ndjson", {"api_handler"}),
        ("s3:PutObject", f"{ERRORED}/jobs/x.ndjson", {"api_handler", "ingest"}),
        ("s3:DeleteObject", f"{ERRORED}/jobs/x.ndjson", {"ingest", "sweep"}),
        ("s3:GetObject", f"{BACKUP}/backups/x/jobs.avro", {"api_handler", "backup", "verify"}),
        ("s3:GetObject", f"{BACKUP}/backups/x/manifest.json", {"api_handler", "backup", "sweep", "verify"}),
        ("s3:ListBucket", BACKUP, {"api_handler", "backup", "sweep", "verify"}),
        ("s3:PutObject", f"{BACKUP}/backups/x/jobs.avro", {"backup"}),
        ("s3:DeleteObject", f"{BACKUP}/backups/x/jobs.avro", {"backup"}),
        ("s3:PutObject", f"{BACKUP}/backups/x/verified.json", {"backup", "verify"}),
        ("s3:DeleteObject", f"{BACKUP}/backups/x/verified.json", {"backup", "verify"}),
        ("s3:PutObject", f"{BACKUP}/backups/x/manifest.json", {"backup"}),
        ("s3:DeleteObjectVersion", f"{BACKUP}/backups/x/jobs.avro", set()),
        ("s3:DeleteBucket", BACKUP, set()),
        ("sqs:SendMessage", QUEUE, {"ingest"}),
        ("sqs:ReceiveMessage", QUEUE, {"redrive"}),
        ("sqs:DeleteMessage", QUEUE, {"redrive"}),
        ("sqs:PurgeQueue", QUEUE, set()),
        ("sqs:GetQueueAttributes", QUEUE, {"api_handler", "redrive", "relay", "sweep"}),
        ("lambda:InvokeFunction", INGEST, {"ingest", "redrive", "relay", "sweep"}),
        ("lambda:InvokeFunction", f"{INGEST}:$LATEST", {"ingest", "redrive", "relay"}),
        ("lambda:InvokeFunction", INGEST.replace("ingest", "migrate"), set()),
        ("lambda:InvokeFunction", INGEST.replace("ingest", "outbox"), {"redrive", "relay"}),
        ("events:PutEvents", "arn:aws:events:us-east-1:000000000000:event-bus/default", {"relay"}),
        ("sns:Publish", "arn:aws:sns:us-east-1:000000000000:hireflow-local-notices", {"relay"}),
        ("sns:Publish", "arn:aws:sns:us-east-1:000000000000:hireflow-local-alarms", set()),
        ("logs:PutLogEvents", f"{LOG}-sweep:log-stream:x", {"sweep"}),
        ("logs:PutLogEvents", f"{LOG}:log-stream:x", {"api_handler"}),
        ("secretsmanager:GetSecretValue", f"{SECRET}-AbCdEf", set(FUNCTIONS)),
        ("secretsmanager:GetSecretValue", f"{SECRET}-owner-AbCdEf", {"migrate"}),
    ],
)
def test_only_these_functions_may_perform_an_action(action: str, resource: str, functions: set[str]) -> None:
    assert who_may(action, resource) == functions


def test_the_embedded_cloud_serves_the_services_in_the_functions_policies() -> None:
    actions = [
        action for policy in made("local").values() for found in policy["Statement"] for action in found["Action"]
    ]
    assert {action.partition(":")[0] for action in actions} | {"sts"} == set(FOR_FUNCTIONS)


def test_an_unknown_name_in_a_policy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policy-every-function.json").write_text('{"Statement": []}')
    (tmp_path / "policy-ingest.json").write_text('{"Statement": [{"Resource": ["${LANDING_BUKET}"]}]}')
    with pytest.raises(CloudError, match=r"policy-ingest\.json"):
        policies(tmp_path, "local", ["ingest"], bucket_names("local"))


def test_no_stage_sets_the_endpoint_that_emulators_inject() -> None:
    assert "AWS_ENDPOINT_URL" not in json.dumps(CONFIG)
