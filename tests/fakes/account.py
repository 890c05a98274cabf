"""A fake AWS account. It holds resources, makes and deletes the resources of stacks, and fails as the tests demand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.fakes.templates import name_property
from tests.fakes.wire import Refused, client

CLUSTER, INSTANCE, SECRET = "AWS::RDS::DBCluster", "AWS::RDS::DBInstance", "AWS::SecretsManager::Secret"
BUCKET, LOG_GROUP = "AWS::S3::Bucket", "AWS::Logs::LogGroup"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process that deploys was killed. Until the next process starts, every request and every wait raises this."""


class Failed(Exception):
    """A resource cannot be made, changed or deleted."""


@dataclass
class Thing:
    """An existing resource. `physical` is its name in the account. `owner` is the id of its stack, or None without a
    stack."""

    kind: str
    physical: str
    properties: Any
    owner: str | None = None
    protected: bool = False
    scheduled_for_deletion: bool = False


@dataclass
class Failure:
    """Makes one action on a resource fail. This happens `times` times.

    `action` is create, update, delete or rollback (to undo an update). If `late` is true, a failed creation leaves the
    resource behind, as if the resource had never become ready.
    """

    resource: str
    action: str
    times: int = 1
    late: bool = False


@dataclass
class FakeAccount:
    """An account without stacks. The class FakeAws in tests/fakes/cloudformation.py adds the stacks.

    `calls` counts the requests and waits of the process that deploys. `die_at` is the number of the call at which the
    process is killed. `sent` are the requests so far: service, operation and parameters.
    """

    things: dict[tuple[str, str], Thing] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    databases_made: int = 0
    deleted: set[str] = field(default_factory=set)  # ids of parts of networks, which nothing gets a second time
    snapshots: list[str] = field(default_factory=list)  # names of the databases of which RDS made a final snapshot
    watch: Callable[[], None] = lambda: None  # runs at every request and every wait
    calls: int = 0
    die_at: int | None = None
    sent: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = count(1)

    # --- the process that deploys

    def client(self, service: str) -> Any:
        return client(service, self.backend(service), self.admit, lambda *request: self.sent.append(request))

    def backend(self, service: str) -> object:
        return {"rds": Rds, "s3": S3, "logs": Logs, "secretsmanager": SecretsManager}[service](self)

    def admit(self) -> None:
        self.calls += 1
        self.watch()
        if self.die_at is not None and self.calls >= self.die_at:
            raise Killed

    def new_process(self, die_after: int | None = None) -> None:
        """Start another process, which is killed after this many calls."""
        self.die_at = None if die_after is None else self.calls + die_after + 1

    # --- resources

    def make(self, name: str, kind: str, properties: Any, owner: str) -> Thing:
        """Make a resource. `name` is its name in the template. Raises Failed."""
        failure = self._due(name, "create")
        if failure and not failure.late:
            raise Failed(f"{kind} cannot be made. Resource handler returned an error.")
        own = str(properties.get(name_property(kind), "")) if isinstance(properties, dict) else ""
        physical = own or f"{owner.split('/')[1]}-{name}-{next(self.numbers)}".lower()
        if gone := self.deleted & _names(properties):
            raise Failed(f"The resource {min(gone)} does not exist.")
        existing = self.things.get((kind, physical))
        if existing and existing.scheduled_for_deletion:
            raise Failed(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        if existing:
            raise Failed(f"Resource of type '{kind}' with identifier '{physical}' already exists.")
        thing = Thing(kind, physical, properties, owner)
        thing.protected = is_true(properties, "DeletionProtection")
        self.things[kind, physical] = thing
        self.databases_made += is_database(thing)
        if failure:
            raise Failed(f"{kind} did not stabilize.")
        return thing

    def change(self, name: str, thing: Thing, properties: Any, action: str) -> None:
        """Give a resource other properties. `action` is update or rollback. Raises Failed."""
        if self._due(name, action):
            raise Failed(f"{thing.kind} cannot be changed.")
        if is_true(thing.properties, "DeletionProtection") != is_true(properties, "DeletionProtection"):
            thing.protected = is_true(properties, "DeletionProtection")
        thing.properties = properties

    def unmake(self, name: str, thing: Thing, policy: str) -> None:
        """Delete a resource for its stack. Raises Failed."""
        if self.things.get((thing.kind, thing.physical)) is not thing:
            return  # a person has deleted it already
        if self._due(name, "delete"):
            raise Failed(f"{thing.kind} cannot be deleted.")
        if thing.protected:
            raise Failed("Cannot delete protected Cluster, please disable deletion protection and try again.")
        if self._users(thing):
            raise Failed(f"resource {thing.physical} has a dependent object")
        if policy == "Snapshot":
            self.snapshots.append(thing.physical)
        del self.things[thing.kind, thing.physical]
        if thing.kind.startswith("AWS::EC2"):
            self.deleted.add(thing.physical)

    def find(self, kind: str, physical: str) -> Thing | None:
        return self.things.get((kind, physical))

    def of_kind(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things.values() if thing.kind == kind]

    def _due(self, name: str, action: str) -> Failure | None:
        for failure in self.failures:
            if (failure.resource, failure.action) == (name, action) and failure.times:
                failure.times -= 1
                return failure
        return None

    def _users(self, thing: Thing) -> list[str]:
        """Return the resources that use this one, so that it cannot be deleted: users of a part of the network, or
        instances of a cluster."""
        others = [it for it in self.things.values() if it is not thing and it.kind.startswith(("AWS::EC2", "AWS::RDS"))]
        if thing.kind == CLUSTER:
            return [it.physical for it in others if _cluster_of(it) == thing.physical]
        if not thing.kind.startswith("AWS::EC2::"):
            return []
        return [it.physical for it in others if thing.physical in _names(it.properties)]


def is_database(thing: Thing) -> bool:
    """Return whether the resource has data of its own. The data of an instance of a cluster belong to the cluster."""
    return thing.kind == CLUSTER or (thing.kind == INSTANCE and _cluster_of(thing) is None)


def _cluster_of(thing: Thing) -> str | None:
    return thing.properties.get("DBClusterIdentifier") if thing.kind == INSTANCE else None


def is_true(properties: Any, name: str) -> bool:
    return isinstance(properties, dict) and str(properties.get(name, "false")).lower() == "true"


def _names(tree: Any) -> set[str]:
    """Return all texts in a tree of properties. A parameter of a type List passes its texts as one."""
    if isinstance(tree, str):
        return set(tree.split(","))
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return set[str]().union(*map(_names, parts))


@dataclass
class Rds:
    account: FakeAccount

    def describe_db_clusters(self, DBClusterIdentifier: str) -> dict[str, Any]:  # noqa: N803
        thing = self._found(CLUSTER, DBClusterIdentifier, "DBClusterNotFoundFault")
        return {"DBClusters": [{"DBClusterIdentifier": thing.physical, "DeletionProtection": thing.protected}]}

    def modify_db_cluster(self, **given: Any) -> dict[str, Any]:
        thing = self._found(CLUSTER, given["DBClusterIdentifier"], "DBClusterNotFoundFault")
        thing.protected = given["DeletionProtection"]
        return {"DBCluster": {"DBClusterIdentifier": thing.physical, "DeletionProtection": thing.protected}}

    def describe_db_instances(self, DBInstanceIdentifier: str) -> dict[str, Any]:  # noqa: N803
        thing = self._found(INSTANCE, DBInstanceIdentifier, "DBInstanceNotFound")
        cluster = thing.properties.get("DBClusterIdentifier")
        about = {"DBInstanceIdentifier": thing.physical, "DeletionProtection": thing.protected}
        return {"DBInstances": [{**about, **({"DBClusterIdentifier": cluster} if cluster else {})}]}

    def modify_db_instance(self, **given: Any) -> dict[str, Any]:
        thing = self._found(INSTANCE, given["DBInstanceIdentifier"], "DBInstanceNotFound")
        if thing.properties.get("DBClusterIdentifier"):
            raise Refused("InvalidDBInstanceState", "The instance belongs to a cluster; modify the cluster instead.")
        thing.protected = given["DeletionProtection"]
        return {"DBInstance": {"DBInstanceIdentifier": thing.physical, "DeletionProtection": thing.protected}}

    def _found(self, kind: str, name: str, code: str) -> Thing:
        thing = self.account.find(kind, name)
        if thing is None:
            raise Refused(code, f"{name} not found.")
        return thing


@dataclass
class S3:
    account: FakeAccount

    def head_bucket(self, Bucket: str) -> None:  # noqa: N803
        if self.account.find(BUCKET, Bucket) is None:
            raise Refused("404", "Not Found")


@dataclass
class Logs:
    account: FakeAccount

    def describe_log_groups(self, logGroupNamePrefix: str) -> dict[str, Any]:  # noqa: N803
        names = [thing.physical for thing in self.account.of_kind(LOG_GROUP)]
        return {"logGroups": [{"logGroupName": name} for name in names if name.startswith(logGroupNamePrefix)]}


@dataclass
class SecretsManager:
    account: FakeAccount

    def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        thing = self._found(SecretId)
        return {"Name": SecretId, **({"DeletedDate": NOW} if thing.scheduled_for_deletion else {})}

    def delete_secret(self, SecretId: str, ForceDeleteWithoutRecovery: bool = False) -> dict[str, Any]:  # noqa: N803
        thing = self._found(SecretId)
        if ForceDeleteWithoutRecovery:
            del self.account.things[SECRET, SecretId]
        thing.scheduled_for_deletion = True
        return {"Name": SecretId}

    def restore_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        self._found(SecretId).scheduled_for_deletion = False
        return {"Name": SecretId}

    def _found(self, name: str) -> Thing:
        thing = self.account.find(SECRET, name)
        if thing is None:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return thing
