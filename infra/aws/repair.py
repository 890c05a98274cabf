"""Repairs stacks after failed or interrupted operations, so that they can be updated again, and deletes stacks."""

from infra.aws import protection
from infra.aws.changes import token
from infra.aws.cloud import Cloud
from infra.aws.stack_status import ended, failed_resources, reason, resources, settled, was_rolled_back
from infra.errors import CloudError

NEVER_MADE = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
_EMPTY = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")
_SAME = "remove the cause and run the same command again"
# The number of attempts to delete a stack. The first ones may fail, for example because a network is in use until AWS
# has removed the interfaces of the functions.
_ATTEMPTS = 3


def repaired(cloud: Cloud, stack: str) -> str | None:
    """Return the id of the stack, ready for an update, or None if there is no such stack.

    Wait for an operation that a killed deployment has begun. Continue a failed rollback. Delete the rest of a stack
    whose creation or deletion has failed. Raises CloudError if only a person can decide what to do.
    """
    found = settled(cloud, stack)
    if found is None:
        return None
    if found["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        _continue_rollback(cloud, stack)
    elif found["StackStatus"] in (*NEVER_MADE, "DELETE_FAILED"):
        cure = _SAME
        if found["StackStatus"] == "DELETE_FAILED":
            _check_unused(cloud, stack)
            # AWS refuses the deletion as long as another stack uses the rest. `make destroy` deletes that stack, too.
            cure = "run make destroy, which keeps the data, and then make deploy"
        remove(cloud, stack, cure=cure)
        return None
    return str(found["StackId"])


def ready(cloud: Cloud, stack: str) -> str | None:
    """Return the id of the stack, or None if there is no such stack. Repair nothing, but delete an empty stack.

    Raises CloudError if a deployment would first have to repair the stack.
    """
    found = settled(cloud, stack)
    if found is None:
        return None
    status = found["StackStatus"]
    if status in _EMPTY:
        remove(cloud, stack)
        return None
    if status in (*NEVER_MADE, "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"):
        raise CloudError(f"stack {stack} is {status} and cannot be planned; run make deploy, which repairs it first")
    return str(found["StackId"])


def remove(cloud: Cloud, stack: str, *, leave: bool = False, cure: str = _SAME) -> list[str]:
    """Delete the stack if it exists. Its buckets, its log groups and a snapshot of its database stay.

    If `leave` is true, and a previous deletion has failed, too, the resources that AWS cannot delete are left behind.
    Return their names. A database is never left behind. Raises CloudError with the reason why the first resource could
    not be deleted, and with `cure`, which says what to do.
    """
    found = settled(cloud, stack)
    if found is None:
        return []
    stack_id, failed_before = found["StackId"], found["StackStatus"] == "DELETE_FAILED"
    why = ""
    for _ in range(_ATTEMPTS):
        protection.switch(cloud, stack_id, on=False)
        failure = _deletion_failure(cloud, stack_id)
        if failure is None:
            return []
        why = failure
    if leave and failed_before:
        return _leave_behind(cloud, stack, stack_id, why)
    raise CloudError(f"stack {stack} is not deleted: {why}; {cure}")


def _leave_behind(cloud: Cloud, stack: str, stack_id: str, why: str) -> list[str]:
    """Delete the stack without the resources that cannot be deleted. `why` says why the last deletion failed.

    A resource that is left behind may use other resources. AWS cannot delete those either, so they are left behind,
    too.
    """
    left: set[str] = set()
    while failed := [it for it in resources(cloud, stack_id) if it["ResourceStatus"] == "DELETE_FAILED"]:
        names = {it["LogicalResourceId"] for it in failed}
        if names <= left or any(it["ResourceType"] in protection.KINDS for it in failed):
            break
        left |= names
        again = _deletion_failure(cloud, stack_id, sorted(names))
        if again is None:
            return sorted(left)
        why = again
    raise CloudError(f"stack {stack} is not deleted: {why}; {_SAME}")


def _deletion_failure(cloud: Cloud, stack_id: str, retained: list[str] | None = None) -> str | None:
    """Delete the stack except the resources `retained`. Return None, or the reason if the deletion fails."""
    mark = token()
    kept = {"RetainResources": retained} if retained else {}
    cloud.client("cloudformation").delete_stack(StackName=stack_id, ClientRequestToken=mark, **kept)
    return None if ended(cloud, stack_id) == "DELETE_COMPLETE" else reason(cloud, stack_id, mark)


def _continue_rollback(cloud: Cloud, stack: str) -> None:
    mark = token()
    cloud.client("cloudformation").continue_update_rollback(StackName=stack, ClientRequestToken=mark)
    if ended(cloud, stack) == "UPDATE_ROLLBACK_COMPLETE":
        return
    why = reason(cloud, stack, mark)
    names = " ".join(failed_resources(cloud, stack, mark))
    skip = f"aws cloudformation continue-update-rollback --stack-name {stack} --resources-to-skip {names}"
    raise CloudError(
        f"stack {stack} cannot go back to its last state: {why}; repair this resource, or skip it with `{skip}`, and"
        " run make deploy again"
    )


def _check_unused(cloud: Cloud, stack: str) -> None:
    """Raise CloudError if somebody has deleted a stack, but its database still exists because it was protected.

    If we deleted the rest of the stack, its data would exist only as a snapshot. So a person has to run `make destroy`.
    If the creation of the stack has failed, there are no data, and nothing is raised.
    """
    names = protection.protected(cloud, stack)
    if names and not was_rolled_back(cloud, stack):
        raise CloudError(
            f"stack {stack} was deleted, except the protected database {', '.join(names)} with its data; run make"
            " destroy, which keeps a snapshot of the database, and then make deploy"
        )
