"""Checks that AWS accepts the names that contain the name of a stage, before any request."""

import re

from infra.aws.profiles import Profile
from infra.errors import CloudError

_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,15}")  # as in the templates; a name of a bucket may have 63 characters


def check(stage: str) -> None:
    """Raise CloudError if no stage of this name can be on AWS."""
    if not _PATTERN.fullmatch(stage):
        raise CloudError(
            f"{stage} cannot be the name of a stage on AWS: choose at most 16 small letters, digits and hyphens, of"
            " which the first is a letter, in .chalice/config.json"
        )


def check_database(stage: str, profile: Profile) -> None:
    """Raise CloudError if RDS would refuse the name of the stage's database."""
    if profile.database != "own" and (stage.endswith("-") or "--" in stage):
        raise CloudError(
            f"{stage} cannot be the name of a stage with a database of RDS, which allows no hyphen at the end and no"
            " two hyphens together: choose another name in .chalice/config.json"
        )
