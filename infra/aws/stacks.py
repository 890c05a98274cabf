"""Creates, updates and deletes the CloudFormation stacks of a stage, one for each part, with change sets.

`client` is always a boto3 client of CloudFormation. The template of a part in `templates/` describes the parameters of
the part; this module adds the parameter Stage. An omitted parameter gets the template's default, even if the stack had
another value before.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from infra.errors import CloudError

# Each part comes after the parts whose outputs it needs.
PARTS = ("storage", "network", "database", "operations", "queries")
TEMPLATES = Path(__file__).parent / "templates"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]  # the database part has roles and a macro of AWS
_PATIENCE = 3600  # seconds; a database with its proxy takes about twenty minutes
_NOTHING = json.dumps({"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})
_NEVER_MADE = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")


@dataclass(frozen=True)
class Change:
    """A planned change of one resource.

    `action` is Add, Modify, Remove or Import. Import takes over a resource that a deleted stack has left behind.
    `name` is the resource's name in the template, and `kind` its type. `replacement` says whether the resource would be
    replaced, with the loss of its data: True, False, or None if CloudFormation decides this only during the change.
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


def stack_name(stage: str, part: str) -> str:
    return f"hireflow-{stage}-{part}"


def apply(
    client: Any, stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES
) -> dict[str, str]:
    """Create the stack, or update it to the present template and parameters. Return its outputs.

    The stack takes over buckets and logs that a deleted stack has left behind. If a resource fails, CloudFormation
    rolls the stack back, and this function raises CloudError with the reason of the first failure.
    """
    with _change_set(client, stage, part, parameters, templates) as (change_set, changes):
        if changes is not None:
            _execute(client, stack_name(stage, part), change_set)
    return outputs(client, stage, part)


def plan(
    client: Any, stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES
) -> list[Change]:
    """Return what `apply` would change, in no particular order. Raises CloudError.

    This changes nothing, except that it deletes an empty stack that a failed creation has left behind.
    """
    with _change_set(client, stage, part, parameters, templates) as (_, changes):
        return changes or []


def outputs(client: Any, stage: str, part: str) -> dict[str, str]:
    """Return the outputs of the stack by name. Raises CloudError if there is no such stack."""
    stack = stack_name(stage, part)
    with _errors(stack):
        found = _described(client, stack)
    if found is None or found["StackStatus"] in _NEVER_MADE:
        raise CloudError(f"there is no stack {stack}")
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}


def delete(client: Any, stage: str, part: str) -> None:
    """Delete the stack if it exists. Its buckets, its logs and a snapshot of its database stay.

    Raises CloudError with the reason of the first resource that could not be deleted.
    """
    stack = stack_name(stage, part)
    with _errors(stack):
        found = _described(client, stack)
        if found is None:
            return
        token = _token()
        client.delete_stack(StackName=stack, ClientRequestToken=token)
        # Describe the stack by its id, because CloudFormation finds no deleted stack by its name.
        if _ended(client, found["StackId"]) != "DELETE_COMPLETE":
            raise CloudError(f"stack {stack} is not deleted: {_reason(client, found['StackId'], token)}")


def s3_prefix_list(ec2: Any) -> str:
    """Return the parameter S3PrefixListId of the network part for the region of an EC2 client. Raises CloudError."""
    name = f"com.amazonaws.{ec2.meta.region_name}.s3"
    with _errors("the prefix list of S3"):
        found = ec2.describe_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    if not found:
        raise CloudError(f"there is no prefix list {name}")
    return str(found[0]["PrefixListId"])


@contextmanager
def _change_set(
    client: Any, stage: str, part: str, parameters: Mapping[str, str], templates: Path
) -> Iterator[tuple[str, list[Change] | None]]:
    """Create a change set, yield its id and its changes (None if nothing changes), and delete the change set."""
    if part not in PARTS:
        raise CloudError(f"there is no part {part}: choose one of {', '.join(PARTS)}")
    stack, values = stack_name(stage, part), {"Stage": stage, **parameters}
    text = (templates / f"{part}.yaml").read_text()
    with _errors(stack), _stack(client, stage, part) as (kind, stack_id):
        created = client.create_change_set(
            StackName=stack,
            ChangeSetName=f"hireflow-{_token()}",
            ChangeSetType=kind,
            TemplateBody=_with_names(text, stage, stack_id),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
            Capabilities=_CAPABILITIES,
            Tags=[{"Key": "application", "Value": "hireflow"}, {"Key": "stage", "Value": stage}],
            ImportExistingResources=True,
        )["Id"]
        try:
            yield created, _changes(client, created)
        finally:
            with _ignored("ChangeSetNotFound", "InvalidChangeSetStatus"):  # an executed change set no longer exists
                client.delete_change_set(ChangeSetName=created)


