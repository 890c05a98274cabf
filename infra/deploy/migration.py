"""Runs the migrations of a stage on AWS as soon as its new network, roles and database are ready."""

import time
from collections.abc import Callable

from cli.errors import CommandError
from cli.functions import FunctionFailed
from infra.locks import attempts

_SETTLED = 120  # seconds until a new IAM role is in effect and a new database accepts connections
_TRANSIENT = ("DatabaseUnavailable", "InterfaceError", "OperationalError", "TimeoutError", "authentication failed")
_TIMED_OUT = "Task timed out"  # in the message of Lambda


def patiently(
    migrate: Callable[[], list[str]],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Call `migrate` until it succeeds, and return its result. Raise an error that will not pass, or has not passed.

    The function of the migration may wait for its first login until Lambda ends it, for example while Aurora wakes up.
    Then there is no time left for another attempt, so one such attempt does not count.
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
