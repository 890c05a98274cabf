"""Protects the databases of a stack from deletion, and removes this protection before the stack is deleted.

This module sends requests to RDS. An update of the stack could do the same, but CloudFormation refuses updates after a
failed operation.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.aws.cloud import Cloud, ignored
from infra.aws.stack_status import resources

_CLUSTER, _INSTANCE = "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"
KINDS = (_CLUSTER, _INSTANCE)


@dataclass(frozen=True)
class _Database:
    kind: str
    name: str
    protected: bool


def protected(cloud: Cloud, stack: str) -> list[str]:
    """Return the names in RDS of the stack's databases that are protected from deletion."""
    return [database.name for database in _databases(cloud, stack) if database.protected]


def switch(cloud: Cloud, stack: str, *, on: bool) -> None:
    """Turn the protection of all databases of the stack on or off."""
    rds = cloud.client("rds")
    for database in _databases(cloud, stack):
        if database.protected == on:
            continue
        if database.kind == _CLUSTER:
            rds.modify_db_cluster(DBClusterIdentifier=database.name, DeletionProtection=on, ApplyImmediately=True)
        else:
            rds.modify_db_instance(DBInstanceIdentifier=database.name, DeletionProtection=on, ApplyImmediately=True)


def _databases(cloud: Cloud, stack: str) -> Iterator[_Database]:
    """Yield the databases of the stack that exist. Instances of a cluster are left out: the cluster protects them."""
    for resource in resources(cloud, stack):
        kind, name = resource["ResourceType"], resource.get("PhysicalResourceId")
        if kind not in KINDS or not name:
            continue
        rds = cloud.client("rds")
        with ignored("DBClusterNotFoundFault", "DBInstanceNotFound"):
            if kind == _CLUSTER:
                (found,) = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
            else:
                (found,) = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
            if kind == _CLUSTER or not found.get("DBClusterIdentifier"):
                yield _Database(kind, name, bool(found.get("DeletionProtection")))
