"""Tests the stacks of a stage. The CloudFormation of the embedded cloud creates, changes and deletes them.

This CloudFormation supports everything in the templates `storage` and `operations`, except the lifecycle rules of
buckets. It lacks some resources of `network` and `database`: the rules between security groups, the database proxy, the
rotation, and the secret that RDS creates for the owner of a cluster. These tests leave out these resources, and the
whole template `queries`. tests/unit/test_templates.py checks their templates.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.aws.changes import Change
from infra.aws.cloud import Cloud
from infra.aws.profiles import TINY
from infra.aws.stacks import PARTS, apply, delete, outputs, plan, s3_prefix_list
from infra.errors import CloudError
from infra.local import ports
from infra.local.aws import EmbeddedAws
from tests.integration.embedded import Client, clients
from tests.templates import parsed, resources, without, written

LACKING = {
    "queries": ("AWS::Logs::QueryDefinition",),
    "network": ("AWS::EC2::SecurityGroupIngress",),
    "database": (
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::RDS::DBProxy",
        "AWS::RDS::DBProxyTargetGroup",
        "AWS::SecretsManager::RotationSchedule",
    ),
    "instance": ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"),
}
OWNERS_SECRET = ("AWS::IAM::Role", "OwnerSecretArn")
NETWORK = {"S3PrefixListId": "pl-63a5400a", "ZoneA": "us-east-1a", "ZoneB": "us-east-1b"}
BUCKETS = {f"hireflow-prod-{use}-000000000000-us-east-1" for use in ("landing", "errored", "backup")}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Return clients of a new embedded AWS. Each test gets its own, because a deleted stack leaves its buckets."""
    server = EmbeddedAws(tmp_path / "aws")
    port = ports.free_port()
    server.start(port)
    yield cache(clients(port, server.credentials))
    server.stop()


@pytest.fixture
def cloudformation(client: Client) -> Any:
    return client("cloudformation")


@pytest.fixture
def cloud(client: Client) -> Cloud:
    return Cloud(client)


def supported_here(part: str, folder: Path) -> Path:
    """Write the template of a part without the resources that the embedded cloud lacks."""
    template = without(parsed(part), *LACKING[part], OWNERS_SECRET[0])
    template["Outputs"].pop(OWNERS_SECRET[1], None)
    template.pop("Transform", None)
    folder.mkdir(exist_ok=True)
    return written(template, part, folder)


def names(changes: list[Change], action: str) -> set[str]:
    return {change.name for change in changes if change.action == action}


def stacks(cloudformation: Any) -> dict[str, str]:
    return {found["StackName"]: found["StackStatus"] for found in cloudformation.describe_stacks()["Stacks"]}


def open_change_sets(cloudformation: Any, stack: str) -> list[str]:
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    made = cloudformation.list_change_sets(StackName=stack)["Summaries"]
    mine = [it for it in made if it["StackId"] == found["StackId"]]
    return [it["ChangeSetName"] for it in mine if it["ExecutionStatus"] != "EXECUTE_COMPLETE"]


@pytest.mark.parametrize(("part", "count"), [("storage", 6), ("operations", 39)])
def test_a_stack_is_planned_created_left_alone_changed_and_deleted(
    cloudformation: Any, cloud: Cloud, part: str, count: int
) -> None:
    planned = plan(cloud, "prod", part, {})
    assert len(names(planned, "Add")) == len(planned) == count
    assert stacks(cloudformation) == {}  # a plan creates nothing

    made = apply(cloud, "prod", part, {})
    assert set(made) == set(parsed(part)["Outputs"])
    assert made == outputs(cloud, "prod", part)
    assert stacks(cloudformation) == {f"hireflow-prod-{part}": "CREATE_COMPLETE"}

    assert plan(cloud, "prod", part, {}) == []
    assert apply(cloud, "prod", part, {}) == made
    # The status is not UPDATE_COMPLETE, because there was nothing to update.
    assert stacks(cloudformation) == {f"hireflow-prod-{part}": "CREATE_COMPLETE"}

    edit = {"storage": {"LandingDays": "60"}, "operations": {"BackupLag": "1800"}}[part]
    edited = plan(cloud, "prod", part, edit)
    assert {"storage": "Landing", "operations": "BackupsLag"}[part] in names(edited, "Modify")
    assert names(edited, "Add") == names(edited, "Remove") == set()
    assert plan(cloud, "prod", part, edit) == edited  # a plan changes nothing, so a second plan shows the same changes
    apply(cloud, "prod", part, edit)
    assert plan(cloud, "prod", part, edit) == []
    assert plan(cloud, "prod", part, {}) != []  # without the parameter, the plan would bring its default back
    assert open_change_sets(cloudformation, f"hireflow-prod-{part}") == []

    delete(cloud, "prod", part)
    assert stacks(cloudformation) == {}
    delete(cloud, "prod", part)  # to delete a stack that does not exist is not an error
    with pytest.raises(CloudError, match=f"there is no stack hireflow-prod-{part}"):
        outputs(cloud, "prod", part)


