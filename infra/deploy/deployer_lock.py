"""Lets only one deployer at a time change a stage on AWS.

The lock is an object in the stage's backup bucket, which outlives the stage's stacks. S3 creates it only if it does not
exist (a conditional write), so of two deployers that start at the same time, one is refused. If a deployer is killed,
its lock stays. The next command from the same checkout takes this lock over. For all other checkouts, `make unlock`
deletes the lock.
"""

import getpass
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy.target import APP
from infra.errors import CloudError
from infra.local.state import State

KEY = "deployments/lock.json"
_NOTE = "deployer"  # the name under which the stage's folder holds the id of this checkout
_MISSING = ("NoSuchKey", "NoSuchBucket", "404")
_TAKEN = (
    "PreconditionFailed",
    "412",
    "ConditionalRequestConflict",
    "409",
)  # 409: two requests race


@dataclass(frozen=True)
class Deployer:
    """Describes the deployer that changes a stage.

    `caller` is the ARN of the credentials, `machine` is user@host, `checkout` is the id of the stage's folder on this
    machine, `command` is deploy or destroy, and `since` is an ISO timestamp in UTC.
    """

    caller: str
    machine: str
    checkout: str
    command: str
    since: str

    @classmethod
    def here(cls, caller: str, state: State, command: str) -> "Deployer":
        """Return the deployer that this process is."""
        checkout = state.notes().get(_NOTE) or uuid4().hex
        state.note(**{_NOTE: checkout})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(caller, f"{_user()}@{socket.gethostname()}", checkout, command, now)

    def is_same_checkout(self, other: "Deployer") -> bool:
        return (self.checkout, self.machine) == (other.checkout, other.machine)

    def described(self, now: datetime) -> str:
        return f"{self.caller} ({self.machine}) has been running make {self.command} for {_age(self.since, now)}"


class DeployerLock:
    """The lock of one stage, for the deployer `ours`. `s3` is a boto3 client."""

    def __init__(self, s3: Any, stage: str, ours: Deployer) -> None:
        self._s3, self._stage, self._ours = s3, stage, ours
        self._bucket: str | None = None

    def take(self, bucket: str | None) -> None:
        """Take the lock in this backup bucket, unless this deployer already holds the lock or there is no bucket yet.

        A lock that this checkout has left behind is taken over. Each deployer also locks the folder of the stage on its
        machine, so the process that left the lock in the bucket has ended. Raises CloudError if somebody else holds the
        lock.
        """
        if bucket is None or self._bucket is not None:
            return
        self._bucket = bucket  # before the request, so that an interruption during the request releases the lock, too
        while not self._write(IfNoneMatch="*"):
            found = read(self._s3, bucket)
            if found is None:  # the holder has just released the lock
                continue
            holder, etag = found
            if not holder.is_same_checkout(self._ours):
                self._bucket = None
                raise CloudError(refusal(self._stage, holder, datetime.now(UTC)))
            if self._write(IfMatch=etag):
                return

    def release(self) -> None:
        """Delete the lock if this deployer holds it. Otherwise, somebody has run `make unlock`, and another deployer
        may hold the lock now."""
        if self._bucket is None:
            return
        found = read(self._s3, self._bucket)
        if found is not None and found[0].is_same_checkout(self._ours):
            self._s3.delete_object(Bucket=self._bucket, Key=KEY)
        self._bucket = None

    def _write(self, **condition: str) -> bool:
        """Write the lock. Return False if the condition does not hold."""
        body = json.dumps(asdict(self._ours), indent=2).encode()
        try:
            self._s3.put_object(Bucket=self._bucket, Key=KEY, Body=body, ContentType="application/json", **condition)
        except ClientError as error:
            # With If-Match, S3 responds that there is no such key if the lock was deleted meanwhile.
            if error.response["Error"]["Code"] not in (*_TAKEN, "NoSuchKey"):
                raise
            return False
        return True


@contextmanager
def held(lock: DeployerLock, bucket: str | None) -> Iterator[DeployerLock]:
    """Hold the lock during a block, and release it also if the block fails or is interrupted.

    If there is no bucket yet, the block calls `take` as soon as there is one.
    """
    try:
        lock.take(bucket)
        yield lock
    except BaseException:
        with suppress(BotoCoreError, ClientError):  # the error of the block is the useful one
            lock.release()
        raise
    lock.release()


def read(s3: Any, bucket: str) -> tuple[Deployer, str] | None:
    """Return the deployer that holds the lock, and the ETag of the lock. Return None if nobody holds it."""
    try:
        found = s3.get_object(Bucket=bucket, Key=KEY)
        return Deployer(**json.loads(found["Body"].read())), found["ETag"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return None
    except (TypeError, ValueError) as error:
        raise CloudError(f"s3://{bucket}/{KEY} is not a lock of a deployer: delete this object") from error


def notes(s3: Any, bucket: str | None, stage: str) -> tuple[str, ...]:
    """Return a note for the plan if somebody holds the lock."""
    found = read(s3, bucket) if bucket else None
    return (refusal(stage, found[0], datetime.now(UTC)),) if found else ()


def check_confirmed(stage: str, env: Mapping[str, str]) -> None:
    """Raise CloudError unless YES in the environment names the stage."""
    if env.get("YES") != stage:
        raise CloudError(
            f"this lets another command change stage {stage}, even if a deployment still runs: add YES={stage} to"
            " confirm it"
        )


def unlock(s3: Any, bucket: str | None) -> str:
    """Delete the lock, whoever holds it. Return what was done."""
    found = read(s3, bucket) if bucket else None
    if found is None:
        return "nobody held the lock"
    s3.delete_object(Bucket=bucket, Key=KEY)
    return f"deleted the lock: {found[0].described(datetime.now(UTC))}"


def refusal(stage: str, holder: Deployer, now: datetime) -> str:
    """Return why a deployer is refused, and what to do."""
    return (
        f"{APP}-{stage} is locked: {holder.described(now)}: wait until that command ends, or, if it was killed, run"
        f" make unlock STAGE={stage} YES={stage}"
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user id has no name, as in some containers
        return "?"


def _age(since: str, now: datetime) -> str:
    minutes = max(int((now - datetime.fromisoformat(since)).total_seconds() // 60), 0)
    days, hours = minutes // (24 * 60), minutes // 60
    for number, unit in ((days, "day"), (hours, "hour"), (minutes, "minute")):
        if number:
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"
