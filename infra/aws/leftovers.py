"""Finds resources of a deleted stack whose names a new stack needs.

Buckets and log groups stay when their stack is deleted, and the next stack imports them. Secrets do not stay, because
CloudFormation deletes them at once and for good. But if a person deletes a secret, AWS keeps its name for 7 to 30 days.
"""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from infra.aws.cloud import Cloud
from infra.aws.stack_status import resources, status


def any_exists(cloud: Cloud, buckets: list[str], log_groups: list[str], stack: str | None) -> bool:
    """Return whether one of these buckets or log groups exists, but belongs neither to `stack` nor to another stack."""
    own = {resource.get("PhysicalResourceId") for resource in resources(cloud, stack)} if stack else set()
    found = (*_existing_buckets(cloud, buckets, own), *_existing_log_groups(cloud, log_groups, own))
    return any(not _belongs_to_a_stack(cloud, name) for name in found)


def free_secret(cloud: Cloud, name: str) -> None:
    """Delete a secret for good if a person has scheduled its deletion. Call this only if no stack has the secret."""
    if _is_scheduled_for_deletion(cloud, name):
        cloud.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    for wait in cloud.waits(f"the deletion of the secret {name}"):
        if not _is_scheduled_for_deletion(cloud, name):
            break
        wait()


def restore_secret(cloud: Cloud, name: str) -> None:
    """Cancel the deletion of a secret if a person has scheduled it."""
    if _is_scheduled_for_deletion(cloud, name):
        cloud.client("secretsmanager").restore_secret(SecretId=name)


def _is_scheduled_for_deletion(cloud: Cloud, name: str) -> bool:
    secrets = cloud.client("secretsmanager")
    try:
        return "DeletedDate" in secrets.describe_secret(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException:
        return False


def _existing_buckets(cloud: Cloud, names: list[str], own: set[str | None]) -> Iterator[str]:
    for name in names:
        if name in own:
            continue
        try:
            cloud.client("s3").head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("403", "404"):  # 403: the bucket belongs to another account
                raise
        else:
            yield name


def _existing_log_groups(cloud: Cloud, names: list[str], own: set[str | None]) -> Iterator[str]:
    for name in names:
        if name not in own:
            found = cloud.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
            yield from (group["logGroupName"] for group in found if group["logGroupName"] == name)


def _belongs_to_a_stack(cloud: Cloud, name: str) -> bool:
    try:
        found = cloud.client("cloudformation").describe_stack_resources(PhysicalResourceId=name)["StackResources"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return any(status(cloud, resource["StackId"]) != "DELETE_COMPLETE" for resource in found)
