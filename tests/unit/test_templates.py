"""Tests that the CloudFormation templates keep the rules of tests/templates.py, and that each rule finds violations."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from chalicelib.monitoring.metrics import NAMESPACE, UNITS
from infra.aws.stacks import PARTS, TEMPLATES
from infra.deploy.buckets import lifecycle, tls_only
from infra.deploy.driver import DEAD_LETTERS
from infra.deploy.target import queue_names
from infra.venv import ROOT
from tests.templates import RULES, Template, broken, listed, parsed, resources, statements

OUTPUTS = {
    "storage": {"LandingBucket", "ErroredBucket", "BackupBucket"},
    "network": {"VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId"},
    "database": {
        "ProxyEndpoint",
        "ClusterEndpoint",
        "DatabaseName",
        "OwnerSecretArn",
        "FunctionsSecretArn",
        "ProxyResourceId",
    },
    "operations": {"DeadLetterQueueName", "DeadLetterQueueArn", "DashboardName"},
    "queries": {"QueryFolder"},
}
GONE = object()  # GONE in the place of a new value deletes the member
# Changes that break a rule: (rule, part, path of the changed member, new value). The rule must find the violation.
BREAKS: list[tuple[str, str, str, Any]] = [
    *(
        ("buckets_are_closed", "storage", f"Resources/{bucket}/Properties/{what}", GONE)
        for bucket in ("Landing", "Errored", "Backup")
        for what in ("BucketEncryption", "OwnershipControls", "PublicAccessBlockConfiguration")
    ),
    *(
        ("buckets_are_closed", "storage", f"Resources/Landing/Properties/PublicAccessBlockConfiguration/{way}", False)
        for way in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    ),
    *(("buckets_are_closed", "storage", f"Resources/{b}OnlyTls", GONE) for b in ("Landing", "Errored", "Backup")),
    ("buckets_are_closed", "storage", "Resources/BackupOnlyTls/Properties/PolicyDocument/Statement/0/Resource/1", "x"),
    ("buckets_are_closed", "storage", "Resources/BackupOnlyTls/Properties/PolicyDocument/Statement/0/Effect", "Allow"),
    (
        "policies_name_callers_and_actions",
        "storage",
        "Resources/BackupOnlyTls/Properties/PolicyDocument/Statement/0/Effect",
        "Allow",
    ),
    *(
        ("buckets_are_kept", "storage", f"Resources/{bucket}/{what}", "Delete")
        for bucket in ("Landing", "Errored", "Backup")
        for what in ("DeletionPolicy", "UpdateReplacePolicy")
    ),
    ("buckets_are_kept", "storage", "Resources/Landing/Properties/CorsConfiguration", {"CorsRules": []}),
    ("buckets_are_kept", "storage", "Resources/Landing/Properties/NotificationConfiguration", {}),
    *(
        (
            "buckets_do_not_grow_for_ever",
            "storage",
            f"Resources/{bucket}/Properties/LifecycleConfiguration/Rules/{n}",
            GONE,
        )
        for bucket, rules in (("Landing", 4), ("Errored", 2), ("Backup", 3))
        for n in range(rules)
    ),
    (
        "buckets_do_not_grow_for_ever",
        "storage",
        "Resources/Backup/Properties/LifecycleConfiguration/Rules/1/ExpirationInDays",
        30,
    ),
    (
        "buckets_do_not_grow_for_ever",
        "storage",
        "Resources/Landing/Properties/LifecycleConfiguration/Rules/1/Status",
        "Disabled",
    ),
    (
        "nothing_is_open_to_the_internet",
        "network",
        "Resources/FunctionsSecurityGroup/Properties/SecurityGroupEgress/1/CidrIp",
        "0.0.0.0/0",
    ),
    ("nothing_is_open_to_the_internet", "network", "Resources/Way", {"Type": "AWS::EC2::NatGateway", "Properties": {}}),
    ("nothing_is_open_to_the_internet", "network", "Resources/SubnetA/Properties/MapPublicIpOnLaunch", True),
    ("nothing_is_open_to_the_internet", "database", "Resources/Reader/Properties/PubliclyAccessible", GONE),
    ("groups_allow_two_ports", "network", "Resources/EndpointsSecurityGroup/Properties/SecurityGroupEgress", GONE),
    ("groups_allow_two_ports", "network", "Resources/EndpointsFromFunctions/Properties/FromPort", 1),
    ("groups_allow_two_ports", "database", "Resources/DatabaseFromProxy/Properties/SourceSecurityGroupId", GONE),
    (
        "groups_allow_two_ports",
        "database",
        "Resources/ProxySecurityGroup/Properties/SecurityGroupIngress/0/IpProtocol",
        "-1",
    ),
    *(
        (
            "policies_name_callers_and_actions",
            "network",
            f"Resources/{name}/Properties/PolicyDocument/Statement/0/{what}",
            to,
        )
        for name in ("S3", "SecretsManager", "Sqs", "Lambda")
        for what, to in (("Condition", GONE), ("Action", "*"), ("Action", ["s3:GetObject", "s3:*"]))
    ),
    (
        "policies_name_callers_and_actions",
        "database",
        "Resources/ProxyRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition",
        GONE,
    ),
    (
        "policies_name_callers_and_actions",
        "database",
        "Resources/ProxyRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource",
        "*",
    ),
    (
        "policies_name_callers_and_actions",
        "operations",
        "Resources/AlarmsFromCloudWatch/Properties/PolicyDocument/Statement/0/Principal",
        "*",
    ),
    *(("endpoints_have_policies", "network", f"Resources/{n}/Properties/PolicyDocument", GONE) for n in ("S3", "Sqs")),
    ("secrets_are_rotated", "database", "Resources/FunctionsSecretRotation", GONE),
    ("secrets_are_rotated", "database", "Resources/FunctionsSecretRotation/Properties/RotationRules", GONE),
    ("secrets_are_rotated", "database", "Resources/Cluster/Properties/ManageMasterUserPassword", GONE),
    ("secrets_are_rotated", "database", "Resources/Cluster/Properties/MasterUserPassword", "secret"),
    *(
        ("database_is_safe", "database", f"Resources/{path}", to)
        for path, to in (
            ("Cluster/Properties/StorageEncrypted", False),
            ("Cluster/Properties/DeletionProtection", False),
            ("Cluster/DeletionPolicy", "Delete"),
            ("Cluster/UpdateReplacePolicy", GONE),
            ("Cluster/Properties/BackupRetentionPeriod", 1),
            ("Cluster/Properties/EnableCloudwatchLogsExports", GONE),
            ("PostgresLog", GONE),
        )
    ),
    *(
        ("logins_are_safe", "database", f"Resources/{path}", to)
        for path, to in (
            ("Cluster/Properties/EnableIAMDatabaseAuthentication", GONE),
            ("ProxyLog", GONE),
            ("Settings/Properties/Parameters/rds.force_ssl", "0"),
            ("Proxy/Properties/RequireTLS", False),
            ("Proxy/Properties/Auth/0/IAMAuth", "DISABLED"),
            ("Proxy/Properties/Auth/1/IAMAuth", GONE),
        )
    ),
    ("database_is_safe", "database", "Parameters/DeletionProtection/Default", "false"),
    ("queues_keep_their_messages", "operations", "Resources/DeadLetters/Properties/SqsManagedSseEnabled", GONE),
    ("queues_keep_their_messages", "operations", "Resources/DeadLetters/Properties/MessageRetentionPeriod", 345600),
    ("queues_keep_their_messages", "operations", "Resources/DeadLettersOnlyTls", GONE),
    *(
        ("logs_expire", "database", f"Resources/{name}/{what}", GONE)
        for name in ("PostgresLog", "RotationLog", "ProxyLog")
        for what in ("Properties/RetentionInDays", "DeletionPolicy", "UpdateReplacePolicy")
    ),
    *(
        ("alarms_notify_somebody", "operations", f"Resources/BackupsLag/Properties/{what}", to)
        for what, to in (
            ("AlarmActions", []),
            ("AlarmActions", [{"Ref": "Nobody"}]),
            ("TreatMissingData", GONE),
            ("AlarmDescription", ""),
        )
    ),
    (
        "alarms_notify_somebody",
        "operations",
        "Resources/Fn::ForEach::Metrics/2/Fn::ForEach::OfFunctions/2/${Metric}${Function}/Properties/AlarmActions",
        GONE,
    ),
    *(("parameters_are_described", part, "Parameters/Stage/Description", GONE) for part in PARTS),
]


def changed(template: Template, path: str, to: Any) -> Template:
    """Set the member at this path of a template to a new value, or delete it. Return the template."""
    *way, last = path.split("/")
    at: Any = template
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    key: Any = int(last) if isinstance(at, list) else last
    if to is GONE:
        del at[key]
    else:
        at[key] = to
    return template


@pytest.mark.parametrize("part", PARTS)
def test_the_templates_keep_the_rules(part: str) -> None:
    assert broken(parsed(part)) == {}


@pytest.mark.parametrize(("rule", "part", "path", "to"), BREAKS)
def test_a_rule_finds_its_violation(rule: str, part: str, path: str, to: Any) -> None:
    assert rule in broken(changed(parsed(part), path, to))


def test_every_rule_can_be_broken() -> None:
    assert {rule for rule, *_ in BREAKS} == {rule.__name__ for rule in RULES}


def test_the_version_of_the_database_exists() -> None:
    """`make check` runs cfn-lint on all templates. But cfn-lint does not check the defaults of parameters, so this test
    writes the default into the resource."""
    template = parsed("database")
    version, way = template["Parameters"]["EngineVersion"]["Default"], "Resources/Cluster/Properties/EngineVersion"
    existing, missing = (linted(json.dumps(changed(parsed("database"), way, v))) for v in (version, "17.99"))
    assert [rule for rule in existing if rule.startswith("E")] == []
    assert "E3690" in missing
    family = template["Resources"]["Settings"]["Properties"]["Family"]
    assert family == f"aurora-postgresql{version.partition('.')[0]}"
    assert re.fullmatch(template["Parameters"]["EngineVersion"]["AllowedPattern"], version)


def linted(text: str) -> list[str]:
    return [match.rule.id for match in lint(text, config=ManualArgs(regions=["us-east-1", "eu-central-1"]))]


@pytest.mark.parametrize("part", PARTS)
def test_a_template_has_the_outputs_that_a_deployment_reads(part: str) -> None:
    assert set(parsed(part)["Outputs"]) == OUTPUTS[part]


def test_every_template_is_a_part_and_small_enough_for_a_request() -> None:
    on_its_own = {"lake"}  # a user may create it; no stage needs it
    assert {path.stem for path in TEMPLATES.iterdir()} == {*PARTS, *on_its_own}
    assert max(path.stat().st_size for path in TEMPLATES.iterdir()) < 51_200


def test_a_part_takes_only_outputs_of_earlier_parts() -> None:
    earlier: set[str] = set()
    for part in PARTS:
        outputs = {name for other in PARTS for name in OUTPUTS[other]} & set(parsed(part)["Parameters"])
        assert outputs <= earlier
        earlier |= OUTPUTS[part]


def test_buckets_have_the_policies_and_lifecycle_rules_of_other_stages() -> None:
    """The template makes the buckets on AWS. infra/deploy/buckets.py makes the buckets of the other stages, on the
    embedded cloud and on LocalStack."""
    ours = resources(parsed("storage"), "AWS::S3::BucketPolicy")["LandingOnlyTls"]["Properties"]["PolicyDocument"]
    theirs = tls_only("landing")
    for policy in (ours, theirs):
        del policy["Statement"][0]["Resource"]
    assert ours == theirs
    backup = parsed("storage")["Resources"]["Backup"]["Properties"]["LifecycleConfiguration"]["Rules"]
    ids = [rule["ID"] for rule in lifecycle(versions_expire=True)["Rules"]]
    assert [rule["Id"] for rule in backup] == ids


def test_the_dead_letter_queue_has_the_properties_of_other_stages() -> None:
    queue = parsed("operations")["Resources"]["DeadLetters"]["Properties"]
    assert {name: str(value).lower() for name, value in queue.items() if name != "QueueName"} == DEAD_LETTERS
    assert queue["QueueName"] == {"Fn::Sub": queue_names("${Stage}")["DEAD_LETTER_QUEUE"]}


def functions() -> set[str]:
    names = set(json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"])
    return names - {"api_handler"} | {"api"}


def test_every_function_has_alarms() -> None:
    template = parsed("operations")
    _, metrics, inner = template["Resources"]["Fn::ForEach::Metrics"]
    _, names, _ = inner["Fn::ForEach::OfFunctions"]
    assert (set(metrics), set(names)) == ({"Errors", "Throttles"}, functions())
    suffixes = {name: entry["Suffix"] for name, entry in template["Mappings"]["Functions"].items()}
    assert suffixes == {name: "" if name == "api" else f"-{name}" for name in functions()}


def own_metrics(tree: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield Hireflow's own metrics in alarms and in the dashboard, with the names of their dimensions."""
    if isinstance(tree, list) and tree[:1] == [NAMESPACE]:
        yield tree[1], tuple(tree[2:6:2])
    elif isinstance(tree, dict) and tree.get("Namespace") == NAMESPACE:
        yield tree["MetricName"], tuple(dimension["Name"] for dimension in tree["Dimensions"])
    else:
        for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
            yield from own_metrics(value)


