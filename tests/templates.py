"""Parses the CloudFormation templates, and checks the rules that they must keep.

A rule takes a template and yields a sentence for each violation. tests/unit/test_templates.py breaks every rule.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from cfnlint.decode import decode_str

from infra.aws.composition import PROXY, composed
from infra.aws.evaluation import applied
from infra.aws.stacks import PARTS, TEMPLATES

Template = dict[str, Any]
Rule = Callable[[Template], Iterator[str]]
_PRIVATE = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@cache
def _parsed(part: str, proxy: str) -> str:
    template, problems = decode_str(composed(TEMPLATES, part, {PROXY: proxy}))
    assert not problems
    return json.dumps(template)


def parsed(part: str, parameters: Mapping[str, str] = MappingProxyType({})) -> Template:
    """Return the whole template of a part with these parameters. The short forms of CloudFormation's functions, such as
    `!Ref`, are replaced by their long forms. The caller may change the template."""
    return dict(json.loads(_parsed(part, parameters.get(PROXY, "true"))))


def resources(template: Template, *kinds: str) -> dict[str, dict[str, Any]]:
    """Return the resources of these types by name, or all resources if no type is given.

    A Fn::ForEach makes several resources, but counts as one here. Its name is the expression that makes their names.
    """

    def below(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        items = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
        for name, value in items:
            if isinstance(value, dict) and str(value.get("Type", "")).startswith("AWS::"):
                yield str(name), value
            else:
                yield from below(value)

    return {name: it for name, it in below(template["Resources"]) if not kinds or it["Type"] in kinds}


def texts(tree: Any) -> Iterator[str]:
    """Yield all strings in a part of a template, at any depth."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(value)


