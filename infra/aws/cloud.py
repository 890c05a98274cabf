"""Gives access to an AWS account: makes clients of services, waits for operations, and converts errors of AWS."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

from infra.errors import CloudError

_PATIENCE = 3600  # seconds; creating a database with its proxy takes about twenty minutes


@dataclass(frozen=True)
class Cloud:
    """An AWS account in a region. `client` returns the boto3 client of a service, for example of `cloudformation`."""

    client: Callable[[str], Any]
    sleep: Callable[[float], None] = time.sleep

    def waits(self, what: str) -> Iterator[Callable[[], None]]:
        """Yield functions that wait. Each waits longer than the previous one.

        They raise CloudError after _PATIENCE seconds. `what` names in this error the operation that has not finished.
        """
        deadline, pause = time.monotonic() + _PATIENCE, 0.1

        def wait() -> None:
            if time.monotonic() > deadline:
                raise CloudError(f"{what} has not finished after {_PATIENCE} seconds; run the same command again later")
            self.sleep(pause)

        while True:
            yield wait
            pause = min(pause * 1.5, 10)


def without_credentials(error: BotoCoreError | ClientError) -> str | None:
    """Return what to do if the SDK found no credentials. Return None for any other error."""
    if isinstance(error, NoCredentialsError):
        return "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, ProfileNotFound):
        return f"{str(error).rstrip('.')}: set AWS_PROFILE to a profile that `aws configure list-profiles` shows"
    return None


@contextmanager
def errors(what: str) -> Iterator[None]:
    """Raise errors of AWS as CloudError. Its message begins with `what`, for example the name of a stack."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        if lacking := without_credentials(error):
            raise CloudError(lacking) from error
        reason = str(error).rstrip(".")
        raise CloudError(f"{what}: {reason}; remove the cause and run the same command again") from error


@contextmanager
def ignored(*codes: str) -> Iterator[None]:
    """Ignore ClientErrors with these codes."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise
