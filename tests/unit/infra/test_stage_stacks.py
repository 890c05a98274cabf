"""Tests which stacks a deployment keeps, and which it deletes. A fake holds the stacks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.aws import stacks
from infra.aws.cloud import Cloud
from infra.deploy.ordered_stacks import Outputs
from infra.deploy.stage_stacks import StageStacks
from infra.errors import CloudError
from infra.settings.chosen import choose

NETWORK = {"PrivateSubnetIds": "subnet-1", "VpcId": "vpc-1", "FunctionsSecurityGroupId": "sg-1"}


@dataclass
class Fake:
    """Holds stacks until they are deleted. `done` lists the stacks that were applied and deleted."""

    existing: dict[str, Outputs]
    done: list[str] = field(default_factory=list)
    PARTS: tuple[str, ...] = stacks.PARTS
    TEMPLATES: Path = stacks.TEMPLATES

    def apply(self, cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str]) -> Outputs:
        self.done.append(f"apply {part} {parameters.get('EndpointZones', '')}".strip())
        return self.existing.setdefault(part, {})

    def plan(self, cloud: Cloud, stage: str, part: str, parameters: Mapping[str, str]) -> list[str]:
        return []

    def outputs(self, cloud: Cloud, stage: str, part: str) -> Outputs:
        if part not in self.existing:
            raise CloudError(f"there is no stack hireflow-{stage}-{part}")
        return self.existing[part]

    def exists(self, cloud: Cloud, stage: str, part: str) -> bool:
        return part in self.existing

    def delete(self, cloud: Cloud, stage: str, part: str) -> list[str]:
        self.done.append(f"delete {part}")
        del self.existing[part]
        return []

    def s3_prefix_list(self, ec2: Any) -> str:
        return "pl-1"


class Clients:
    """Stands for the clients of AWS. The tests send only this one request."""

    def describe_subnets(self, **_: Any) -> dict[str, Any]:
        return {"Subnets": [{"SubnetId": f"subnet-{n}", "AvailabilityZone": f"eu-{n}"} for n in (1, 2)]}


def stage(tmp_path: Path, *parts: str) -> tuple[StageStacks, Fake, list[str]]:
    network = {**NETWORK, "PrivateSubnetIds": "subnet-1,subnet-2"}
    fake, said = Fake({part: dict(network) if part == "network" else {"Any": "x"} for part in parts}), list[str]()
    return StageStacks("prod", tmp_path, fake, Cloud(lambda _: Clients()), said.append), fake, said


ALL = ("storage", "network", "database", "instance", "operations")


def test_a_database_that_the_stage_has_left_stays_without_confirmation(tmp_path: Path) -> None:
    """The previous release did not delete the stack of the database when a stage changed to your own Postgres."""
    made, fake, said = stage(tmp_path, *ALL)
    chosen = choose("prod", {"PROFILE": "tiny"}, {})
    made.delete_unused(chosen, {}, confirmed=False)
    assert fake.done == []
    assert said == [
        "stack database is not used by this profile: make deploy with YES=prod deletes it at the end, and keeps a final"
        " snapshot of its database"
    ]
    assert list(made.warnings(chosen, None)) == said


def test_with_confirmation_unused_stacks_are_deleted_and_the_network_gets_smaller(tmp_path: Path) -> None:
    made, fake, _ = stage(tmp_path, *ALL)
    made.delete_unused(choose("prod", {"PROFILE": "tiny"}, {}), {}, confirmed=True)
    assert fake.done == ["delete database", "apply network 0"]
    made.delete_unused(choose("prod", {"PROFILE": "tiny"}, {}), {}, confirmed=True)
    assert fake.done == ["delete database", "apply network 0"]  # the second call deletes nothing


def test_the_stack_of_the_database_is_deleted_before_its_network(tmp_path: Path) -> None:
    made, fake, _ = stage(tmp_path, "storage", "network", "database", "operations")
    own = choose("prod", {"DATABASE_URL": "postgresql+pg8000://boss:s3cret@db.example/hireflow"}, {})
    made.delete_unused(own, {}, confirmed=True)
    assert fake.done == ["delete database", "delete network"]


@pytest.mark.parametrize(("wide", "zones"), [(True, "2"), (False, "0")])
def test_the_network_keeps_its_endpoints_while_the_database_is_replaced(tmp_path: Path, wide: bool, zones: str) -> None:
    made, fake, _ = stage(tmp_path, *ALL)
    list(made.deploy(choose("prod", {"PROFILE": "tiny"}, {}), wide=wide))
    assert f"apply network {zones}" in fake.done


def test_parts_wait_for_the_outputs_of_stacks_that_do_not_exist(tmp_path: Path) -> None:
    made, *_ = stage(tmp_path, "storage", "operations")

    class NewStage(Clients):
        def describe_availability_zones(self, **_: Any) -> dict[str, Any]:
            names = ("use1-az1", "use1-az2")
            return {"AvailabilityZones": [{"ZoneId": name, "ZoneName": name} for name in names]}

    new = StageStacks(made.stage, tmp_path, made.stacks, Cloud(lambda _: NewStage()), made.report)
    changes, waiting, _ = new.plan(choose("prod", {"PROFILE": "tiny"}, {}))
    assert list(changes) == ["storage", "network", "operations", "queries"]
    assert waiting == ["instance"]


def test_the_snapshot_of_a_database_is_passed_again_at_every_deployment(tmp_path: Path) -> None:
    """Without the parameter SnapshotIdentifier, CloudFormation would replace the database by an empty one."""
    made, *_ = stage(tmp_path, *ALL)
    kept = {"PROFILE": "small", "DATABASE_SNAPSHOT": "before"}
    given = made.given("database", {**NETWORK}, choose("prod", {}, kept))
    assert given["SnapshotIdentifier"] == "before"
    assert given["ThroughProxy"] == "false"


def test_own_parameters_take_precedence(tmp_path: Path) -> None:
    folder = tmp_path / "infra" / "aws" / "parameters"
    folder.mkdir(parents=True)
    (folder / "prod.json").write_text('{"database": {"Standby": "false", "MaxCapacity": "16"}}')
    made, *_ = stage(tmp_path, *ALL)
    given = made.given("database", {**NETWORK}, choose("prod", {}, {}))
    assert (given["Standby"], given["MaxCapacity"], given["ThroughProxy"]) == ("false", "16", "true")


def test_reject_files_expire_on_aws_after_the_days_of_the_setting(tmp_path: Path) -> None:
    of_stage, _, _ = stage(tmp_path)
    for given, days in (("", "30"), ("7", "7"), ("0.5", "1"), ("7.1", "8")):
        chosen = choose("prod", {}, {"REJECT_RETENTION_DAYS": given})
        assert of_stage.given("storage", {}, chosen)["ErroredDays"] == days


def test_the_former_parameter_for_reject_files_is_refused(tmp_path: Path) -> None:
    of_stage, _, _ = stage(tmp_path)
    own = tmp_path / "infra" / "aws" / "parameters"
    own.mkdir(parents=True)
    (own / "prod.json").write_text('{"storage": {"ErroredDays": "60"}}')
    with pytest.raises(CloudError, match="set REJECT_RETENTION_DAYS=60"):
        of_stage.given("storage", {}, choose("prod", {}, {}))