def test_buckets_have_the_properties_of_the_template(client: Client, cloud: Cloud) -> None:
    made = apply(cloud, "prod", "storage", {})
    assert set(made.values()) == BUCKETS
    s3 = client("s3")
    for bucket in made.values():
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
        owner = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    versions = {name: s3.get_bucket_versioning(Bucket=bucket).get("Status") for name, bucket in made.items()}
    assert versions == {"LandingBucket": "Enabled", "ErroredBucket": None, "BackupBucket": "Enabled"}


def test_an_update_keeps_the_cors_rule_and_the_notification_of_the_landing_bucket(
    client: Client, cloud: Cloud, tmp_path: Path
) -> None:
    landing = apply(cloud, "prod", "storage", {})["LandingBucket"]
    s3 = client("s3")
    rule = {"AllowedOrigins": ["https://example.com"], "AllowedMethods": ["POST"]}
    allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": "*"}]}
    queue = client("sqs").create_queue(QueueName="listener", Attributes={"Policy": json.dumps(policy)})["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.put_bucket_cors(Bucket=landing, CORSConfiguration={"CORSRules": [rule]})
    notification = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=landing, NotificationConfiguration={"QueueConfigurations": [notification]}
    )
    template = parsed("storage")
    properties = template["Resources"]["Landing"]["Properties"]
    properties["PublicAccessBlockConfiguration"]["IgnorePublicAcls"] = False
    apply(cloud, "prod", "storage", {}, written(template, "storage", tmp_path))
    changed = s3.get_public_access_block(Bucket=landing)["PublicAccessBlockConfiguration"]
    assert changed["IgnorePublicAcls"] is False
    assert s3.get_bucket_cors(Bucket=landing)["CORSRules"] == [rule]
    (kept,) = s3.get_bucket_notification_configuration(Bucket=landing)["QueueConfigurations"]
    assert (kept["QueueArn"], kept["Events"]) == (arn, ["s3:ObjectCreated:*"])
    # The CORS rule and the notification stay because no template names them. If a template names the CORS rule, and the
    # next template does not, CloudFormation deletes the rule.
    properties["CorsConfiguration"] = {"CorsRules": [rule]}
    apply(cloud, "prod", "storage", {}, written(template, "storage", tmp_path))
    apply(cloud, "prod", "storage", {})
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=landing)


def test_a_deleted_storage_stack_leaves_its_buckets_and_a_new_one_takes_them_over(
    client: Client, cloudformation: Any, cloud: Cloud
) -> None:
    landing = apply(cloud, "prod", "storage", {})["LandingBucket"]
    client("s3").put_object(Bucket=landing, Key="departments.csv", Body=b"1,Staff\n")
    delete(cloud, "prod", "storage")
    assert {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]} == BUCKETS
    # ministack plans to import the buckets, like CloudFormation. But it refuses the import, because buckets with these
    # names exist.
    hooks = cloudformation.meta.events
    hooks.register(
        "provide-client-params.cloudformation.CreateChangeSet", lambda params, **_: without_validation(params)
    )
    assert names(plan(cloud, "prod", "storage", {}), "Import") == {"Landing", "Errored", "Backup"}
    assert apply(cloud, "prod", "storage", {})["LandingBucket"] == landing
    assert client("s3").get_object(Bucket=landing, Key="departments.csv")["Body"].read() == b"1,Staff\n"
    assert plan(cloud, "prod", "storage", {}) == []