def listed(value: Any) -> list[Any]:
    """Return a list: the value itself if it is a list, or else a list with the value. CloudFormation accepts both
    forms."""
    return value if isinstance(value, list) else [value]


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the statements of all policies, each with the name of its resource."""

    def below(tree: Any) -> Iterator[dict[str, Any]]:
        if isinstance(tree, dict):
            yield from tree.get("Statement", ())
        for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
            yield from below(value)

    for name, resource in resources(template).items():
        for statement in below(resource):
            yield name, statement


def without(template: Template, *kinds: str) -> Template:
    """Return a copy of a template without the resources of these types, and without the dependencies and outputs that
    name these resources."""
    copy = deepcopy(template)
    gone = resources(copy, *kinds)
    copy["Resources"] = {name: it for name, it in copy["Resources"].items() if name not in gone}
    for it in copy["Resources"].values():
        if isinstance(it, dict) and "DependsOn" in it:
            it["DependsOn"] = [name for name in listed(it["DependsOn"]) if name not in gone]

    def refers(tree: Any) -> bool:
        at = [tree["Ref"]] if isinstance(tree, dict) and "Ref" in tree else []
        at += listed(tree["Fn::GetAtt"])[:1] if isinstance(tree, dict) and "Fn::GetAtt" in tree else []
        inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
        return any(name in gone for name in at) or any(map(refers, inner))

    copy["Outputs"] = {name: it for name, it in copy["Outputs"].items() if not refers(it)}
    return copy


def buckets_are_closed(template: Template) -> Iterator[str]:
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        properties = bucket["Properties"]
        rules = properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        if not any(rule.get("ServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules):
            yield f"{name} is not encrypted"
        if not all(properties.get("PublicAccessBlockConfiguration", {}).get(way) is True for way in _PRIVATE):
            yield f"{name} can be opened to the public"
        if properties.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} has access control lists"
        policies = [
            policy["Properties"]
            for policy in resources(template, "AWS::S3::BucketPolicy").values()
            if policy["Properties"]["Bucket"] == {"Ref": name}
        ]
        refused = [s for policy in policies for s in policy["PolicyDocument"]["Statement"] if _refuses_plain(s)]
        arn = {"Fn::GetAtt": [name, "Arn"]}
        if not any(arn in s["Resource"] and {"Fn::Sub": f"${{{name}.Arn}}/*"} in s["Resource"] for s in refused):
            yield f"{name} can be reached without TLS"


def buckets_are_kept(template: Template) -> Iterator[str]:
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        if {bucket.get("DeletionPolicy"), bucket.get("UpdateReplacePolicy")} != {"Retain"}:
            yield f"{name} is deleted with its stack"
        for setting in {"NotificationConfiguration", "CorsConfiguration"} & set(bucket["Properties"]):
            yield f"{name} has a {setting}, but later steps of the deployment set it"


def buckets_do_not_grow_for_ever(template: Template) -> Iterator[str]:
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        rules = bucket["Properties"].get("LifecycleConfiguration", {"Rules": []})["Rules"]
        existing = {key for rule in rules if rule["Status"] == "Enabled" for key in rule}
        wanted = {"AbortIncompleteMultipartUpload"}
        if "VersioningConfiguration" in bucket["Properties"]:
            wanted |= {"NoncurrentVersionExpiration", "ExpiredObjectDeleteMarker"}
        if name != "Backup":
            wanted |= {"ExpirationInDays"}
        elif existing & {"ExpirationInDays", "ExpirationDate"}:
            yield "Backup has a rule that deletes objects by age, and so damages restore points"
        if wanted - existing:
            yield f"{name} has no rule with {sorted(wanted - existing)}"


def nothing_is_open_to_the_internet(template: Template) -> Iterator[str]:
    if not {"0.0.0.0/0", "::/0"}.isdisjoint(texts(template)):
        yield "a rule allows every address"
    ways = ("AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route", "AWS::EC2::EIP")
    for name in resources(template, *ways):
        yield f"{name} leads to the internet"
    for name, subnet in resources(template, "AWS::EC2::Subnet").items():
        if subnet["Properties"].get("MapPublicIpOnLaunch"):
            yield f"{name} assigns public addresses"
    for name, instance in resources(template, "AWS::RDS::DBInstance").items():
        if instance["Properties"].get("PubliclyAccessible") is not False:
            yield f"{name} has a public address"


def groups_allow_two_ports(template: Template) -> Iterator[str]:
    for name, group in resources(template, "AWS::EC2::SecurityGroup").items():
        if not group["Properties"].get("SecurityGroupEgress"):
            yield f"{name} has no egress rule, so AWS adds a rule that allows all outgoing traffic"
        for rule in [r for way in ("Ingress", "Egress") for r in group["Properties"].get(f"SecurityGroup{way}", ())]:
            if rule.get("CidrIp") != "127.0.0.1/32":
                yield from _rule(name, rule)
    for name, it in resources(template, "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress").items():
        yield from _rule(name, it["Properties"])


def _rule(name: str, rule: dict[str, Any]) -> Iterator[str]:
    if rule["IpProtocol"] != "tcp" or (rule["FromPort"], rule["ToPort"]) not in ((443, 443), (5432, 5432)):
        yield f"{name} allows more than HTTPS and Postgres"
    ends = {"SourceSecurityGroupId", "DestinationSecurityGroupId", "DestinationPrefixListId"}
    if not ends & set(rule):
        yield f"{name} allows IP addresses instead of security groups"


def policies_name_callers_and_actions(template: Template) -> Iterator[str]:
    for name, statement in statements(template):
        if statement["Effect"] != "Allow":
            continue
        condition = statement.get("Condition", {}).get("StringEquals", {})
        if statement.get("Principal") == "*" and condition.get("aws:PrincipalAccount") != {"Ref": "AWS::AccountId"}:
            yield f"{name} allows everybody"
        principal = statement.get("Principal")
        if (
            isinstance(principal, dict)
            and name not in _roles_of_proxies(template)
            and condition.get("aws:SourceAccount") != {"Ref": "AWS::AccountId"}
        ):
            yield f"{name} lets a service act on behalf of any account"
        if any(action == "*" or action.endswith(":*") for action in listed(statement["Action"])):
            yield f"{name} allows every action"
        if statement.get("Resource") == "*" and principal != "*":
            yield f"{name} allows its actions on all resources"


def proxies_can_use_their_roles(template: Template) -> Iterator[str]:
    """RDS Proxy "doesn't support any global condition context keys" (Amazon Aurora user guide, quotas of RDS Proxy).
    With such a key in a policy of its role, the proxy could not read its secrets, and every login would fail."""
    roles = _roles_of_proxies(template)
    for name, statement in statements(template):
        keys = [key for test in statement.get("Condition", {}).values() for key in test]
        if name in roles and any(key.lower().startswith("aws:") for key in keys):
            yield f"{name} has a global condition key, which RDS Proxy does not support"


def _roles_of_proxies(template: Template) -> set[str]:
    proxies = resources(template, "AWS::RDS::DBProxy").values()
    return {str(it["Properties"]["RoleArn"]["Fn::GetAtt"][0]) for it in proxies}


def endpoints_have_policies(template: Template) -> Iterator[str]:
    for name, endpoint in resources(template, "AWS::EC2::VPCEndpoint").items():
        if "PolicyDocument" not in endpoint["Properties"]:
            yield f"{name} has no policy and passes on every request"


def secrets_are_rotated(template: Template) -> Iterator[str]:
    rotated = [it["Properties"] for it in resources(template, "AWS::SecretsManager::RotationSchedule").values()]
    for name in resources(template, "AWS::SecretsManager::Secret"):
        mine = [it for it in rotated if it["SecretId"] == {"Ref": name}]
        if not any(0 < it.get("RotationRules", {}).get("AutomaticallyAfterDays", 0) <= 90 for it in mine):
            yield f"{name} is not rotated within 90 days"
    for name, database in _databases(template).items():
        properties = database["Properties"]
        if properties.get("ManageMasterUserPassword") is not True or "MasterUserPassword" in properties:
            yield f"{name} has a password that RDS does not rotate"


def _databases(template: Template) -> dict[str, dict[str, Any]]:
    """Return the clusters, and the instances that belong to no cluster."""
    instances = resources(template, "AWS::RDS::DBInstance").items()
    alone = {name: it for name, it in instances if "DBClusterIdentifier" not in it["Properties"]}
    return {**resources(template, "AWS::RDS::DBCluster"), **alone}


def database_is_safe(template: Template) -> Iterator[str]:
    for name, cluster in _databases(template).items():
        properties = cluster["Properties"]
        if properties.get("StorageEncrypted") is not True:
            yield f"{name} is not encrypted"
        protected = properties.get("DeletionProtection") == {"Ref": "DeletionProtection"}
        if not protected or template["Parameters"]["DeletionProtection"]["Default"] != "true":
            yield f"{name} can be deleted"
        if {cluster.get("DeletionPolicy"), cluster.get("UpdateReplacePolicy")} != {"Snapshot"}:
            yield f"{name} is deleted without a last snapshot"
        if properties.get("BackupRetentionPeriod", 1) < 14:
            yield f"{name} keeps its backups for less than 14 days"
        kind = "cluster" if cluster["Type"] == "AWS::RDS::DBCluster" else "instance"
        log = f"/aws/rds/{kind}/{properties[f'DB{kind.title()}Identifier']['Fn::Sub']}/postgresql"
        if properties.get("EnableCloudwatchLogsExports") != ["postgresql"] or log not in _logs(template):
            yield f"{name} does not export its log, or keeps it for ever"


def logins_are_safe(template: Template) -> Iterator[str]:
    for name, database in _databases(template).items():
        if database["Properties"].get("EnableIAMDatabaseAuthentication") is not True:
            yield f"{name} does not allow logins with IAM"
    groups = ("AWS::RDS::DBClusterParameterGroup", "AWS::RDS::DBParameterGroup")
    for name, settings in resources(template, *groups).items():
        if settings["Properties"]["Parameters"].get("rds.force_ssl") != "1":
            yield f"the parameters {name} allow logins without TLS"
    for name, proxy in resources(template, "AWS::RDS::DBProxy").items():
        properties = proxy["Properties"]
        if properties.get("RequireTLS") is not True:
            yield f"{name} allows logins without TLS"
        if any(way.get("IAMAuth") != "REQUIRED" for way in properties["Auth"]):
            yield f"{name} allows logins with a password"
        if f"/aws/rds/proxy/{properties['DBProxyName']['Fn::Sub']}" not in _logs(template):
            yield f"{name} keeps its log for ever"


def _logs(template: Template) -> set[str]:
    groups = resources(template, "AWS::Logs::LogGroup").values()
    return {group["Properties"]["LogGroupName"]["Fn::Sub"] for group in groups}


def queues_keep_their_messages(template: Template) -> Iterator[str]:
    for name, queue in resources(template, "AWS::SQS::Queue").items():
        if queue["Properties"].get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"
        if queue["Properties"].get("MessageRetentionPeriod") != 14 * 24 * 3600:
            yield f"{name} does not keep its messages for 14 days"
        policies = resources(template, "AWS::SQS::QueuePolicy").values()
        denied = [s for p in policies for s in p["Properties"]["PolicyDocument"]["Statement"] if _refuses_plain(s)]
        if not any(statement["Resource"] == {"Fn::GetAtt": [name, "Arn"]} for statement in denied):
            yield f"{name} can be reached without TLS"


def logs_expire(template: Template) -> Iterator[str]:
    for name, group in resources(template, "AWS::Logs::LogGroup").items():
        if not group["Properties"].get("RetentionInDays"):
            yield f"{name} is kept for ever"
        if {group.get("DeletionPolicy"), group.get("UpdateReplacePolicy")} != {"Retain"}:
            yield f"{name} is deleted with its stack: if its service recreates it, the next stack fails"


def alarms_notify_somebody(template: Template) -> Iterator[str]:
    topics = [{"Ref": name} for name in resources(template, "AWS::SNS::Topic")]
    for name, alarm in resources(template, "AWS::CloudWatch::Alarm").items():
        if not any(action in topics for action in alarm["Properties"].get("AlarmActions", ())):
            yield f"{name} notifies nobody"
        if "TreatMissingData" not in alarm["Properties"]:
            yield f"{name} does not define the meaning of missing data"
        if len("".join(texts(alarm["Properties"].get("AlarmDescription")))) < 20:
            yield f"{name} has no description of its meaning"


def parameters_are_described(template: Template) -> Iterator[str]:
    for name, parameter in template["Parameters"].items():
        if not parameter.get("Description"):
            yield f"{name} is not described"


def _refuses_plain(statement: dict[str, Any]) -> bool:
    """Return whether a statement denies every action to every caller that does not use TLS."""
    who, when = statement["Principal"], statement.get("Condition")
    everything = statement["Action"] in ("s3:*", "sqs:*")
    return (statement["Effect"], who, everything, when) == (
        "Deny",
        "*",
        True,
        {"Bool": {"aws:SecureTransport": "false"}},
    )


RULES: tuple[Rule, ...] = (
    buckets_are_closed,
    buckets_are_kept,
    buckets_do_not_grow_for_ever,
    nothing_is_open_to_the_internet,
    groups_allow_two_ports,
    policies_name_callers_and_actions,
    proxies_can_use_their_roles,
    endpoints_have_policies,
    secrets_are_rotated,
    database_is_safe,
    logins_are_safe,
    queues_keep_their_messages,
    logs_expire,
    alarms_notify_somebody,
    parameters_are_described,
)


def broken(template: Template, parameters: Mapping[str, str] = MappingProxyType({})) -> dict[str, list[str]]:
    """Return the violations in a template with these parameters, by the names of the broken rules."""
    template = applied(template, parameters)
    return {rule.__name__: violations for rule in RULES if (violations := list(rule(template)))}


class _Sub(str):
    """A text that is written to YAML with the tag `!Sub`. infra.aws.stacks looks for this tag."""


yaml.SafeDumper.add_representer(_Sub, lambda dumper, text: dumper.represent_scalar("!Sub", text))


def _short(tree: Any) -> Any:
    if isinstance(tree, dict):
        sub = tree.get("Fn::Sub")
        return _Sub(sub) if isinstance(sub, str) else {name: _short(value) for name, value in tree.items()}
    return [_short(value) for value in tree] if isinstance(tree, list) else tree


def written(template: Template, part: str, folder: Path) -> Path:
    """Write all templates into a folder, but `template` in place of the part's own template. Return the folder."""
    for other in PARTS:
        changed = yaml.safe_dump(_short(template), width=10_000) if other == part else None
        (folder / f"{other}.yaml").write_text(changed or composed(TEMPLATES, other, {}))
    return folder
