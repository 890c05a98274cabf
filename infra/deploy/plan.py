"""Plans a deployment: compares the wanted functions and settings with the deployed ones."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.deploy import project, record
from infra.deploy.policies import deployed_name
from infra.deploy.target import Target
from infra.deploy.tracing import ACTIVE, PASS_THROUGH

Settings = dict[str, Any]  # of one function: memory (MB), timeout (s), runtime, …, and its environment variables
_DEFAULT_MEMORY, _DEFAULT_TIMEOUT, _DEFAULT_ARCHITECTURE = 128, 60, "x86_64"  # the defaults of Chalice
_VARIABLES = "variables"
_HIDDEN = (project.RELEASE,)


@dataclass(frozen=True)
class Functions:
    """The functions to be created, updated and deleted, and the settings that would change in the updated ones."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    deleted: tuple[str, ...]
    differences: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """What a deployment would change.

    `stacks` holds the changes of each stack. `waiting` are stacks whose parameters are outputs of stacks that do not
    exist yet. `release` is a pair: the present release and the deployed one. `functions` is None if the functions need
    outputs of stacks that do not exist yet. `warnings` say what a change of the profile deletes or replaces. `costs`
    say what the stage costs a month. `notes` say what could prevent or limit the deployment.
    """

    stacks: Mapping[str, Sequence[str]]
    waiting: tuple[str, ...] = ()
    release: tuple[str, str | None] | None = None
    functions: Functions | None = None
    warnings: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        yield from self.warnings
        for part, changes in self.stacks.items():
            many = "change" if len(changes) == 1 else "changes"
            yield f"stack {part}: {len(changes) or 'no'} {many if changes else 'change'}"
            yield from (f"  {change}" for change in sorted(changes))
        for part in self.waiting:
            yield f"stack {part}: to be created; its parameters depend on stacks that do not exist yet"
        if self.functions is None:
            yield "functions: not known until the stacks exist"
        else:
            yield from self._of_functions(self.functions)
        yield from self.costs
        yield from (f"note: {note}" for note in self.notes)

    def _of_functions(self, functions: Functions) -> Iterator[str]:
        if self.release:
            new, old = self.release
            deployed = "this release is deployed" if new == old else f"{old or 'no release'} is deployed"
            yield f"release {new}: {deployed}"
        for what in ("created", "updated", "deleted"):
            names = getattr(functions, what)
            yield f"functions to be {what}: {', '.join(names) or 'none'}"
        for name, differences in functions.differences.items():
            yield from (f"  {name}: {difference}" for difference in differences)


def compare(wanted: Mapping[str, Settings], found: Mapping[str, Settings], *, code_differs: bool) -> Functions:
    """Compare the wanted functions with `found`, the functions that the stage has, perhaps from the previous release.

    The result names changed variables without their values, which may be secret.
    """
    differences = {
        name: tuple(_differences(settings, found[name])) for name, settings in wanted.items() if name in found
    }
    return Functions(
        created=tuple(sorted(set(wanted) - set(found))),
        updated=tuple(sorted(name for name, changes in differences.items() if changes or code_differs)),
        deleted=tuple(sorted(set(found) - set(wanted))),
        differences={name: changes for name, changes in sorted(differences.items()) if changes},
    )


def functions(target: Target) -> Functions:
    """Return what a deployment would change in the target's functions."""
    differs = record.release(target) != project.release(target)
    wanted = wanted_settings(project.configuration(target), target.stage)
    recorded = project.function_names(target)
    names = {deployed_name(target.stage, function): settings for function, settings in wanted.items()}
    client = target.client("lambda")
    found = {name: settings for name in {*names, *recorded} if (settings := _found(client, name)) is not None}
    return compare(names, found, code_differs=differs)


def wanted_settings(config: Mapping[str, Any], stage_name: str) -> dict[str, Settings]:
    """Return the settings of each function of a stage from Chalice's configuration.

    The most specific value wins. The order is: the function in the stage, the function, the stage, the whole file.
    """
    stage = config["stages"][stage_name]
    wanted = {}
    for function, general in config["lambda_functions"].items():
        places = (stage.get("lambda_functions", {}).get(function, {}), general, stage, config)

        def configured(name: str, default: Any, places: tuple[Mapping[str, Any], ...] = places) -> Any:
            return next((place[name] for place in places if name in place), default)

        variables: dict[str, str] = {}
        for place in reversed(places):
            variables |= place.get("environment_variables", {})
        wanted[function] = {
            "memory": configured("lambda_memory_size", _DEFAULT_MEMORY),
            "timeout": configured("lambda_timeout", _DEFAULT_TIMEOUT),
            "runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
            "architecture": configured("lambda_architecture", _DEFAULT_ARCHITECTURE),
            "reserved concurrency": configured("reserved_concurrency", None),
            "subnets": sorted(configured("subnet_ids", [])),
            "tracing": ACTIVE if configured("xray", False) else PASS_THROUGH,
            _VARIABLES: variables,
        }
    return wanted


def _found(client: Any, name: str) -> Settings | None:
    try:
        found = client.get_function_configuration(FunctionName=name)
        reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    except client.exceptions.ResourceNotFoundException:
        return None
    return {
        "memory": found["MemorySize"],
        "timeout": found["Timeout"],
        "runtime": found["Runtime"],
        "architecture": found.get("Architectures", [_DEFAULT_ARCHITECTURE])[0],
        "reserved concurrency": reserved,
        "subnets": sorted(found.get("VpcConfig", {}).get("SubnetIds", [])),
        "tracing": found.get("TracingConfig", {}).get("Mode", PASS_THROUGH),
        _VARIABLES: found.get("Environment", {}).get("Variables", {}),
    }


def _differences(wanted: Settings, found: Settings) -> Iterator[str]:
    for name in wanted:
        if name != _VARIABLES and wanted[name] != found[name]:
            yield f"{name} {_text(found[name])} -> {_text(wanted[name])}"
    old, new = found[_VARIABLES], wanted[_VARIABLES]
    for name in sorted({*old, *new} - set(_HIDDEN)):
        if old.get(name) != new.get(name):
            yield f"{name} {'added' if name not in old else 'removed' if name not in new else 'changed'}"


def _text(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else "none" if value is None else str(value)
