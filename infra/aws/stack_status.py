"""Reads the status of CloudFormation stacks, waits until an operation ends, and finds the reason of its failure.

`stack` is always the name or the id of a stack. CloudFormation finds a deleted stack only by its id.
"""

import re
from typing import Any

from botocore.exceptions import ClientError

from infra.aws.cloud import Cloud

REVIEW = "REVIEW_IN_PROGRESS"  # the status of an empty stack whose first change set was not executed yet


def described(cloud: Cloud, stack: str) -> dict[str, Any] | None:
    """Return what DescribeStacks says about the stack, or None if there is no such stack."""
    try:
        found: dict[str, Any] = cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return found


def status(cloud: Cloud, stack: str) -> str:
    """Return the status of the stack, which is DELETE_COMPLETE if there is no such stack."""
    found = described(cloud, stack)
    return str(found["StackStatus"]) if found else "DELETE_COMPLETE"


def ended(cloud: Cloud, stack: str) -> str:
    """Wait until the present operation of the stack ends, and return the status of the stack."""
    for wait in cloud.waits(f"stack {stack}"):
        if not (found := status(cloud, stack)).endswith("_IN_PROGRESS"):
            break
        wait()
    return found


def settled(cloud: Cloud, stack: str) -> dict[str, Any] | None:
    """Wait until no operation is in progress, and return the stack, or None if there is no such stack.

    An operation is in progress if another deployment has begun it and was then killed.
    """
    found = described(cloud, stack)
    if found and found["StackStatus"] != REVIEW and found["StackStatus"].endswith("_IN_PROGRESS"):
        ended(cloud, found["StackId"])
        found = described(cloud, stack)
    return found


def resources(cloud: Cloud, stack: str) -> list[dict[str, Any]]:
    """Return the resources of the stack that exist, each as in ListStackResources."""
    pages = cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    found = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [resource for resource in found if resource["ResourceStatus"] not in ("DELETE_COMPLETE", "DELETE_SKIPPED")]


def was_rolled_back(cloud: Cloud, stack: str) -> bool:
    """Return whether the creation of the stack failed. If it failed, nobody has ever used the stack."""
    begun = ("ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE", "CREATE_FAILED")
    return any(
        event["PhysicalResourceId"] == event["StackId"] and event["ResourceStatus"] in begun
        for event in _events(cloud, stack)
    )


def reason(cloud: Cloud, stack: str, token: str) -> str:
    """Return the reason of the first failure of an operation. The later failures mostly only say "cancelled".

    `token` is the ClientRequestToken of the operation.
    """
    failed = _failures(cloud, stack, token)
    if not failed:
        return "CloudFormation does not say why"
    first = failed[-1]
    if first["PhysicalResourceId"] == first["StackId"] and (found := invalid(cloud, StackName=stack)):
        return found
    return one_sentence(f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason')}")


def failed_resources(cloud: Cloud, stack: str, token: str) -> list[str]:
    """Return the logical ids of the resources that failed in this operation. A logical id is a name in the template."""
    names = {
        it["LogicalResourceId"] for it in _failures(cloud, stack, token) if it["PhysicalResourceId"] != it["StackId"]
    }
    return sorted(names)


def invalid(cloud: Cloud, **where: str) -> str | None:
    """Return the first error that CloudFormation found before it changed any resource, or None."""
    events = cloud.client("cloudformation").get_paginator("describe_events")
    try:
        pages = list(events.paginate(**where, Filters={"FailedEvents": True}))
    except ClientError:  # ignored, because this request only serves to improve a message
        return None
    reasons = (
        (event.get("LogicalResourceId"), event.get("ValidationStatusReason"))
        for page in pages
        for event in page["OperationEvents"]
    )
    return next((one_sentence(f"{name}: {reason}") for name, reason in reasons if reason), None)


def _failures(cloud: Cloud, stack: str, token: str) -> list[dict[str, Any]]:
    """Return the failures of the operation with this token, the newest first."""
    return [
        event
        for event in _events(cloud, stack)
        if event.get("ClientRequestToken") == token and event["ResourceStatus"].endswith("_FAILED")
    ]


def one_sentence(text: str) -> str:
    """Join the sentences of a message of AWS with semicolons, because our own message continues after it."""
    return re.sub(r"\.\s+", "; ", text).rstrip(".")


def _events(cloud: Cloud, stack: str) -> list[dict[str, Any]]:
    """Return the events of the stack, the newest first."""
    pages = cloud.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack)
    return [event for page in pages for event in page["StackEvents"]]