def without_validation(params: dict[str, Any]) -> dict[str, Any]:
    return {**params, "DisableValidation": True}


def test_a_failed_creation_says_why_and_can_be_repeated_without_its_cause(client: Client, cloud: Cloud) -> None:
    taken = "hireflow-prod-errored-000000000000-us-east-1"
    client("s3").create_bucket(Bucket=taken)
    with pytest.raises(CloudError, match=rf"ROLLBACK_COMPLETE: Errored: .*{taken}"):
        apply(cloud, "prod", "storage", {})
    with pytest.raises(CloudError, match="there is no stack"):
        outputs(cloud, "prod", "storage")
    client("s3").delete_bucket(Bucket=taken)
    assert len(plan(cloud, "prod", "storage", {})) == 6
    assert apply(cloud, "prod", "storage", {})["ErroredBucket"] == taken


def test_a_failed_change_says_why_and_leaves_the_stack_unchanged(client: Client, cloud: Cloud, tmp_path: Path) -> None:
    made = apply(cloud, "prod", "operations", {})
    template = parsed("operations")
    template["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"] = 14 * 24 * 3600 + 1
    with pytest.raises(CloudError, match=r"operations is UPDATE_ROLLBACK_COMPLETE: DeadLetters: .*MessageRetention"):
        apply(cloud, "prod", "operations", {}, written(template, "operations", tmp_path))
    assert outputs(cloud, "prod", "operations") == made
    topics = [topic["TopicArn"].rpartition(":")[2] for topic in client("sns").list_topics()["Topics"]]
    assert sorted(topics) == ["hireflow-prod-alarms", "hireflow-prod-notices"]
    # The next failure is a timeout, which takes longer.
    slow = {"Handle": {"Ref": "Handle"}, "Timeout": "1", "Count": 1}
    template = parsed("operations")
    template["Resources"]["Handle"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    template["Resources"]["Slow"] = {"Type": "AWS::CloudFormation::WaitCondition", "Properties": slow}
    with pytest.raises(CloudError, match=r"operations is UPDATE_ROLLBACK_COMPLETE: Slow: .*timed out"):
        apply(cloud, "prod", "operations", {}, written(template, "operations", tmp_path))
    assert apply(cloud, "prod", "operations", {"AlarmEmail": "somebody@example.com"}) == made


@pytest.mark.parametrize(
    ("part", "parameters", "reason"),
    [
        ("storage", {"LandingDays": "3"}, "LandingDays"),
        ("network", {}, "S3PrefixListId"),
        ("attic", {}, "there is no part attic: choose one of storage, network, database, instance, operations"),
    ],
)
def test_wrong_parameters_are_refused_and_create_nothing(
    cloudformation: Any, cloud: Cloud, part: str, parameters: dict[str, str], reason: str
) -> None:
    for attempt in (plan, apply):
        with pytest.raises(CloudError, match=reason):
            attempt(cloud, "prod", part, parameters)
    assert stacks(cloudformation) == {}


def test_a_stack_that_cannot_be_deleted_says_why(client: Client, cloud: Cloud, tmp_path: Path) -> None:
    network = apply(cloud, "prod", "network", NETWORK, supported_here("network", tmp_path / "network"))
    client("ec2").create_subnet(VpcId=network["VpcId"], CidrBlock="10.40.8.0/24")
    with pytest.raises(CloudError, match=r"hireflow-prod-network is not deleted: Vpc: .*"):
        delete(cloud, "prod", "network")


def test_alarms_watch_every_function_by_its_name(client: Client, cloud: Cloud) -> None:
    made = apply(cloud, "prod", "operations", {"AlarmEmail": "somebody@example.com"})
    watch = client("cloudwatch")
    alarms = watch.describe_alarms()["MetricAlarms"]
    watched = {
        (alarm["MetricName"], dimension["Value"])
        for alarm in alarms
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "FunctionName"
    }
    suffixes = ("", "-backup", "-verify", "-sweep", "-relay", "-outbox", "-redrive", "-migrate", "-tokens")
    assert watched == {
        *((metric, f"hireflow-prod{suffix}") for metric in ("Errors", "Throttles") for suffix in suffixes),
        *((metric, "hireflow-prod-ingest") for metric in ("Errors", "AsyncEventAge")),
    }
    assert len(alarms) == len(watched) + 7
    topics = client("sns").list_topics()["Topics"]
    (topic,) = [one for one in topics if one["TopicArn"].endswith(":hireflow-prod-alarms")]
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms} == {(topic["TopicArn"],)}
    (listener,) = client("sns").list_subscriptions_by_topic(TopicArn=topic["TopicArn"])["Subscriptions"]
    assert (listener["Protocol"], listener["Endpoint"]) == ("email", "somebody@example.com")
    widgets = json.loads(watch.get_dashboard(DashboardName=made["DashboardName"])["DashboardBody"])["widgets"]
    assert len(widgets) == 12
    assert ["Hireflow", "BackupLag", "service", "hireflow", "stage", "prod"] in widgets[2]["properties"]["metrics"]


