"""Tests that a deployment and a destruction recover from failures of CloudFormation."""

from typing import Any

import pytest

from infra.aws import stacks
from tests.fakes.account import BUCKET, LOG_GROUP, SECRET, Failure, Killed
from tests.fakes.stages import RESOURCES, STAGE, Parameters, Stage, failing, stage_with, wanted

LARGER: Parameters = {"database": {"MaxCapacity": "16"}}
SECRET_NAME = f"hireflow-{STAGE}-database-functions"
DATABASE = stacks.stack_name(STAGE, "database")
KEPT = ("Landing", "Errored", "Backup", "PostgresLog", "RotationLog", "ProxyLog")
SIZE = 100  # about the number of requests and waits of a deployment


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def deployed(stage: Stage) -> Stage:
    stage.deploy()
    return stage


# --- deploy


def test_a_deployment_makes_all_stacks_and_a_second_one_changes_nothing(deployed: Stage) -> None:
    assert deployed.is_complete
    before = len(deployed.aws.stacks[0].events)
    statuses = deployed.statuses
    deployed.deploy()
    assert deployed.statuses == statuses
    assert len(deployed.aws.stacks[0].events) == before


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@pytest.mark.parametrize(("part", "resource"), RESOURCES)
def test_any_resource_may_fail_while_it_is_made(part: str, resource: str, late: bool) -> None:
    stage = stage_with(part)
    stage.aws.failures = [Failure(resource, "create", late=late)]
    message = failing(stage.deploy)
    assert message.startswith(f"stack hireflow-prod-{part} is ROLLBACK_COMPLETE: {resource}: ")
    stage.deploy()
    assert stage.is_complete


@pytest.mark.parametrize(("part", "resource"), RESOURCES)
def test_any_resource_may_fail_while_a_failed_creation_is_rolled_back(part: str, resource: str) -> None:
    stage = stage_with(part)
    last = [name for where, name in RESOURCES if where == part][-1]
    stage.aws.failures = [Failure(last, "create"), Failure(resource, "delete", times=2)]
    failing(stage.deploy)
    assert stage.status(part) == ("ROLLBACK_COMPLETE" if resource in (*KEPT, last) else "ROLLBACK_FAILED")
    stage.deploy()
    assert stage.is_complete


