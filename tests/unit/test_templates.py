"""Tests that the CloudFormation templates keep the rules of tests/templates.py, and that each rule finds violations."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from chalicelib.monitoring.metrics import NAMESPACE, UNITS
from infra.aws.composition import composed, merged
from infra.aws.evaluation import applied, loaded
from infra.aws.profiles import PROFILES, Profile
from infra.aws.stacks import PARTS, TEMPLATES
from infra.deploy.buckets import lifecycle, tls_only
from infra.deploy.driver import ASYNC_RETRIES, DEAD_LETTERS
from infra.deploy.target import queue_names
from infra.venv import ROOT
from tests.templates import RULES, Template, broken, listed, parsed, resources, statements

OUTPUTS = {
    "storage": {"LandingBucket", "ErroredBucket", "BackupBucket"},
    "network": {"VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId", "EndpointZones", "SecretsEndpoint"},
    "database": {
        "ProxyEndpoint",
        "ClusterEndpoint",
        "DatabaseName",
        "OwnerSecretArn",
        "FunctionsSecretArn",
        "ProxyResourceId",
        "ClusterResourceId",
        "ThroughProxy",
    },
    "instance": {"InstanceEndpoint", "InstanceResourceId", "DatabaseName", "OwnerSecretArn"},
    "operations": {"DeadLetterQueueName", "DeadLetterQueueArn", "NoticesTopicArn", "DashboardName"},
    "queries": {"QueryFolder"},
}
RELEASED = ROOT / "tests" / "released_templates"
# These outputs have the value of a parameter of the same part.
OWN_VALUES = {"ThroughProxy", "EndpointZones", "SecretsEndpoint"}
OF_PROFILES = [(profile.name, part) for profile in PROFILES.values() for part in profile.parts]
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
    *(
        (
            "proxies_can_use_their_roles",
            "database",
            f"Resources/ProxyRole/Properties/{policy}/Statement/0/Condition",
            to,
        )
        for policy in ("AssumeRolePolicyDocument", "Policies/0/PolicyDocument")
        for to in ({"StringEquals": {"aws:SourceAccount": "1"}}, {"ArnLike": {"AWS:SourceArn": "arn:aws:rds:*"}})
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
    *(
        (rule, "instance", f"Resources/{path}", to)
        for rule, path, to in (
            ("database_is_safe", "Instance/Properties/StorageEncrypted", False),
            ("database_is_safe", "Instance/Properties/DeletionProtection", GONE),
            ("database_is_safe", "Instance/DeletionPolicy", GONE),
            ("database_is_safe", "Instance/Properties/BackupRetentionPeriod", 1),
            ("database_is_safe", "PostgresLog", GONE),
            ("secrets_are_rotated", "Instance/Properties/ManageMasterUserPassword", GONE),
            ("logins_are_safe", "Instance/Properties/EnableIAMDatabaseAuthentication", False),
            ("logins_are_safe", "Settings/Properties/Parameters/rds.force_ssl", "0"),
            ("nothing_is_open_to_the_internet", "Instance/Properties/PubliclyAccessible", True),
            ("groups_allow_two_ports", "DatabaseFromFunctions/Properties/SourceSecurityGroupId", GONE),
        )
    ),
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


@pytest.mark.parametrize(("name", "part"), OF_PROFILES)
def test_the_templates_of_every_profile_keep_the_rules(name: str, part: str) -> None:
    parameters = PROFILES[name].parameters_of(part)
    assert broken(parsed(part, parameters), parameters) == {}


@pytest.mark.parametrize(("rule", "part", "path", "to"), BREAKS)
def test_a_rule_finds_its_violation(rule: str, part: str, path: str, to: Any) -> None:
    assert rule in broken(changed(parsed(part), path, to))


def test_every_rule_can_be_broken() -> None:
    assert {rule for rule, *_ in BREAKS} == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize(
    ("part", "name", "rule", "family"),
    [("database", "Cluster", "E3690", "aurora-postgresql"), ("instance", "Instance", "E3691", "postgres")],
)
def test_the_version_of_the_database_exists(part: str, name: str, rule: str, family: str) -> None:
    """`make check` runs cfn-lint on all templates. But cfn-lint does not check the defaults of parameters, so this test
    writes the default into the resource."""
    template = parsed(part)
    version, way = template["Parameters"]["EngineVersion"]["Default"], f"Resources/{name}/Properties/EngineVersion"
    existing, missing = (linted(json.dumps(changed(parsed(part), way, v))) for v in (version, "17.99"))
    assert [rule for rule in existing if rule.startswith("E")] == []
    assert rule in missing
    assert template["Resources"]["Settings"]["Properties"]["Family"] == f"{family}{version.partition('.')[0]}"
    assert re.fullmatch(template["Parameters"]["EngineVersion"]["AllowedPattern"], version)


def test_the_class_of_the_instance_exists() -> None:
    given = parsed("instance")["Parameters"]["InstanceClass"]["Default"]
    way = "Resources/Instance/Properties/DBInstanceClass"
    existing, missing = (linted(json.dumps(changed(parsed("instance"), way, it))) for it in (given, "db.t4g.tiny"))
    assert [rule for rule in existing if rule.startswith("E")] == []
    assert [rule for rule in missing if rule.startswith("E")] != []


def test_both_kinds_of_databases_have_the_same_settings() -> None:
    one, other = (
        parsed(part)["Resources"]["Settings"]["Properties"]["Parameters"] for part in ("database", "instance")
    )
    assert one == other
    assert one["client_connection_check_interval"] == "2000"


@pytest.mark.parametrize(
    ("part", "name", "absent"),
    [
        ("database", "Cluster", {"DatabaseName", "MasterUsername", "StorageEncrypted"}),
        ("instance", "Instance", {"DBName", "MasterUsername", "StorageEncrypted"}),
    ],
)
def test_a_database_from_a_snapshot_takes_its_name_and_its_owner_from_the_snapshot(
    part: str, name: str, absent: set[str]
) -> None:
    """CloudFormation refuses these properties together with a snapshot."""
    new = applied(parsed(part), {})["Resources"][name]["Properties"]
    restored = applied(parsed(part), {"SnapshotIdentifier": "before"})["Resources"][name]["Properties"]
    assert set(new) - set(restored) == absent
    assert set(restored) - set(new) == {"SnapshotIdentifier" if part == "database" else "DBSnapshotIdentifier"}


@pytest.mark.parametrize("part", ["database", "network"])
def test_an_update_of_a_standard_stage_replaces_nothing(part: str) -> None:
    """tests/released_templates has the templates of the last release without profiles. Every resource must keep its
    name and its create-only properties. AWS's resource schemas list these properties. A change of such a property
    replaces the resource."""
    before = loaded((RELEASED / f"{part}.yaml").read_text())["Resources"]
    parameters = PROFILES["standard"].parameters_of(part)
    now = applied(loaded(composed(TEMPLATES, part, parameters)), parameters)["Resources"]
    assert {name: it["Type"] for name, it in before.items()} == {name: it["Type"] for name, it in now.items()}
    fixed = {
        (name, prop): (it["Properties"].get(prop), now[name]["Properties"].get(prop))
        for name, it in before.items()
        for prop in create_only(it["Type"])
    }
    assert len([old for old, _ in fixed.values() if old]) > 8
    # The new template writes the zone in another way, but infra/aws/zones.py passes the zone that the subnet has (see
    # test_zones.py).
    assert {place for place, (old, new) in fixed.items() if old != new} <= {
        ("SubnetA", "AvailabilityZone"),
        ("SubnetB", "AvailabilityZone"),
    }


def create_only(kind: str) -> set[str]:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = [*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ())]
    return {path.split("/")[2] for path in paths}


@pytest.mark.parametrize(("name", "part"), OF_PROFILES)
def test_cfn_lint_finds_nothing_in_the_template_of_a_profile(name: str, part: str) -> None:
    parameters = PROFILES[name].parameters_of(part)
    whole = parsed(part, parameters)
    for parameter, value in parameters.items():
        whole["Parameters"].get(parameter, {})["Default"] = value
    assert linted(json.dumps(whole)) == []


def test_the_two_databases_have_no_name_in_common() -> None:
    """While a stage changes from one database to the other, both exist."""
    names = [
        {
            str(value)
            for it in resources(parsed(part)).values()
            for key, value in it["Properties"].items()
            if key in ("DBClusterIdentifier", "DBInstanceIdentifier", "LogGroupName", "DBProxyName", "Name")
        }
        for part in ("database", "instance")
    ]
    assert names[0] & names[1] == set()


@pytest.mark.parametrize(
    ("profile", "services"),
    [
        ("standard", {"s3": 0, "secretsmanager": 2, "sqs": 2, "lambda": 2}),
        ("small", {"s3": 0, "sqs": 1, "lambda": 1}),
        ("tiny", {"s3": 0}),
    ],
)
def test_a_profile_has_only_the_endpoints_that_it_pays_for(profile: str, services: dict[str, int]) -> None:
    parameters = PROFILES[profile].parameters_of("network")
    network = applied(parsed("network"), parameters)
    found = {
        it["Properties"]["ServiceName"]["Fn::Sub"].rpartition(".")[2]: len(it["Properties"].get("SubnetIds", ()))
        for it in resources(network, "AWS::EC2::VPCEndpoint").values()
    }
    assert found == services
    egress = network["Resources"]["FunctionsSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert len(egress) == (2 if len(services) > 1 else 1)


@pytest.mark.parametrize("profile", PROFILES)
def test_alarms_watch_the_database_of_the_profile(profile: str) -> None:
    operations = applied(parsed("operations"), PROFILES[profile].parameters_of("operations"))
    watched = {
        (it["Properties"]["MetricName"], it["Properties"]["Dimensions"][0]["Name"])
        for it in resources(operations, "AWS::CloudWatch::Alarm").values()
        if it["Properties"]["Namespace"] == "AWS/RDS"
    }
    metrics = {
        "aurora": ("DBClusterIdentifier", ("CPUUtilization", "ACUUtilization", "DatabaseConnections")),
        "instance": (
            "DBInstanceIdentifier",
            ("CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "CPUCreditBalance"),
        ),
        "own": ("", ()),
    }
    dimension, names = metrics[PROFILES[profile].database]
    assert watched == {(name, dimension) for name in names}


def test_fragments_are_added_to_the_sections_of_a_template() -> None:
    whole = merged("# a\nResources:\n  A: 1\nOutputs:\n  O: 1\n", "# b\n\nTransform: T\nResources:\n  B: 2\n")
    assert loaded(whole) == {"Resources": {"A": 1, "B": 2}, "Outputs": {"O": 1}, "Transform": "T"}


def _parts_of_profiles() -> list[tuple[Profile, str]]:
    return [(profile, part) for profile in PROFILES.values() for part in profile.parts]


def linted(text: str) -> list[str]:
    return [match.rule.id for match in lint(text, config=ManualArgs(regions=["us-east-1", "eu-central-1"]))]


@pytest.mark.parametrize("part", PARTS)
def test_a_template_has_the_outputs_that_a_deployment_reads(part: str) -> None:
    assert set(applied(parsed(part), {})["Outputs"]) == OUTPUTS[part]


def test_every_template_is_a_part_and_small_enough_for_a_request() -> None:
    on_its_own = {"lake", "deployer"}  # users may create these stacks, but no stage needs them
    assert {path.stem for path in TEMPLATES.glob("*.yaml")} == {*PARTS, *on_its_own}
    whole = [composed(TEMPLATES, part, profile.parameters_of(part)) for profile, part in _parts_of_profiles()]
    assert max(len(text.encode()) for text in whole) < 51_200


def test_a_part_takes_only_outputs_of_earlier_parts() -> None:
    earlier: set[str] = set()
    for part in PARTS:
        outputs = {name for other in PARTS for name in OUTPUTS[other] - OWN_VALUES} & set(parsed(part)["Parameters"])
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
    assert (set(metrics), set(names)) == ({"Errors", "Throttles"}, functions() - {"ingest"})
    suffixes = {name: entry["Suffix"] for name, entry in template["Mappings"]["Functions"].items()}
    assert suffixes == {name: "" if name == "api" else f"-{name}" for name in functions() - {"ingest"}}


def test_a_throttled_ingest_raises_no_alarm_before_an_event_may_be_lost() -> None:
    alarms = resources(parsed("operations"), "AWS::CloudWatch::Alarm").values()
    ingest = [{"Name": "FunctionName", "Value": {"Fn::Sub": "hireflow-${Stage}-ingest"}}]
    properties = [each["Properties"] for each in alarms if each["Properties"]["Dimensions"] == ingest]
    found = {each["MetricName"]: each["Threshold"] for each in properties}
    assert set(found) == {"Errors", "AsyncEventAge"}
    assert found["AsyncEventAge"] / 1000 <= ASYNC_RETRIES["MaximumEventAgeInSeconds"] / 2


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
    called -= {"events", "sns"}  # only the function `relay` calls these services, and it runs outside of the network
    assert {name.rpartition(".")[2] for name in names} == called == {"s3", "secretsmanager", "sqs", "lambda"}


def test_endpoints_allow_every_action_that_functions_may_perform() -> None:
    allowed = [action for _, it in statements(parsed("network")) for action in listed(it["Action"])]
    lambdas_own = {"sqs:SendMessage"}  # Lambda itself sends the dead letters, not the function
    policies = [json.loads(path.read_text()) for path in (ROOT / ".chalice").glob("policy-*.json")]
    actions = {action for policy in policies for it in policy["Statement"] for action in listed(it["Action"])}
    called = {a for a in actions if a.partition(":")[0] in ("s3", "sqs", "lambda", "secretsmanager")}
    assert len(called) > 10
    assert [a for a in sorted(called - lambdas_own) if not any(fnmatchcase(a, like) for like in allowed)] == []
