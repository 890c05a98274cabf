"""A stage in a fake account, and the part of a deployment that makes and deletes its stacks."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from infra.aws import stacks
from infra.aws.changes import Wanted
from infra.aws.cloud import Cloud
from infra.aws.profiles import PART_OF, STANDARD, TINY, Profile
from infra.aws.stacks import PARTS
from infra.deploy import ordered_stacks
from infra.errors import CloudError
from tests.fakes.account import CLUSTER, INSTANCE, Thing
from tests.fakes.cloudformation import FakeAws
from tests.fakes.templates import read

STAGE = "prod"
FINISHED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
ROLLED_BACK = "UPDATE_ROLLBACK_COMPLETE"  # also complete, if the stack went back to what a later deployment wants
Parameters = Mapping[str, Mapping[str, str]]
_SAMPLE = {
    "storage": {},
    "network": {"S3PrefixListId": "pl-63a5400a", "ZoneA": "us-east-1a", "ZoneB": "us-east-1b"},
    "database": {"VpcId": "vpc-1", "PrivateSubnetIds": "subnet-1,subnet-2", "FunctionsSecurityGroupId": "sg-1"},
    "instance": {"VpcId": "vpc-1", "PrivateSubnetIds": "subnet-1,subnet-2", "FunctionsSecurityGroupId": "sg-1"},
    "operations": {"AlarmEmail": "somebody@example.com"},
    "queries": {},
}
_ANY_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/any/1"


def wanted(part: str, parameters: Mapping[str, str]) -> Wanted:
    profile = TINY if part == PART_OF["instance"] else STANDARD
    return stacks.wanted(STAGE, part, {**profile.parameters_of(part), **parameters})


def resources_of(part: str) -> list[str]:
    """Return the names of all resources that the real template of the part makes."""
    about = wanted(part, _SAMPLE[part])
    return list(read(about.with_names(_ANY_ID), about.parameters).resources)


def stage_with(part: str) -> "Stage":
    """Return a stage whose profile has this part."""
    return Stage(TINY if part == PART_OF["instance"] else STANDARD)


# All resources except most of the alarms, because all alarms are alike.
RESOURCES = [
    (part, name)
    for part in PARTS
    for name in resources_of(part)
    if not re.match(r"(Errors|Throttles|DatabaseIs)", name) or name in ("Errorsapi", "Throttlestokens")
]


@dataclass
class Stage:
    profile: Profile = STANDARD
    aws: FakeAws = field(default_factory=FakeAws)
    lines: list[str] = field(default_factory=list)
    in_service: Thing | None = None  # the database of the last complete deployment
    own: Parameters = field(default_factory=dict)  # the parameters of the last deployment, by part

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.aws.client, self.aws.sleep)
        self.aws.watch = self.check

    def deploy(self, own: Parameters | None = None) -> None:
        """Deploy the stacks as `Account.deploy` does. `own` are the stage's own parameters, by part."""

        self.own = own or {}
        for _ in ordered_stacks.deploy(stacks, self.cloud, STAGE, self.profile.parts, self._given, self.lines.append):
            pass
        self.in_service = self.database

    def plan(self) -> list[str]:
        """Return what the last deployment would still change in a stage that exists, as `Account.plan` does."""
        lines, outputs = list[str](), dict[str, str]()
        for part in self.profile.parts:
            lines += map(str, stacks.plan(self.cloud, STAGE, part, self._given(part, outputs)))
            outputs |= stacks.outputs(self.cloud, STAGE, part)
        return lines

    def _given(self, part: str, outputs: Mapping[str, str]) -> dict[str, str]:
        computed = dict(_SAMPLE[part])
        if part in PART_OF.values():
            computed = {name: outputs[name] for name in computed}
        return {**self.profile.parameters_of(part), **computed, **self.own.get(part, {})}

    def destroy(self) -> None:
        self.in_service = None  # the command `destroy` allows the deletion of the database
        ordered_stacks.destroy(stacks, self.cloud, STAGE, self.lines.append)

    def check(self) -> None:
        """Check that the database in use exists and is protected. This runs at every request."""
        assert self.in_service is None or self.in_service is self.database
        assert self.in_service is None or self.in_service.protected

    def status(self, part: str) -> str | None:
        return self.aws.status(stacks.stack_name(STAGE, part))

    def delete_by_hand(self, part: str) -> None:
        self.aws.delete_by_hand(stacks.stack_name(STAGE, part))

    @property
    def database(self) -> Thing | None:
        if self.profile.database == "aurora":
            return self.aws.find(CLUSTER, f"hireflow-{STAGE}")
        return self.aws.find(INSTANCE, f"hireflow-{STAGE}-instance")

    @property
    def statuses(self) -> list[str | None]:
        return [self.status(part) for part in self.profile.parts]

    @property
    def is_complete(self) -> bool:
        protected = self.database is not None and self.database.protected
        finished = all(status in (*FINISHED, ROLLED_BACK) for status in self.statuses)
        return protected and finished and (ROLLED_BACK not in self.statuses or self.plan() == [])


def advice(error: CloudError) -> str:
    """Return the part of the error's message that says what a person has to do. The message must be one sentence."""
    text = str(error)
    assert not re.search(r"\.\s|\n|\.$", text), text
    said = text.rpartition("; ")[2]
    assert re.search(r"\brun (make|the (same )?command)\b", said), text
    return said


def failing(run: Callable[[], object]) -> str:
    """Run a command that must fail, and return the message of the failure."""
    with pytest.raises(CloudError) as caught:
        run()
    assert advice(caught.value)
    return str(caught.value)
