"""Deploys and destroys the stacks of a stage, one after the other. Each stack needs outputs of the stacks before it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from infra.aws.cloud import Cloud
from infra.deploy.driver import Report

Outputs = dict[str, str]


class Stacks(Protocol):
    """Lists the functions of infra.aws.stacks that a deployment uses."""

    @property
    def PARTS(self) -> tuple[str, ...]: ...  # noqa: N802 - a constant there
    @property
    def TEMPLATES(self) -> Path: ...  # noqa: N802 - a constant there
    def apply(self, cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str]) -> Outputs: ...
    def plan(self, cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str]) -> Any: ...
    def outputs(self, cloud: Cloud, stage: str, part: str) -> Outputs: ...
    def exists(self, cloud: Cloud, stage: str, part: str) -> bool: ...
    def delete(self, cloud: Cloud, stage: str, part: str) -> list[str]: ...
    def s3_prefix_list(self, ec2: Any) -> str: ...


def deploy(
    stacks: Stacks,
    cloud: Cloud,
    stage: str,
    parts: Iterable[str],
    given: Callable[[str, Outputs], Mapping[str, str]],
    report: Report,
) -> Iterator[Outputs]:
    """Create or update the stacks of these parts. After each stack, yield the outputs of all so far. Raises CloudError.

    `given` returns the parameters of a part, and takes the outputs of the parts before it.
    """
    outputs: Outputs = {}
    for part in parts:
        report(f"stack {part}")
        outputs |= stacks.apply(cloud, stage, part, given(part, outputs))
        yield outputs


def destroy(stacks: Stacks, cloud: Cloud, stage: str, report: Report) -> None:
    """Delete all stacks of a stage, even broken ones, but none of its data. Raises CloudError."""
    for part in reversed(stacks.PARTS):
        if stacks.exists(cloud, stage, part):
            delete(stacks, cloud, stage, part, report)


def delete(stacks: Stacks, cloud: Cloud, stage: str, part: str, report: Report) -> None:
    """Delete one stack, but none of its data. Raises CloudError."""
    report(f"deleting stack {part}")
    for name in stacks.delete(cloud, stage, part):
        report(f"left behind, because AWS cannot delete it: {name} of stack {part}; delete it by hand")
