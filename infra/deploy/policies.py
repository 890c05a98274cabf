"""What each function may do: `.chalice/policy-<function>.json`, with the names of a stage filled in.

The files are policies as AWS knows them, but for `${APP}`, with which all names of a stage's functions and
secrets begin, `${FUNCTION}`, the function's own, and the names of buckets and queues as the functions'
environment has them. What policy-every-function.json allows is added to each, and in a VPC what policy-vpc.json does.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from infra.deploy.target import APP, Vpc
from infra.errors import CloudError

_API = "api_handler"  # what Chalice calls the function that serves the routes, and deploys without a name
_MIGRATION = "migrate"
_COMMON = "every-function"
_IN_VPC = "vpc"


def deployed_name(stage: str, function: str) -> str:
    """What Lambda calls a function that the configuration calls `function`."""
    return f"{APP}-{stage}" if function == _API else f"{APP}-{stage}-{function}"


def policies(
    folder: Path, stage: str, functions: Iterable[str], names: Mapping[str, str], vpc: Vpc | None = None
) -> dict[str, dict[str, Any]]:
    """The policy of each of `functions`, of the files in `folder`. Raises CloudError where one is missing or wrong."""
    made = {}
    for function in functions:
        ours = {"APP": f"{APP}-{stage}", "FUNCTION": deployed_name(stage, function)}
        if vpc:
            user = vpc.owner if function == _MIGRATION else vpc.user
            ours |= {"DATABASE_PROXY": vpc.proxy, "DATABASE_USER": user}
        made[function] = _policy(folder, [_COMMON, *([_IN_VPC] if vpc else ()), function], {**names, **ours})
    return made


def _policy(folder: Path, files: list[str], names: Mapping[str, str]) -> dict[str, Any]:
    read = [_read(folder / f"policy-{name}.json", names) for name in files]
    return {**read[-1], "Statement": [statement for policy in read for statement in policy["Statement"]]}


def _read(path: Path, names: Mapping[str, str]) -> dict[str, Any]:
    try:
        return dict(json.loads(Template(path.read_text()).substitute(names)))
    except (OSError, ValueError, KeyError) as error:
        raise CloudError(f"{path.name} is no policy that can be filled in: {error!r}") from error
