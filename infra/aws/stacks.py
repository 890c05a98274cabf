"""Creates, updates and deletes the CloudFormation stacks of a stage, one for each part, with change sets.

The template of a part in `templates/` describes the parameters of the part. This module adds the parameter Stage. If a
parameter is omitted, it gets the default of the template, even if the stack had another value before.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.aws import protection, repair
from infra.aws.changes import Change, Wanted, change_set, check_harmless, execute, free_secrets, token
from infra.aws.cloud import Cloud, errors
from infra.aws.composition import composed
from infra.aws.stack_status import REVIEW, described, status
from infra.errors import CloudError

# Each part comes after the parts whose outputs it needs.
PARTS = ("storage", "network", "database", "instance", "operations", "queries")
TEMPLATES = Path(__file__).parent / "templates"
_NOTHING = json.dumps({"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})


def stack_name(stage: str, part: str) -> str:
    return f"hireflow-{stage}-{part}"


def apply(
    cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES
) -> dict[str, str]:
    """Create the stack, or update it to the present template and parameters. Return its outputs.

    This function first repairs the stack if a previous operation has failed. The stack imports buckets and logs that a
    deleted stack has left behind. If a resource fails, CloudFormation rolls the stack back. This function then raises
    CloudError, which contains the reason of the first failure and says what to do. It also raises CloudError, before it
    changes anything, if the update would replace a resource that holds data or that the database needs.
    """
    state = wanted(stage, part, parameters, templates)
    with errors(state.stack):
        stack_id = repair.repaired(cloud, state.stack)
        if stack_id is None and state.protects:
            # RDS does not delete a protected database, so CloudFormation could not roll back a failed creation.
            stack_id = _apply(cloud, state.unprotected(), None)
        _apply(cloud, state, stack_id)
        if state.protects:  # an interrupted destruction may have removed the protection
            protection.switch(cloud, state.stack, on=True)
    return outputs(cloud, stage, part)


def plan(
    cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES
) -> list[Change]:
    """Return what `apply` would change, in no particular order. Raises CloudError.

    This changes nothing, except that it deletes the empty stack of a failed creation.
    """
    state = wanted(stage, part, parameters, templates)
    with (
        errors(state.stack),
        _place(cloud, state.stack, repair.ready(cloud, state.stack)) as (kind, stack_id),
        change_set(cloud, state, stack_id, kind) as (_, changes),
    ):
        return changes or []


def outputs(cloud: Cloud, stage: str, part: str) -> dict[str, str]:
    """Return the outputs of the stack by name. Raises CloudError if there is no such stack."""
    stack = stack_name(stage, part)
    with errors(stack):
        found = described(cloud, stack)
    if found is None or found["StackStatus"] in repair.NEVER_MADE:
        raise CloudError(f"there is no stack {stack}")
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}


def exists(cloud: Cloud, stage: str, part: str) -> bool:
    """Return whether the stack exists, even if it is empty or broken."""
    stack = stack_name(stage, part)
    with errors(stack):
        return described(cloud, stack) is not None


def delete(cloud: Cloud, stage: str, part: str) -> list[str]:
    """Delete the stack if it exists. Its buckets, its logs and a snapshot of its database stay.

    Return the names of the resources that are left behind because AWS cannot delete them. Resources are left behind
    only if a previous deletion has failed, too. Raises CloudError with the reason why the first resource could not be
    deleted.
    """
    stack = stack_name(stage, part)
    with errors(stack):
        return repair.remove(cloud, stack, leave=True)


def s3_prefix_list(ec2: Any) -> str:
    """Return the value of the parameter S3PrefixListId of network.yaml. `ec2` is an EC2 client. Raises CloudError."""
    name = f"com.amazonaws.{ec2.meta.region_name}.s3"
    with errors("the prefix list of S3"):
        found = ec2.describe_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    if not found:
        raise CloudError(f"there is no prefix list {name}; choose another region, and run the same command again")
    return str(found[0]["PrefixListId"])


def wanted(stage: str, part: str, parameters: Mapping[str, str], templates: Path = TEMPLATES) -> Wanted:
    """Return the wanted state of a stack. Raises CloudError if there is no such part."""
    if part not in PARTS:
        raise CloudError(f"there is no part {part}: choose one of {', '.join(PARTS)}")
    values = {"Stage": stage, **parameters}
    return Wanted(stack_name(stage, part), stage, composed(templates, part, values), values)


def _apply(cloud: Cloud, wanted: Wanted, stack_id: str | None) -> str:
    """Create the stack, or update the stack with this id. Return its id."""
    with _place(cloud, wanted.stack, stack_id) as (kind, found_id):
        free_secrets(cloud, wanted, found_id, kind)
        with change_set(cloud, wanted, found_id, kind) as (change_set_id, changes):
            if changes is not None:
                check_harmless(wanted.stack, changes)
                execute(cloud, wanted.stack, change_set_id)
    return found_id


@contextmanager
def _place(cloud: Cloud, stack: str, stack_id: str | None) -> Iterator[tuple[str, str]]:
    """Yield the type of the change set for the stack, and the stack's id.

    If the stack does not exist, create an empty stack. The id of this stack contains the number of the account, which
    the names of buckets need. If the stack is still empty at the end, delete it again.
    """
    if stack_id is not None:
        yield "UPDATE", stack_id
        return
    created = cloud.client("cloudformation").create_change_set(
        StackName=stack, ChangeSetName=f"hireflow-{token()}", ChangeSetType="CREATE", TemplateBody=_NOTHING
    )
    try:
        yield "CREATE", created["StackId"]
    finally:
        if status(cloud, stack) == REVIEW:
            repair.remove(cloud, stack)
