"""Refuses a stage if another region of the account has a stage with the same name.

IAM roles belong to the whole account, and Chalice puts no region into their names. Two stages with the same name in two
regions would change each other's roles.
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.target import Target
from infra.errors import CloudError


def check_roles(target: Target) -> None:
    """Raise CloudError if the role of one of the stage's functions belongs to a stage in another region.

    IAM does not say to which region a role belongs, but it says in which region the role was last used.
    """
    region, role = target.aws["AWS_DEFAULT_REGION"], target.function("backup")  # its role is used every few minutes
    used = _region_of(target.client("iam"), role)
    if used in (None, region) or _exists(target.client("lambda"), role):
        return
    raise CloudError(
        f"nothing was changed: the role {role} was last used in {used}, so a stage {target.stage} runs there, and IAM"
        f" roles have no region: choose another name for the stage in {region}, or destroy the stage in {used} first"
    )


def _region_of(iam: Any, role: str) -> str | None:
    try:
        found = iam.get_role(RoleName=role)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return None
    return str(found.get("RoleLastUsed", {}).get("Region") or "") or None


def _exists(functions: Any, name: str) -> bool:
    try:
        functions.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return False
    return True
