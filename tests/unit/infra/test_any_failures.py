"""Tests that a deployment and a destruction recover from any sequence of failures, interruptions and interventions."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.aws.profiles import SMALL, STANDARD, TINY, Profile
from infra.aws.stacks import PARTS
from infra.errors import CloudError
from tests.fakes.account import BUCKET, LOG_GROUP, Failure, Killed
from tests.fakes.stages import RESOURCES, Parameters, Stage, advice

CHANGES: tuple[Parameters, ...] = (
    {},
    {"database": {"MaxCapacity": "16"}, "instance": {"LogDays": "30"}},
    {"storage": {"LandingDays": "60", "ErroredDays": "60"}, "database": {"LogDays": "30", "MinCapacity": "1"}},
    {"operations": {"BackupLag": "1800", "AlarmEmail": ""}},
)
CONFIRMED = "run make destroy"  # the advice of an error that needs the consent of a person
TAKEN = "delete or rename this resource and run the same command again"


@dataclass(frozen=True)
class Step:
    """A command with its circumstances. Before the command, a person deletes the stack of the part `deleted`. The
    command is killed after `die_after` requests, unless `die_after` is None. `failures` happen while the command
    runs."""

    command: str
    change: Parameters
    deleted: str | None
    die_after: int | None
    failures: list[Failure] = field(default_factory=list)


FAILURES = st.builds(
    Failure,
    st.sampled_from([name for _, name in RESOURCES]),
    st.sampled_from(["create", "update", "rollback", "delete", "delete"]),
    times=st.integers(1, 4),
    late=st.booleans(),
)
STEPS = st.builds(
    Step,
    st.sampled_from(["deploy", "deploy", "deploy", "destroy"]),
    st.sampled_from(CHANGES),
    st.none() | st.sampled_from(PARTS),
    st.none() | st.integers(0, 120),
    st.lists(FAILURES, max_size=3),
)


def carry_out(stage: Stage, step: Step) -> None:
    """Carry out a step. The message of every failure must say what to do."""
    if step.deleted:
        stage.delete_by_hand(step.deleted)
    stage.aws.failures += step.failures
    stage.aws.new_process(step.die_after)
    try:
        stage.deploy(step.change) if step.command == "deploy" else stage.destroy()
    except CloudError as error:
        advice(error)
    except Killed:
        pass
    stage.aws.new_process()


def deploy_and_follow_advice(stage: Stage, steps: list[Step]) -> None:
    """Deploy until a deployment succeeds. After each failed attempt, do what its message says. Only cases that need a
    person need more than one attempt."""
    for _ in range(4):
        try:
            return stage.deploy()
        except CloudError as error:
            said = advice(error)
            if CONFIRMED in said:
                assert any(step.deleted for step in steps), "no stack was deleted by hand, but a person must confirm"
                stage.destroy()
            elif said == TAKEN:
                delete_things_without_a_stack(stage)
            else:
                raise
    raise AssertionError("the deployment never succeeds")


def delete_things_without_a_stack(stage: Stage) -> None:
    for key, thing in list(stage.aws.things.items()):
        if thing.owner is None and thing.kind not in (BUCKET, LOG_GROUP):
            del stage.aws.things[key]


@given(st.sampled_from([STANDARD, SMALL, TINY]), st.lists(STEPS, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_deployment_after_any_failures_ends_with_all_stacks_complete(profile: Profile, steps: list[Step]) -> None:
    """`Stage.check` holds at every request: the database that is in use exists and stays protected."""
    stage = Stage(profile)
    buckets: set[str] = set()
    for step in steps:
        carry_out(stage, step)
        names = {thing.physical for thing in stage.aws.of_kind(BUCKET)}
        assert buckets <= names
        buckets = names
    stage.aws.failures.clear()
    deploy_and_follow_advice(stage, steps)
    assert stage.is_complete, stage.statuses


@given(st.sampled_from([STANDARD, SMALL, TINY]), st.lists(STEPS, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_destruction_after_any_failures_ends_without_stacks_and_keeps_the_data(
    profile: Profile, steps: list[Step]
) -> None:
    stage = Stage(profile)
    for step in steps:
        carry_out(stage, step)
    buckets = {thing.physical for thing in stage.aws.of_kind(BUCKET)}
    stage.aws.failures.clear()
    stage.destroy()
    assert stage.statuses == [None] * len(profile.parts)
    assert buckets <= {thing.physical for thing in stage.aws.of_kind(BUCKET)}
    assert len(stage.aws.snapshots) == stage.aws.databases_made  # RDS makes a snapshot before it deletes a database