def test_changed_receivers_of_notices_are_changes_of_the_stack(client: Client, cloud: Cloud) -> None:
    def subscribed() -> set[tuple[str, str]]:
        found = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        return {(one["Protocol"], one["Endpoint"]) for one in found}

    none = {"NoticeEmail": "", "NoticeWebhook": ""}
    topic = apply(cloud, "prod", "operations", none)["NoticesTopicArn"]
    assert topic.endswith(":hireflow-prod-notices")
    assert subscribed() == set()
    given = {"NoticeEmail": "hr@example.com", "NoticeWebhook": "https://example.com/hook"}
    changes = plan(cloud, "prod", "operations", given)
    assert {change.name for change in changes} == {"NoticesByEmail", "NoticesByWebhook"}
    apply(cloud, "prod", "operations", given)
    assert subscribed() == {("email", "hr@example.com"), ("https", "https://example.com/hook")}
    apply(cloud, "prod", "operations", none)
    assert subscribed() == set()


def test_the_dead_letter_queue_refuses_requests_without_tls(client: Client, cloud: Cloud) -> None:
    made = apply(cloud, "prod", "operations", {})
    assert made["DeadLetterQueueArn"].endswith(f":{made['DeadLetterQueueName']}")
    with pytest.raises(ClientError, match="AccessDenied"):
        client("sqs").get_queue_url(QueueName=made["DeadLetterQueueName"])


