"""The CloudFormation stacks of a stage: one per part, made, changed and deleted by change sets.

`client` is a boto3 client of CloudFormation everywhere. Parameters are those that the part's template in
`templates/` describes, but for Stage, which is ours to give; what is left out has the template's default, also
where it had another value before.
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

PARTS = ("storage", "network", "database", "operations")  # each after those whose outputs it takes
TEMPLATES = Path(__file__).parent / "templates"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]  # database has roles, and a macro of AWS's
_PATIENCE = 3600  # seconds; a database and its proxy take twenty minutes
_NOTHING = json.dumps({"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})
_NEVER_MADE = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")


@dataclass(frozen=True)
class Change:
    """What would become of one resource.

    `action` is Add, Modify, Remove or Import (a resource that is there already, of a stack that was deleted),
    `name` its name in the template, `kind` its type, `replacement` whether it would be made anew, with the loss
    of what it holds: True, False, or None where this is known no sooner than it happens.
    """

    action: str
    name: str
    kind: str
    replacement: bool | None = False

    @classmethod
    def of(cls, change: Mapping[str, Any]) -> "Change":
        """From a ResourceChange of DescribeChangeSet."""
        replacement = {"True": True, "Conditional": None}.get(change.get("Replacement", ""), False)
        return cls(change["Action"], change["LogicalResourceId"], change["ResourceType"], replacement)

    def __str__(self) -> str:
        fate = {True: ", made anew", None: ", perhaps made anew", False: ""}[self.replacement]
        return f"{self.action} {self.name} ({self.kind}){fate}"


def stack_name(stage: str, part: str) -> str:
    return f"hireflow-{stage}-{part}"


def apply(
    client: Any, stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES
) -> dict[str, str]:
    """Create the stack, or change it to the template and parameters of now; returns its outputs.

    Buckets and logs that a deleted stack has left behind are taken over. Raises CloudError with the reason of the first
    resource that failed; the stack is then as it was before.
    """
    with _change_set(client, stage, part, parameters, templates) as (change_set, changes):
        if changes is not None:
            _execute(client, stack_name(stage, part), change_set)
    return outputs(client, stage, part)


def plan(
    client: Any, stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES
) -> list[Change]:
    """What `apply` would change, in no particular order. Nothing is changed, but that the empty stack which a failed
    creation has left is cleared away. Raises CloudError."""
    with _change_set(client, stage, part, parameters, templates) as (_, changes):
        return changes or []


def outputs(client: Any, stage: str, part: str) -> dict[str, str]:
    """The outputs of the stack by name. Raises CloudError where there is none."""
    stack = stack_name(stage, part)
    with _errors(stack):
        found = _described(client, stack)
    if found is None or found["StackStatus"] in _NEVER_MADE:
        raise CloudError(f"there is no stack {stack}")
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}


def delete(client: Any, stage: str, part: str) -> None:
    """Delete the stack, if there is one; its buckets and logs stay, and of its database a snapshot.

    Raises CloudError with the reason of the first resource that could not be deleted.
    """
    stack = stack_name(stage, part)
    with _errors(stack):
        found = _described(client, stack)
        if found is None:
            return
        token = _token()
        client.delete_stack(StackName=stack, ClientRequestToken=token)
        # By its id, since a name means a stack no more once that is deleted.
        if _ended(client, found["StackId"]) != "DELETE_COMPLETE":
            raise CloudError(f"{stack} is not deleted: {_reason(client, found['StackId'], token)}")


def s3_prefix_list(ec2: Any) -> str:
    """The parameter S3PrefixListId of network, found by a client of EC2 in its region. Raises CloudError."""
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
    """A change set for as long as it is needed, and its changes; None where nothing at all would change."""
    if part not in PARTS:
        raise CloudError(f"there is no part {part}: {', '.join(PARTS)}")
    stack, values = stack_name(stage, part), {"Stage": stage, **parameters}
    text = (templates / f"{part}.yaml").read_text()
    with _errors(stack), _stack(client, stage, part) as (kind, stack_id):
        made = client.create_change_set(
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
            yield made, _changes(client, made)
        finally:
            with _bygone("ChangeSetNotFound", "InvalidChangeSetStatus"):  # one that was executed goes by itself
                client.delete_change_set(ChangeSetName=made)


@contextmanager
def _stack(client: Any, stage: str, part: str) -> Iterator[tuple[str, str]]:
    """The kind of a change set for the stack, and the stack's id; an empty one, as long as nothing is put into it,
    where there is none, since the id tells the account."""
    stack = stack_name(stage, part)
    found = _described(client, stack)
    if found is not None and found["StackStatus"] not in _NEVER_MADE:
        yield "UPDATE", found["StackId"]
        return
    delete(client, stage, part)
    made = client.create_change_set(
        StackName=stack, ChangeSetName=f"hireflow-{_token()}", ChangeSetType="CREATE", TemplateBody=_NOTHING
    )
    try:
        yield "CREATE", made["StackId"]
    finally:
        if _status(client, stack) == "REVIEW_IN_PROGRESS":
            delete(client, stage, part)


def _with_names(text: str, stage: str, stack_id: str) -> str:
    """A template whose buckets and log groups have their names written out: CloudFormation takes over no others."""
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
        raise CloudError(f"{found['StackName']} cannot be changed so: {invalid or reason}")
    pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    return [Change.of(change["ResourceChange"]) for page in pages for change in page["Changes"]]


def _execute(client: Any, stack: str, change_set: str) -> None:
    token = _token()
    client.execute_change_set(ChangeSetName=change_set, ClientRequestToken=token)
    status = _ended(client, stack)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        raise CloudError(f"{stack} is {status}: {_reason(client, stack, token)}")


def _ended(client: Any, stack: str) -> str:
    """The status of the stack once nothing goes on in it any more."""
    for waiting in _patiently():
        status = _status(client, stack) or "DELETE_COMPLETE"
        if not status.endswith("_IN_PROGRESS"):
            break
        waiting()
    return status


def _reason(client: Any, stack: str, token: str) -> str:
    """Why the operation of this token failed: what failed first, since the rest is mostly `cancelled` for that."""
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
    """What CloudFormation found to be wrong before it touched a resource: it says so in events of their own."""
    try:
        pages = list(client.get_paginator("describe_events").paginate(**where, Filters={"FailedEvents": True}))
    except ClientError:  # it is only for a better message
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
    """Something to wait with, again and again: soon at first, then ever less often. Raises CloudError."""
    deadline, pause = time.monotonic() + _PATIENCE, 0.1

    def wait() -> None:
        if time.monotonic() > deadline:
            raise CloudError(f"CloudFormation is not done after {_PATIENCE} seconds")
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
def _bygone(*codes: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise


def _token() -> str:
    return uuid4().hex
