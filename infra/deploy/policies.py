"""Makes the functions' IAM policies from `.chalice/policy-<function>.json` and the names of a stage.

The files are IAM policies with variables. `${APP}` is the beginning of all names of a stage's functions and secrets,
and `${FUNCTION}` is the name of the function. The variables for buckets and queues are those of the functions'
environment. Each policy also gets the statements of policy-every-function.json. In a VPC, it gets those of
policy-vpc.json, too. If the function logs in to the database with an IAM token, it gets those of policy-login.json, and
with tracing it gets those of policy-tracing.json.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from infra.deploy.target import APP, Vpc
from infra.errors import CloudError

_API = "api_handler"  # Chalice's name of the API function, which it deploys without a suffix
_MIGRATION = "migrate"
_COMMON = "every-function"
_IN_VPC = "vpc"
_LOGIN = "login"
_TRACING = "tracing"


@dataclass(frozen=True)
class PolicyContext:
    """Has facts about a stage on which the policies depend. The functions in `outside_vpc` run outside of the VPC.
    `partition` is AWS's partition of the region, with which ARNs begin. `tracing` says whether X-Ray traces the
    functions."""

    vpc: Vpc | None = None
    outside_vpc: Collection[str] = ()
    partition: str = "aws"
    tracing: bool = False


def deployed_name(stage: str, function: str) -> str:
    """Return the name in Lambda of a function that the configuration calls `function`."""
    return f"{APP}-{stage}" if function == _API else f"{APP}-{stage}-{function}"


def policies(
    folder: Path,
    stage: str,
    functions: Iterable[str],
    names: Mapping[str, str],
    context: PolicyContext = PolicyContext(),
) -> dict[str, dict[str, Any]]:
    """Return the policy of each function from the files in `folder`. Raises CloudError if a file is missing or
    invalid."""
    filled = {}
    for function in functions:
        ours = {"APP": f"{APP}-{stage}", "FUNCTION": deployed_name(stage, function), "PARTITION": context.partition}
        files, vpc = [_COMMON, *([_TRACING] if context.tracing else ())], context.vpc
        if vpc and function not in context.outside_vpc:
            files.append(_IN_VPC)
            if user := vpc.owner if function == _MIGRATION else vpc.user:
                files.append(_LOGIN)
                ours |= {"DATABASE": vpc.database, "DATABASE_USER": user}
        filled[function] = _policy(folder, [*files, function], {**names, **ours})
    return filled


def _policy(folder: Path, files: list[str], names: Mapping[str, str]) -> dict[str, Any]:
    read = [_read(folder / f"policy-{name}.json", names) for name in files]
    return {**read[-1], "Statement": [statement for policy in read for statement in policy["Statement"]]}


def _read(path: Path, names: Mapping[str, str]) -> dict[str, Any]:
    try:
        return dict(json.loads(Template(path.read_text()).substitute(names)))
    except (OSError, ValueError, KeyError) as error:
        raise CloudError(f"{path.name} is not a policy whose variables can be filled in: {error!r}") from error