def test_alarms_and_the_dashboard_use_metrics_that_exist() -> None:
    used = list(own_metrics(parsed("operations")["Resources"]))
    shown = {name for name, _ in used}
    assert {"BackupLag", "LoadsFailed"} <= shown <= set(UNITS)
    assert {dimensions for _, dimensions in used} == {("service", "stage")}


def test_every_service_that_functions_call_has_an_endpoint() -> None:
    called = {
        service
        for path in (ROOT / "chalicelib").rglob("*.py")
        for service in re.findall(r'client\(\s*"(\w+)"', path.read_text())
    }
    names = [
        it["Properties"]["ServiceName"]["Fn::Sub"]
        for it in resources(parsed("network"), "AWS::EC2::VPCEndpoint").values()
    ]
    called -= {"rds"}  # the client of RDS only signs tokens, and sends no requests
    assert {name.rpartition(".")[2] for name in names} == called == {"s3", "secretsmanager", "sqs", "lambda"}


def test_endpoints_allow_every_action_that_functions_may_perform() -> None:
    allowed = [action for _, it in statements(parsed("network")) for action in listed(it["Action"])]
    lambdas_own = {"sqs:SendMessage"}  # Lambda itself sends the dead letters, not the function
    policies = [json.loads(path.read_text()) for path in (ROOT / ".chalice").glob("policy-*.json")]
    actions = {action for policy in policies for it in policy["Statement"] for action in listed(it["Action"])}
    called = {a for a in actions if a.partition(":")[0] in ("s3", "sqs", "lambda", "secretsmanager")}
    assert len(called) > 10
    assert [a for a in sorted(called - lambdas_own) if not any(fnmatchcase(a, like) for like in allowed)] == []