def test_the_supported_parts_of_network_and_database_are_created_and_deleted(
    client: Client, cloud: Cloud, tmp_path: Path
) -> None:
    folder = supported_here("network", tmp_path / "network")
    network = apply(cloud, "prod", "network", NETWORK, folder)
    assert plan(cloud, "prod", "network", NETWORK, folder) == []
    mine = [{"Name": "vpc-id", "Values": [network["VpcId"]]}]
    subnets = client("ec2").describe_subnets(Filters=mine)["Subnets"]
    assert {subnet["SubnetId"] for subnet in subnets} == set(network["PrivateSubnetIds"].split(","))
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    endpoints = client("ec2").describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    kinds = {it["ServiceName"].rpartition(".")[2]: it["VpcEndpointType"] for it in endpoints}
    assert kinds == {"s3": "Gateway", **dict.fromkeys(("secretsmanager", "sqs", "lambda"), "Interface")}
    (functions,) = client("ec2").describe_security_groups(GroupIds=[network["FunctionsSecurityGroupId"]])[
        "SecurityGroups"
    ]
    assert functions["IpPermissions"] == []
    assert [rule["IpRanges"] for rule in functions["IpPermissionsEgress"]] == [[], []]

    folder = supported_here("database", tmp_path / "database")
    made = apply(cloud, "prod", "database", network, folder)
    assert set(made) == {"ClusterEndpoint", "ClusterResourceId", "DatabaseName", "FunctionsSecretArn", "ThroughProxy"}
    assert plan(cloud, "prod", "database", network, folder) == []
    (cluster,) = client("rds").describe_db_clusters()["DBClusters"]
    assert (cluster["DBClusterIdentifier"], cluster["StorageEncrypted"]) == ("hireflow-prod", True)
    assert cluster["DeletionProtection"] is True
    assert len(client("rds").describe_db_instances()["DBInstances"]) == 2
    secrets = client("secretsmanager")
    login = json.loads(secrets.get_secret_value(SecretId=made["FunctionsSecretArn"])["SecretString"])
    assert (login["username"], len(login["password"])) == ("hireflow_app", 40)
    groups = client("logs").describe_log_groups()["logGroups"]
    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        "/aws/rds/cluster/hireflow-prod/postgresql": 14,
        "/aws/rds/proxy/hireflow-prod": 14,
        "/aws/lambda/hireflow-prod-rotation": 14,
    }

    alone = {**network, "Standby": "false", "DeletionProtection": "false"}
    apply(cloud, "prod", "database", alone, folder)
    assert len(client("rds").describe_db_instances()["DBInstances"]) == 1
    delete(cloud, "prod", "database")
    assert client("rds").describe_db_clusters()["DBClusters"] == []
    kept = {f"{name}Log" for name in ("Postgres", "Proxy", "Rotation")}
    assert names(plan(cloud, "prod", "database", network, folder), "Import") == kept
    apply(cloud, "prod", "database", network, folder)
    assert len(client("logs").describe_log_groups()["logGroups"]) == len(kept)


def test_a_tiny_stage_has_an_instance_and_no_paid_endpoint(client: Client, cloud: Cloud, tmp_path: Path) -> None:
    parameters = {**NETWORK, **TINY.parameters_of("network")}
    network = apply(cloud, "prod", "network", parameters, supported_here("network", tmp_path / "network"))
    kinds = [it["VpcEndpointType"] for it in client("ec2").describe_vpc_endpoints()["VpcEndpoints"]]
    assert kinds == ["Gateway"]
    ids = {name: network[name] for name in ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")}
    folder = supported_here("instance", tmp_path / "instance")
    made = apply(cloud, "prod", "instance", ids, folder)
    assert plan(cloud, "prod", "instance", ids, folder) == []
    assert {"InstanceEndpoint", "DatabaseName"} <= set(made)
    (instance,) = client("rds").describe_db_instances()["DBInstances"]
    assert (instance["DBInstanceIdentifier"], instance["DBInstanceClass"]) == ("hireflow-prod-instance", "db.t4g.micro")
    assert (instance["StorageEncrypted"], instance["PubliclyAccessible"], instance["Engine"]) == (
        True,
        False,
        "postgres",
    )
    delete(cloud, "prod", "instance")
    assert client("rds").describe_db_instances()["DBInstances"] == []


@pytest.mark.parametrize("part", PARTS)
def test_resources_that_this_cloud_lacks_are_still_missing(cloudformation: Any, part: str) -> None:
    for kind in LACKING.get(part, ()):
        lone = {"Resources": {"It": next(iter(resources(parsed(part), kind).values()))}}
        with pytest.raises(ClientError, match=f"Unrecognized resource types: .*{kind}"):
            cloudformation.create_stack(StackName="lone", TemplateBody=json.dumps(lone))


def test_the_prefix_list_of_s3_is_found(client: Client) -> None:
    pattern = parsed("network")["Parameters"]["S3PrefixListId"]["AllowedPattern"]
    assert re.fullmatch(pattern, s3_prefix_list(client("ec2")))


def test_the_stacks_of_two_stages_are_independent(client: Client, cloud: Cloud) -> None:
    made = [apply(cloud, stage, "storage", {}) for stage in ("prod", "staging")]
    assert set(made[0].values()) & set(made[1].values()) == set()
    delete(cloud, "staging", "storage")
    assert outputs(cloud, "prod", "storage") == made[0]
