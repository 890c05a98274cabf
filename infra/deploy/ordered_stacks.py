"""Deploys and deletes the stacks of a stage in their order. A stack may need outputs of the stacks before it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from infra.aws.cloud import Cloud
from infra.deploy.driver import Report

Outputs = dict[str, str]


class Stacks(Protocol):
    """Declares the functions of infra.aws.stacks that a deployment uses, so that tests can pass other ones."""

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
    """Create or update the stacks of these parts. After each stack, yield the outputs of all stacks so far. Raises
    CloudError.

    `given` is a function of a part and of the outputs of the stacks before it. It returns the parameters of the part's
    stack.
    """
    outputs: Outputs = {}
    for part in parts:
        report(f"stack {part}")
        outputs |= stacks.apply(cloud, stage, part, given(part, outputs))
        yield outputs


def destroy(stacks: Stacks, cloud: Cloud, stage: str, report: Report) -> None:
    """Delete all stacks of a stage, even broken ones, but keep the stage's data. Raises CloudError."""
    for part in reversed(stacks.PARTS):
        if stacks.exists(cloud, stage, part):
            delete(stacks, cloud, stage, part, report)


def delete(stacks: Stacks, cloud: Cloud, stage: str, part: str, report: Report) -> None:
    """Delete one stack, but keep its data. Raises CloudError."""
    report(f"deleting stack {part}")
    for name in stacks.delete(cloud, stage, part):
        report(f"left behind, because AWS cannot delete it: {name} of stack {part}; delete it by hand")
