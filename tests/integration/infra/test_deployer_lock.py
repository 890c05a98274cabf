"""Tests that only one deployer at a time can change a stage. moto's S3 carries out the conditional writes."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.deploy import deployer_lock
from infra.deploy.deployer_lock import KEY, Deployer, DeployerLock
from infra.errors import CloudError
from infra.local import ports
from infra.local.aws import EmbeddedAws
from infra.local.state import State
from infra.venv import ROOT
from tests.integration.embedded import clients
from tests.integration.s3_fixtures import BACKUP, S3

ANN = Deployer("arn:aws:iam::123456789012:user/ann", "ann@laptop", "1", "deploy", "2026-01-02T03:04:05+00:00")
BOB = replace(ANN, caller="arn:aws:iam::123456789012:user/bob", machine="bob@desk", checkout="2")


@pytest.fixture
def bucket(s3: S3) -> S3:
    s3.client.put_bucket_versioning(Bucket=BACKUP, VersioningConfiguration={"Status": "Enabled"})
    return s3


def lock(s3: S3, deployer: Deployer = ANN) -> DeployerLock:
    return DeployerLock(s3.client, "prod", deployer)


def holder(s3: S3) -> Deployer | None:
    found = deployer_lock.read(s3.client, BACKUP)
    return found[0] if found else None


def refused(take: Callable[[], object]) -> bool:
    try:
        take()
    except CloudError as error:
        return "is locked" in str(error)
    return False


def test_the_refusal_of_a_second_deployer_names_the_holder_the_age_and_the_remedy(bucket: S3) -> None:
    an_hour_ago = (datetime.now(UTC) - timedelta(minutes=61)).isoformat(timespec="seconds")
    lock(bucket, replace(ANN, since=an_hour_ago)).take(BACKUP)
    with pytest.raises(CloudError) as raised:
        lock(bucket, BOB).take(BACKUP)
    assert str(raised.value) == (
        "hireflow-prod is locked: arn:aws:iam::123456789012:user/ann (ann@laptop) has been running make deploy for"
        " 1 hour: wait until that command ends, or, if it was killed, run make unlock STAGE=prod YES=prod"
    )


@pytest.mark.parametrize("error", [None, CloudError("it failed"), KeyboardInterrupt()])
def test_the_lock_is_released_at_the_end_and_after_errors_and_ctrl_c(bucket: S3, error: BaseException | None) -> None:
    def work() -> None:
        with deployer_lock.held(lock(bucket), BACKUP):
            assert holder(bucket) == ANN
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            work()
    else:
        work()
    assert holder(bucket) is None
    lock(bucket, BOB).take(BACKUP)  # the delete marker of the released lock does not prevent this


def test_ctrl_c_during_the_request_that_takes_the_lock_releases_it(bucket: S3) -> None:
    """The request reaches S3, but the deployer is interrupted before it gets the response."""

    def interrupt(**_: Any) -> None:
        bucket.client.meta.events.unregister("after-call.s3.PutObject", interrupt)
        raise KeyboardInterrupt

    bucket.client.meta.events.register("after-call.s3.PutObject", interrupt)
    with pytest.raises(KeyboardInterrupt), deployer_lock.held(lock(bucket), BACKUP):
        pass
    assert "PutObject" in [operation for operation, _ in bucket.calls]
    assert holder(bucket) is None


def test_a_checkout_takes_over_the_lock_of_its_own_killed_command(bucket: S3) -> None:
    lock(bucket).take(BACKUP)
    later = replace(ANN, command="destroy", since="2026-02-02T03:04:05+00:00")
    lock(bucket, later).take(BACKUP)
    assert holder(bucket) == later
    for other in (replace(ANN, checkout="3"), replace(ANN, machine="ann@other")):
        assert refused(lambda other=other: lock(bucket, other).take(BACKUP))  # type: ignore[misc]


def test_a_checkout_is_recognized_by_its_folder(tmp_path: Path) -> None:
    first, again = (Deployer.here("arn", State(tmp_path), "deploy") for _ in range(2))
    (tmp_path / "other").mkdir()
    assert first.is_same_checkout(again)
    assert not first.is_same_checkout(Deployer.here("arn", State(tmp_path / "other"), "deploy"))
    assert re.fullmatch(r".+@.+", first.machine)
    assert datetime.fromisoformat(first.since).tzinfo == UTC


def test_before_the_bucket_exists_the_lock_is_not_taken(bucket: S3) -> None:
    with deployer_lock.held(lock(bucket), None) as held:
        held.take(None)
        assert holder(bucket) is None
        held.take(BACKUP)
        assert holder(bucket) == ANN
        held.take(BACKUP)  # to take the lock a second time changes nothing
    assert holder(bucket) is None
    assert deployer_lock.read(bucket.client, "no-such-bucket") is None


def test_a_broken_lock_is_not_released_by_its_earlier_holder(bucket: S3) -> None:
    ann, bob = lock(bucket), lock(bucket, BOB)
    ann.take(BACKUP)
    assert deployer_lock.unlock(bucket.client, BACKUP).startswith(f"deleted the lock: {ANN.caller}")
    bob.take(BACKUP)
    ann.release()
    assert holder(bucket) == BOB
    bob.release()
    assert deployer_lock.unlock(bucket.client, BACKUP) == "nobody held the lock"


def test_a_lock_is_broken_only_after_a_confirmation() -> None:
    deployer_lock.check_confirmed("prod", {"YES": "prod"})
    for wrong in ({}, {"YES": "1"}, {"YES": "other"}):
        with pytest.raises(CloudError, match="add YES=prod to confirm it"):
            deployer_lock.check_confirmed("prod", wrong)


def test_a_lock_that_cannot_be_read_is_reported(bucket: S3) -> None:
    bucket.client.put_object(Bucket=BACKUP, Key=KEY, Body=b"{}")
    with pytest.raises(CloudError, match=f"s3://{BACKUP}/{KEY} is not a lock of a deployer: delete this object"):
        lock(bucket).take(BACKUP)


def test_a_refusal_by_s3_itself_is_an_error(bucket: S3) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        lock(bucket).take("no-such-bucket")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.sampled_from(["take", "release", "kill", "unlock"]))))
def test_no_sequence_of_actions_lets_two_deployers_hold_the_lock(
    bucket: S3, actions: list[tuple[Deployer, str]]
) -> None:
    bucket.client.delete_object(Bucket=BACKUP, Key=KEY)
    owner: Deployer | None = None
    locks = {one.caller: lock(bucket, one) for one in (ANN, BOB)}
    holding = {one.caller: False for one in (ANN, BOB)}
    for deployer, action in actions:
        ours = locks[deployer.caller]
        if action == "take":
            expected = not holding[deployer.caller] and owner not in (None, deployer)
            assert refused(lambda ours=ours: ours.take(BACKUP)) == expected  # type: ignore[misc]
            if not expected and not holding[deployer.caller]:
                owner, holding[deployer.caller] = deployer, True
        elif action == "release":
            ours.release()
            owner = None if holding[deployer.caller] and owner == deployer else owner
            holding[deployer.caller] = False
        elif action == "kill":
            locks[deployer.caller], holding[deployer.caller] = lock(bucket, deployer), False
        else:
            deployer_lock.unlock(bucket.client, BACKUP)
            owner = None
        assert holder(bucket) == owner


@pytest.mark.parametrize("left_behind", [None, ANN, BOB])
@pytest.mark.parametrize("request_number", range(4))
@pytest.mark.parametrize("broken_before", [False, True])
def test_one_of_two_simultaneous_deployers_is_refused(
    bucket: S3, left_behind: Deployer | None, request_number: int, broken_before: bool
) -> None:
    """Bob acts between two requests of Ann: he takes the lock, in some cases after `make unlock`."""
    if left_behind:
        lock(bucket, left_behind).take(BACKUP)
    bucket.calls.clear()
    others = S3(bucket.client)
    bob_refused: list[bool] = []

    def act(*_: str) -> None:
        if len(bucket.calls) == request_number + 1 and not bob_refused:
            bob_refused.append(False)  # Bob's own requests call this function, too
            if broken_before:
                deployer_lock.unlock(others.client, BACKUP)
            bob_refused[0] = refused(lambda: lock(others, BOB).take(BACKUP))

    bucket.before = act
    ann_refused = refused(lambda: lock(bucket).take(BACKUP))
    bucket.before = None
    if not bob_refused:  # Ann has sent fewer requests than `request_number`
        bob_refused.append(refused(lambda: lock(others, BOB).take(BACKUP)))
    assert [ann_refused, bob_refused[0]].count(True) == 1
    assert holder(bucket) == (BOB if ann_refused else ANN)


def test_a_cancelled_pipeline_ends_the_command_as_ctrl_c_does(tmp_path: Path) -> None:
    """Pipelines send SIGTERM. Without a handler the process would end without releasing its lock."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # a server that stands for AWS, and never responds
        server.settimeout(60)
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HIREFLOW_"))},
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "HIREFLOW_STATE_DIR": str(tmp_path),
        }
        command = [sys.executable, "-m", "infra.deploy", "deploy", "--stage", "prod"]
        with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = server.accept()
            with connection:
                process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted: run the same command again to continue\n")


def test_only_one_of_many_simultaneous_deployers_gets_the_lock(tmp_path: Path) -> None:
    """All deployers run in threads of their own, and send their conditional writes to the embedded AWS."""
    server, port = EmbeddedAws(tmp_path / "aws"), ports.free_port()
    server.start(port)
    try:
        client = clients(port, server.credentials)
        client("s3").create_bucket(Bucket=BACKUP)
        deployers = [replace(ANN, checkout=str(number)) for number in range(8)]
        locks = [DeployerLock(client("s3"), "prod", each) for each in deployers]
        for _ in range(5):
            together = Barrier(len(locks))

            def take(lock: DeployerLock, together: Barrier = together) -> bool:
                together.wait()
                return not refused(lambda: lock.take(BACKUP))

            with ThreadPoolExecutor(len(locks)) as pool:
                won = list(pool.map(take, locks))
            assert won.count(True) == 1
            found = deployer_lock.read(client("s3"), BACKUP)
            assert found is not None
            assert found[0] == deployers[won.index(True)]
            for each in locks:
                each.release()
            assert deployer_lock.read(client("s3"), BACKUP) is None
    finally:
        server.stop()