def test_the_database_is_protected_only_when_its_stack_is_complete(stage: Stage) -> None:
    seen: list[tuple[str | None, bool]] = []
    stage.aws.watch = lambda: seen.append(
        (stage.status("database"), stage.database is not None and stage.database.protected)
    )
    stage.deploy()
    assert stage.is_complete
    assert {protected for status, protected in seen if status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE")} == {False}
    seen.clear()
    stage.deploy(LARGER)  # from now on, the database stays protected all the time
    assert {protected for status, protected in seen} == {True}
    assert stage.status("database") == "UPDATE_COMPLETE"


def test_an_update_does_not_replace_the_database(deployed: Stage) -> None:
    names = ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")
    network = stacks.outputs(deployed.cloud, STAGE, "network")
    planned = stacks.plan(deployed.cloud, STAGE, "database", {**{n: network[n] for n in names}, **LARGER["database"]})
    assert [str(change) for change in planned] == ["Modify Cluster (AWS::RDS::DBCluster)"]


def test_a_stage_may_be_unprotected_if_its_parameters_say_so(stage: Stage) -> None:
    stage.deploy({"database": {"DeletionProtection": "false"}})
    assert stage.database is not None
    assert not stage.database.protected


def test_a_deployment_protects_a_database_that_lost_its_protection(deployed: Stage) -> None:
    """An interrupted destruction has removed the protection, although the parameters of the stack still say that the
    database is protected."""
    assert deployed.database is not None
    deployed.in_service = None
    deployed.database.protected = False
    deployed.deploy()
    assert deployed.is_complete


@pytest.mark.parametrize("call", range(0, SIZE, 3))
def test_a_deployment_may_be_killed_at_any_request(stage: Stage, call: int) -> None:
    stage.aws.new_process(die_after=call)
    try:
        stage.deploy()
    except Killed:
        stage.aws.new_process()
        stage.deploy()
    assert stage.is_complete


def test_a_deployment_waits_for_the_operation_of_a_killed_one(stage: Stage) -> None:
    def kill() -> None:
        if stage.status("database") == "CREATE_IN_PROGRESS":
            raise Killed

    stage.aws.watch = kill
    with pytest.raises(Killed):
        stage.deploy()
    stage.aws.watch = stage.check
    stage.deploy()
    (stack,) = [it for it in stage.aws.stacks if it.name == DATABASE]
    assert "ROLLBACK_IN_PROGRESS" not in stack.statuses
    assert stage.is_complete


# --- what older releases have left behind


def create_protected(stage: Stage, failure: Failure) -> None:
    """Create the database as older releases did: it is protected from the beginning. The creation fails with
    `failure`."""
    stage.deploy()
    stage.in_service = None
    names = ("VpcId", "PrivateSubnetIds", "FunctionsSecurityGroupId")
    network = stacks.outputs(stage.cloud, STAGE, "network")
    stacks.delete(stage.cloud, STAGE, "database")
    stage.aws.failures = [failure]
    about = wanted("database", {name: network[name] for name in names})
    client: Any = stage.cloud.client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in about.parameters.items()]
    for imports in (False, True):
        made = client.create_change_set(
            StackName=DATABASE,
            ChangeSetName=f"change-{imports}",
            ChangeSetType="CREATE",
            TemplateBody=about.with_names("arn:aws:cloudformation:us-east-1:123456789012:stack/any/1"),
            Parameters=given,
            ImportExistingResources=imports,
        )
    client.execute_change_set(ChangeSetName=made["Id"], ClientRequestToken="token")
    while str(stage.status("database")).endswith("_IN_PROGRESS"):
        stage.aws.sleep(1)


