"""Creates and executes change sets of CloudFormation."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from infra.aws import leftovers
from infra.aws.cloud import Cloud, ignored
from infra.aws.stack_status import described, ended, invalid, one_sentence, reason
from infra.errors import CloudError

_CAPABILITIES = [
    "CAPABILITY_IAM",
    "CAPABILITY_AUTO_EXPAND",
]  # the stack `database` has roles and uses a macro of AWS
_SECRET = re.compile(r"Type: AWS::SecretsManager::Secret\n(?:    .*\n)*?      Name: (\S+)\n")
# Replacing one of these loses data, or takes the network away from the database and the functions that are in it.
_IRREPLACEABLE = tuple(
    f"AWS::{kind}"
    for kind in ("EC2::SecurityGroup", "EC2::Subnet", "EC2::VPC", "RDS::DBCluster", "RDS::DBInstance", "S3::Bucket")
)
_PROTECTION = "DeletionProtection"  # the parameter of templates with a database


@dataclass(frozen=True)
class Change:
    """A planned change of one resource.

    `action` is Add, Modify, Remove or Import. Import takes over a resource that a deleted stack has left behind.
    `name` is the resource's name in the template, and `kind` its type. `replacement` says whether CloudFormation would
    replace the resource, so that its data would be lost. It is None if CloudFormation decides this only during the
    change.
    """

    action: str
    name: str
    kind: str
    replacement: bool | None = False

    @classmethod
    def of(cls, change: Mapping[str, Any]) -> "Change":
        """Convert a ResourceChange from DescribeChangeSet."""
        replacement = {"True": True, "Conditional": None}.get(change.get("Replacement", ""), False)
        return cls(change["Action"], change["LogicalResourceId"], change["ResourceType"], replacement)

    def __str__(self) -> str:
        effect = {True: ", replaced", None: ", perhaps replaced", False: ""}[self.replacement]
        return f"{self.action} {self.name} ({self.kind}){effect}"


@dataclass(frozen=True)
class Wanted:
    """Describes the state that a stack should have.

    `template` is the text of the composed template. `parameters` are its parameters, which include the stage.
    """

    stack: str
    stage: str
    template: str
    parameters: Mapping[str, str]

    @property
    def protects(self) -> bool:
        """Return whether the stack has databases that RDS protects from deletion. Protection is the default."""
        if f"\n  {_PROTECTION}:\n" not in self.template:
            return False
        return self.parameters.get(_PROTECTION, "true") == "true"

    def unprotected(self) -> "Wanted":
        """Return the same state, but without the protection of the databases."""
        return replace(self, parameters={**self.parameters, _PROTECTION: "false"})

    def with_names(self, stack_id: str) -> str:
        """Return the template with the values of variables in the names of buckets, log groups and secrets.

        CloudFormation cannot import a resource if its name in the template contains a function such as !Sub.
        """
        _, partition, _, region, account, *_ = stack_id.split(":")
        known = {"Stage": self.stage, "AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": partition}

        def written_out(found: re.Match[str]) -> str:
            return found[1] + re.sub(r"\$\{([\w:]+)\}", lambda name: known[name[1]], found[2])

        return re.sub(r"(\n      (?:BucketName|LogGroupName|Name): )!Sub (\S+)", written_out, self.template)


@contextmanager
def change_set(cloud: Cloud, wanted: Wanted, stack_id: str, kind: str) -> Iterator[tuple[str, list[Change] | None]]:
    """Create a change set, yield its id and its changes (None if nothing changes), and delete the change set.

    `kind` is CREATE or UPDATE. The change set may import resources only if a deleted stack has left buckets or log
    groups behind, because CloudFormation refuses such change sets in more cases.
    """
    client, template = cloud.client("cloudformation"), wanted.with_names(stack_id)
    own = wanted.stack if kind == "UPDATE" else None
    buckets, log_groups = (_named(template, name) for name in ("BucketName", "LogGroupName"))
    imports = leftovers.any_exists(cloud, buckets, log_groups, own)
    created = client.create_change_set(
        StackName=wanted.stack,
        ChangeSetName=f"hireflow-{token()}",
        ChangeSetType=kind,
        TemplateBody=template,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in wanted.parameters.items()],
        Capabilities=_CAPABILITIES,
        Tags=[{"Key": "application", "Value": "hireflow"}, {"Key": "stage", "Value": wanted.stage}],
        **({"ImportExistingResources": True} if imports else {}),
    )["Id"]
    try:
        yield created, _changes(cloud, created)
    finally:
        with ignored("ChangeSetNotFound", "InvalidChangeSetStatus"):  # an executed change set no longer exists
            client.delete_change_set(ChangeSetName=created)


def free_secrets(cloud: Cloud, wanted: Wanted, stack_id: str, kind: str) -> None:
    """Undo what a person has done who deleted secrets of the template, because AWS keeps the names of deleted secrets.

    For a new stack, this function deletes these secrets for good, which frees their names. For an existing stack, it
    restores them. `kind` is CREATE or UPDATE.
    """
    for name in _SECRET.findall(wanted.with_names(stack_id)):
        if kind == "CREATE":
            leftovers.free_secret(cloud, name)
        else:
            leftovers.restore_secret(cloud, name)


def check_harmless(stack: str, changes: Iterable[Change]) -> None:
    """Raise CloudError if a change replaces a resource with data, or a part of the network in which data are."""
    names = sorted(change.name for change in changes if change.replacement and change.kind in _IRREPLACEABLE)
    if names:
        raise CloudError(
            f"stack {stack} is not changed, because this would replace {', '.join(names)}; take back the change of its"
            " parameters, or, if somebody has deleted its network, run make destroy, which keeps the data, and then"
            " make deploy"
        )


def execute(cloud: Cloud, stack: str, change_set: str) -> None:
    """Execute a change set and wait until it ends. Raises CloudError with the reason of the first failure."""
    mark = token()
    cloud.client("cloudformation").execute_change_set(ChangeSetName=change_set, ClientRequestToken=mark)
    status = ended(cloud, stack)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        why = reason(cloud, stack, mark) if described(cloud, stack) else "somebody has deleted it"
        cure = "delete or rename this resource" if "already exists" in why else "remove the cause"
        raise CloudError(f"stack {stack} is {status}: {why}; {cure} and run the same command again")


def _named(template: str, name: str) -> list[str]:
    return re.findall(rf"\n      {name}: ['\"]?([^\s'\"]+)", template)


def token() -> str:
    return uuid4().hex


def _changes(cloud: Cloud, change_set: str) -> list[Change] | None:
    client = cloud.client("cloudformation")
    for wait in cloud.waits("the change set"):
        found = client.describe_change_set(ChangeSetName=change_set)
        if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            break
        wait()
    if found["Status"] != "CREATE_COMPLETE":
        why = found.get("StatusReason", found["Status"])
        if "didn't contain changes" in why or "No updates are to be performed" in why:
            return None
        why = invalid(cloud, ChangeSetName=change_set) or one_sentence(why)
        raise CloudError(f"stack {found['StackName']} cannot be changed: {why}; correct this and run the command again")
    pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    return [Change.of(change["ResourceChange"]) for page in pages for change in page["Changes"]]
