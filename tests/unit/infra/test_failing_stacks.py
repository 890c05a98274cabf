"""Tests that a deployment and a destruction recover from every failure of CloudFormation."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from infra.aws import stacks
from infra.aws.cloud import Cloud
from infra.aws.stacks import PARTS
from infra.deploy import layers
from infra.errors import CloudError
from tests.fakes.account import BUCKET, CLUSTER, LOG_GROUP, SECRET, Failure, Killed, Thing
from tests.fakes.cloudformation import FakeAws

STAGE = "prod"
FINISHED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
Parameters = Mapping[str, Mapping[str, str]]


class Stage:
    """A stage in a fake account, with the part of a deployment that makes its stacks."""

    def __init__(self) -> None:
        self.aws = FakeAws()
        self.cloud = Cloud(self.aws.client, self.aws.sleep)
        self.lines: list[str] = []
        self.in_service: Thing | None = None  # the cluster of the last complete deployment
        self.aws.watch = self.check

    def deploy(self, own: Parameters | None = None) -> None:
        def given(part: str, outputs: layers.Outputs) -> dict[str, str]:
            computed = {}
            if part == "network":
                computed = {"S3PrefixListId": "pl-63a5400a"}
            elif part == "database":
                computed = {name: outputs[name] for name in ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")}
            return {**computed, **(own or {}).get(part, {})}

        layers.deploy(stacks, self.cloud, STAGE, PARTS, given, self.lines.append)
        self.in_service = self.cluster

    def destroy(self) -> None:
        self.in_service = None  # its owner has confirmed that it may be deleted
        layers.destroy(stacks, self.cloud, STAGE, self.lines.append)

    def check(self) -> None:
        """The database that is in use never loses its protection."""
        assert self.in_service is None or self.in_service.protected
        assert self.in_service is None or self.in_service is self.cluster

    @property
    def cluster(self) -> Thing | None:
        return self.aws.find(CLUSTER, f"hireflow-{STAGE}")

    @property
    def statuses(self) -> list[str | None]:
        return [self.status(part) for part in PARTS]

    def status(self, part: str) -> str | None:
        return self.aws.status(stacks.stack_name(STAGE, part))

    def is_complete(self) -> bool:
        return all(status in FINISHED for status in self.statuses) and self.cluster is not None


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_works(stage: Stage) -> None:
    import time
    t=time.time()
    stage.deploy()
    print(time.time()-t, stage.aws.calls)
    t=time.time()
    assert stage.is_complete()
    assert stage.cluster.protected
    stage.deploy()
    print(time.time()-t, stage.aws.calls)
    t=time.time()
    stage.destroy()
    print(time.time()-t, stage.aws.calls)
    print(stage.lines, stage.statuses, stage.aws.snapshots, [k for k in stage.aws.things])
