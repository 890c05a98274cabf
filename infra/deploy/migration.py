"""Runs the migrations of a stage on AWS as soon as its new network, roles and database are ready."""

import time
from collections.abc import Callable

from cli.errors import CommandError
from cli.functions import FunctionFailed
from infra.locks import attempts

_SETTLED = 120  # seconds until a new IAM role is in effect and a new database accepts connections
_TRANSIENT = ("DatabaseUnavailable", "InterfaceError", "OperationalError", "TimeoutError", "authentication failed")
_TIMED_OUT = "Task timed out"  # a part of Lambda's error message after a timeout


def when_ready(
    migrate: Callable[[], list[str]],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Call `migrate` until it succeeds, and return its result. Raises the error of `migrate` if retries cannot help, or
    if they have not helped for _SETTLED seconds.

    The Lambda function may wait for its first login until its timeout, for example while Aurora wakes up. Such a call
    uses up the time for retries, so after the first timeout this time starts again.
    """
    try:
        return _retried(migrate, sleep, clock)
    except CommandError as error:
        if _TIMED_OUT not in str(error):
            raise
    return _retried(migrate, sleep, clock)


def _retried(migrate: Callable[[], list[str]], sleep: Callable[[float], None], clock: Callable[[], float]) -> list[str]:
    for again in attempts(_SETTLED, sleep, clock):
        try:
            return migrate()
        except CommandError as error:
            message = f"{error.kind if isinstance(error, FunctionFailed) else ''} {error}"
            if not any(word in message for word in _TRANSIENT):
                raise
            again()
    raise AssertionError("unreachable")
