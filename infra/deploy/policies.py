"""What each function may do: `.chalice/policy-<function>.json`, with the names of a stage filled in.

The files are policies as AWS knows them, but for `${APP}`, with which all names of a stage's functions and
secrets begin, `${FUNCTION}`, the function's own, and the names of buckets and queues as the functions'
environment has them. What policy-every-function.json allows is added to each.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from infra.deploy.target import APP
from infra.errors import CloudError

_API = "api_handler"  # what Chalice calls the function that serves the routes, and deploys without a name
_COMMON = "every-function"


def policies(folder: Path, stage: str, functions: Iterable[str], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The policy of each of `functions`, of the files in `folder`. Raises CloudError where one is missing or wrong."""
    app = f"{APP}-{stage}"
    deployed = {function: app if function == _API else f"{app}-{function}" for function in functions}
    return {
        function: _policy(folder, function, {**names, "APP": app, "FUNCTION": name})
        for function, name in deployed.items()
    }


def _policy(folder: Path, function: str, names: Mapping[str, str]) -> dict[str, Any]:
    common, own = (_read(folder / f"policy-{name}.json", names) for name in (_COMMON, function))
    return {**own, "Statement": common["Statement"] + own["Statement"]}


def _read(path: Path, names: Mapping[str, str]) -> dict[str, Any]:
    try:
        return dict(json.loads(Template(path.read_text()).substitute(names)))
    except (OSError, ValueError, KeyError) as error:
        raise CloudError(f"{path.name} is no policy that can be filled in: {error!r}") from error