@contextmanager
def _stack(client: Any, stage: str, part: str) -> Iterator[tuple[str, str]]:
    """Yield the type of the change set for the stack, and the stack's id.

    If the stack does not exist, an empty one is created, because the stack's id contains the account's number, which
    `_with_names` needs. An empty stack to which nothing is deployed is deleted again.
    """
    stack = stack_name(stage, part)
    found = _described(client, stack)
    if found is not None and found["StackStatus"] not in _NEVER_MADE:
        yield "UPDATE", found["StackId"]
        return
    delete(client, stage, part)
    created = client.create_change_set(
        StackName=stack, ChangeSetName=f"hireflow-{_token()}", ChangeSetType="CREATE", TemplateBody=_NOTHING
    )
    try:
        yield "CREATE", created["StackId"]
    finally:
        if _status(client, stack) == "REVIEW_IN_PROGRESS":
            delete(client, stage, part)


def _with_names(text: str, stage: str, stack_id: str) -> str:
    """Write the names of buckets and log groups into a template. CloudFormation can import only named resources."""
    _, partition, _, region, account, *_ = stack_id.split(":")
    known = {"Stage": stage, "AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": partition}

    def written_out(found: re.Match[str]) -> str:
        return found[1] + re.sub(r"\$\{([\w:]+)\}", lambda name: known[name[1]], found[2])

    return re.sub(r"((?:BucketName|LogGroupName): )!Sub (\S+)", written_out, text)


def _changes(client: Any, change_set: str) -> list[Change] | None:
    for waiting in _patiently():
        found = client.describe_change_set(ChangeSetName=change_set)
        if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            break
        waiting()
    if found["Status"] != "CREATE_COMPLETE":
        reason = found.get("StatusReason", found["Status"])
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            return None
        invalid = _invalid(client, ChangeSetName=change_set)
        raise CloudError(f"stack {found['StackName']} cannot be changed: {invalid or reason}")
    pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    return [Change.of(change["ResourceChange"]) for page in pages for change in page["Changes"]]


def _execute(client: Any, stack: str, change_set: str) -> None:
    token = _token()
    client.execute_change_set(ChangeSetName=change_set, ClientRequestToken=token)
    status = _ended(client, stack)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        raise CloudError(f"stack {stack} is {status}: {_reason(client, stack, token)}")


def _ended(client: Any, stack: str) -> str:
    """Wait until no operation is in progress, and return the status of the stack."""
    for waiting in _patiently():
        status = _status(client, stack) or "DELETE_COMPLETE"
        if not status.endswith("_IN_PROGRESS"):
            break
        waiting()
    return status


def _reason(client: Any, stack: str, token: str) -> str:
    """Return the reason of the operation's first failure. Later failures mostly say only that they were cancelled."""
    pages = client.get_paginator("describe_stack_events").paginate(StackName=stack)
    failed = [
        event
        for page in pages
        for event in page["StackEvents"]  # newest first
        if event.get("ClientRequestToken") == token and event["ResourceStatus"].endswith("_FAILED")
    ]
    if not failed:
        return "CloudFormation does not say why"
    first = failed[-1]
    if first["PhysicalResourceId"] == first["StackId"] and (invalid := _invalid(client, StackName=stack)):
        return invalid
    return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason')}"


def _invalid(client: Any, **where: str) -> str | None:
    """Return the first error that CloudFormation found before it changed any resource, or None."""
    try:
        pages = list(client.get_paginator("describe_events").paginate(**where, Filters={"FailedEvents": True}))
    except ClientError:  # ignored, because this request only serves to improve a message
        return None
    reasons = (
        (event.get("LogicalResourceId"), event.get("ValidationStatusReason"))
        for page in pages
        for event in page["OperationEvents"]
    )
    return next((f"{name}: {reason}" for name, reason in reasons if reason), None)


def _status(client: Any, stack: str) -> str | None:
    found = _described(client, stack)
    return found["StackStatus"] if found else None


def _described(client: Any, stack: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return found


def _patiently() -> Iterator[Any]:
    """Yield functions that wait, each longer than the one before. They raise CloudError after _PATIENCE seconds."""
    deadline, pause = time.monotonic() + _PATIENCE, 0.1

    def wait() -> None:
        if time.monotonic() > deadline:
            raise CloudError(f"CloudFormation has not finished after {_PATIENCE} seconds")
        time.sleep(pause)

    while True:
        yield wait
        pause = min(pause * 1.5, 10)


@contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudError(f"{what}: {error}") from error


@contextmanager
def _ignored(*codes: str) -> Iterator[None]:
    """Ignore ClientErrors with these codes."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise


def _token() -> str:
    return uuid4().hex
