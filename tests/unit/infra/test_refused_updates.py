"""Tests that no deployment replaces data or the network in which they are, whatever a person has changed or deleted."""

import pytest

from infra.aws import stacks
from tests.fakes.account import Killed
from tests.fakes.stages import STAGE, Parameters, Stage, failing


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def deployed(stage: Stage) -> Stage:
    stage.deploy()
    return stage


def test_a_network_that_was_deleted_while_the_database_was_made_is_made_again_with_the_database(stage: Stage) -> None:
    def kill() -> None:
        if stage.status("database") == "CREATE_IN_PROGRESS":
            raise Killed

    stage.aws.watch = kill
    with pytest.raises(Killed):
        stage.deploy()
    stage.aws.watch = stage.check
    stage.delete_by_hand("network")
    stage.deploy()
    assert stage.is_complete


@pytest.mark.parametrize(
    ("change", "resource"),
    [
        ({"network": {"VpcCidr": "10.1.0.0/16"}}, "SubnetA, SubnetB, Vpc"),
        ({"network": {"ZoneB": "us-east-1c"}}, "SubnetB"),
        ({"database": {"SnapshotIdentifier": "another"}}, "Cluster"),
    ],
)
def test_a_change_that_would_replace_data_or_their_network_is_refused(
    deployed: Stage, change: Parameters, resource: str
) -> None:
    before = [len(stack.events) for stack in deployed.aws.stacks]
    assert f"this would replace {resource}; take back the change of its parameters" in failing(
        lambda: deployed.deploy(change)
    )
    assert [len(stack.events) for stack in deployed.aws.stacks] == before
    deployed.deploy()
    assert deployed.is_complete


def test_a_database_whose_network_a_person_has_left_behind_stays_in_service(deployed: Stage) -> None:
    client = deployed.cloud.client("cloudformation")
    network = deployed.aws.stack(stacks.stack_name(STAGE, "network"))
    assert network
    deployed.delete_by_hand("network")
    while network.status == "DELETE_FAILED":  # CloudFormation's console offers to leave resources behind
        stuck = [name for name, it in network.resources.items() if it.status == "DELETE_FAILED"]
        client.delete_stack(StackName=network.id, RetainResources=stuck)
        while network.operation:
            deployed.aws.go_on(network, 1)
    message = failing(deployed.deploy)
    assert "would replace DatabaseSecurityGroup, " in message
    assert "run make destroy, which keeps the data, and then make deploy" in message
    deployed.destroy()
    deployed.deploy()
    assert deployed.is_complete
    assert deployed.aws.snapshots == ["hireflow-prod"]