@pytest.mark.parametrize("by_hand", [False, True], ids=["ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_protected_database_whose_creation_failed_is_made_anew(stage: Stage, by_hand: bool) -> None:
    create_protected(stage, Failure("Proxy", "create"))
    assert stage.status("database") == "ROLLBACK_FAILED"
    if by_hand:
        stage.delete_by_hand("database")
        assert stage.status("database") == "DELETE_FAILED"
    stage.deploy()
    assert stage.is_complete


@pytest.mark.parametrize("by_hand", [False, True], ids=["ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_protected_database_whose_creation_failed_can_be_destroyed(stage: Stage, by_hand: bool) -> None:
    create_protected(stage, Failure("Proxy", "create"))
    if by_hand:
        stage.delete_by_hand("database")
    stage.destroy()
    assert set(stage.statuses) == {None}


# --- updates


def test_a_failed_update_keeps_the_stage_and_is_repeated(deployed: Stage) -> None:
    deployed.aws.failures = [Failure("Cluster", "update")]
    assert "hireflow-prod-database is UPDATE_ROLLBACK_COMPLETE: Cluster: " in failing(lambda: deployed.deploy(LARGER))
    deployed.deploy(LARGER)
    assert deployed.is_complete


UPDATE: Parameters = {"storage": {"LandingDays": "60", "ErroredDays": "60"}}


def test_a_failed_rollback_of_an_update_is_continued(deployed: Stage) -> None:
    deployed.aws.failures = [Failure("Errored", "update"), Failure("Landing", "rollback")]
    failing(lambda: deployed.deploy(UPDATE))
    assert deployed.status("storage") == "UPDATE_ROLLBACK_FAILED"
    deployed.deploy(UPDATE)
    assert deployed.is_complete


def test_a_stage_that_went_back_to_what_is_wanted_is_complete(deployed: Stage) -> None:
    deployed.aws.failures = [Failure("Errored", "update")]
    failing(lambda: deployed.deploy(UPDATE))
    assert not deployed.is_complete
    deployed.deploy()
    assert deployed.status("storage") == "UPDATE_ROLLBACK_COMPLETE"
    assert deployed.is_complete


def test_a_rollback_that_cannot_be_continued_says_what_to_do(deployed: Stage) -> None:
    deployed.aws.failures = [Failure("Errored", "update"), Failure("Landing", "rollback", times=9)]
    failing(lambda: deployed.deploy(UPDATE))
    message = failing(lambda: deployed.deploy(UPDATE))
    command = (
        "aws cloudformation continue-update-rollback --stack-name hireflow-prod-storage --resources-to-skip Landing"
    )
    assert f"repair this resource, or skip it with `{command}`, and run make deploy again" in message
    skipping: Any = deployed.cloud.client("cloudformation")
    skipping.continue_update_rollback(
        StackName="hireflow-prod-storage", ResourcesToSkip=["Landing"], ClientRequestToken="token"
    )
    deployed.deploy(UPDATE)
    assert deployed.is_complete


# --- leftovers


def test_resources_are_imported_only_if_a_deleted_stack_has_left_some(stage: Stage) -> None:
    def importing() -> list[str]:
        given = [given for name, given in stage.aws.requests if name == "create_change_set"]
        return [it["StackName"] for it in given if it.get("ImportExistingResources")]

    stage.deploy()
    stage.deploy(LARGER)
    assert importing() == []
    stage.destroy()
    left = {(thing.kind, thing.physical) for thing in stage.aws.things.values()}
    assert [kind for kind, _ in left].count(BUCKET) == [kind for kind, _ in left].count(LOG_GROUP) == 3
    stage.deploy()
    assert sorted(set(importing())) == ["hireflow-prod-database", "hireflow-prod-storage"]
    assert left <= set(stage.aws.things)
    assert stage.is_complete


def test_a_bucket_of_another_stack_is_not_imported(stage: Stage) -> None:
    stage.deploy()
    buckets = stage.aws.of_kind(BUCKET)
    stage.destroy()
    other = stage.aws.stacks[0]  # turn the deleted stack into an existing stack of somebody else
    other.name, other.status = "somebody-else", "CREATE_COMPLETE"
    for bucket in buckets:
        bucket.owner = other.id
    stage.aws.requests.clear()
    assert "already exists; delete or rename this resource" in failing(stage.deploy)
    assert not any("ImportExistingResources" in given for _, given in stage.aws.requests)


def test_a_secret_that_a_person_has_deleted_does_not_prevent_a_new_database(stage: Stage) -> None:
    """CloudFormation deletes a secret at once. If a person deletes a secret, AWS deletes it only after 7 to 30 days,
    and keeps its name until then."""
    stage.deploy()
    (secret,) = stage.aws.of_kind(SECRET)
    assert secret.physical == SECRET_NAME
    stage.destroy()
    assert stage.aws.of_kind(SECRET) == []
    secret.scheduled_for_deletion = True
    stage.aws.things[SECRET, SECRET_NAME] = secret
    stage.deploy()
    assert stage.is_complete
    secret = stage.aws.things[SECRET, SECRET_NAME]
    secret.scheduled_for_deletion = True  # this time, the secret belongs to a stack whose database needs its password
    stage.deploy()
    assert stage.aws.of_kind(SECRET) == [secret]
    assert not secret.scheduled_for_deletion


def test_a_name_that_is_taken_is_reported(stage: Stage) -> None:
    stage.deploy()
    stage.in_service, cluster = None, stage.database
    stacks.delete(stage.cloud, STAGE, "database")
    assert cluster is not None
    cluster.owner = None
    stage.aws.things[cluster.kind, cluster.physical] = cluster
    message = failing(stage.deploy)
    assert "'hireflow-prod' already exists; delete or rename this resource and run the same command" in message


# --- stacks that a person has deleted


@pytest.mark.parametrize("part", ["storage", "operations"])
def test_a_stack_that_a_person_has_deleted_is_made_anew(deployed: Stage, part: str) -> None:
    buckets = deployed.aws.of_kind(BUCKET)
    deployed.delete_by_hand(part)
    assert deployed.status(part) is None
    deployed.deploy()
    assert deployed.is_complete
    assert deployed.aws.of_kind(BUCKET) == buckets


@pytest.mark.parametrize("part", ["network", "database"])
def test_the_data_of_a_stack_that_a_person_has_deleted_stay_in_place(deployed: Stage, part: str) -> None:
    deployed.delete_by_hand(part)
    assert deployed.status(part) == "DELETE_FAILED"
    message = failing(deployed.deploy)
    assert message.endswith("and then make deploy")
    assert "run make destroy, which keeps" in message
    deployed.destroy()
    assert deployed.aws.snapshots == ["hireflow-prod"]
    deployed.deploy()
    assert deployed.is_complete


# --- plan


def test_a_plan_of_a_broken_stack_leaves_it_as_it_is(stage: Stage) -> None:
    create_protected(stage, Failure("Proxy", "create"))
    things = dict(stage.aws.things)
    message = failing(lambda: stacks.plan(stage.cloud, STAGE, "database", {}))
    assert "is ROLLBACK_FAILED and cannot be planned; run make deploy, which repairs it first" in message
    assert stage.aws.things == things


def test_a_plan_leaves_no_stack(stage: Stage) -> None:
    planned = stacks.plan(stage.cloud, STAGE, "storage", {})
    assert {change.action for change in planned} == {"Add"}
    assert set(stage.statuses) == {None}


# --- destroy


def test_a_destruction_keeps_buckets_and_a_snapshot(deployed: Stage) -> None:
    buckets = deployed.aws.of_kind(BUCKET)
    deployed.destroy()
    assert set(deployed.statuses) == {None}
    assert {thing.kind for thing in deployed.aws.things.values()} == {BUCKET, LOG_GROUP}
    assert deployed.aws.of_kind(BUCKET) == buckets
    assert deployed.aws.snapshots == ["hireflow-prod"]


@pytest.mark.parametrize(("part", "resource"), RESOURCES)
def test_any_resource_may_fail_while_it_is_deleted(part: str, resource: str) -> None:
    deployed = stage_with(part)
    deployed.deploy()
    deployed.aws.failures = [Failure(resource, "delete", times=4)]
    if resource not in KEPT:
        assert f"stack hireflow-prod-{part} is not deleted: {resource}: " in failing(deployed.destroy)
    deployed.destroy()
    assert set(deployed.statuses) == {None}
    assert len(deployed.aws.snapshots) == 1
    assert len(deployed.aws.of_kind(BUCKET)) == 3


@pytest.mark.parametrize("call", range(0, SIZE // 2, 3))
def test_a_destruction_may_be_killed_at_any_request(deployed: Stage, call: int) -> None:
    deployed.aws.new_process(die_after=call)
    try:
        deployed.destroy()
    except Killed:
        deployed.aws.new_process()
        deployed.destroy()
    assert set(deployed.statuses) == {None}
    assert deployed.aws.snapshots == ["hireflow-prod"]


def test_a_second_destruction_leaves_behind_what_cannot_be_deleted(deployed: Stage) -> None:
    deployed.aws.failures = [Failure("FunctionsSecurityGroup", "delete", times=99)]
    failing(deployed.destroy)
    assert deployed.status("network") == "DELETE_FAILED"
    deployed.destroy()
    assert set(deployed.statuses) == {None}
    left = [line for line in deployed.lines if line.startswith("left behind")]
    names = [line.partition(": ")[2].split(" ")[0] for line in left]
    assert names == ["EndpointsSecurityGroup", "FunctionsSecurityGroup", "Vpc"]  # the 2nd one uses the others
    deployed.deploy()
    assert deployed.is_complete


def test_a_database_is_never_left_behind(deployed: Stage) -> None:
    deployed.aws.failures = [Failure("Cluster", "delete", times=99)]
    for _ in range(3):
        assert "is not deleted: Cluster: " in failing(deployed.destroy)
        assert deployed.status("database") == "DELETE_FAILED"
    assert deployed.database is not None
