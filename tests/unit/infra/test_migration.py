"""Tests how a deployment waits for the first successful migration of a new stage."""

from collections.abc import Iterator

import pytest

from cli.errors import CommandError
from cli.functions import FunctionFailed
from infra.deploy.migration import when_ready

TIMED_OUT = FunctionFailed("migrate", "Sandbox.Timedout", "RequestId: 1-2 Error: Task timed out after 300.00 seconds")
REFUSED = FunctionFailed("migrate", "ProgrammingError", "password authentication failed for user")
BROKEN = FunctionFailed("migrate", "ConfigurationError", "DATABASE_URL is not set")


class Stage:
    """A stage whose migrations fail with these errors, one after the other, and then succeed. A migration that times
    out takes 300 s."""

    def __init__(self, *failures: CommandError) -> None:
        self.failures: Iterator[CommandError] = iter(failures)
        self.seconds = 0.0
        self.calls = 0

    def migrate(self) -> list[str]:
        self.calls += 1
        error = next(self.failures, None)
        if error is None:
            return ["a note"]
        self.sleep(300 if error is TIMED_OUT else 1)
        raise error

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def migrated(self) -> list[str]:
        return when_ready(self.migrate, self.sleep, lambda: self.seconds)


@pytest.mark.parametrize("failures", [(), (TIMED_OUT,), (REFUSED, REFUSED), (REFUSED, TIMED_OUT, REFUSED)])
def test_the_migration_waits_for_the_first_login(failures: tuple[CommandError, ...]) -> None:
    assert Stage(*failures).migrated() == ["a note"]


def test_a_migration_that_times_out_twice_has_failed() -> None:
    stage = Stage(*[TIMED_OUT] * 5)
    with pytest.raises(FunctionFailed, match="timed out"):
        stage.migrated()
    assert stage.calls == 2


def test_a_permanent_error_is_raised_at_once() -> None:
    stage = Stage(BROKEN)
    with pytest.raises(FunctionFailed, match="DATABASE_URL"):
        stage.migrated()
    assert stage.calls == 1


def test_a_wrong_password_is_reported_after_two_minutes() -> None:
    stage = Stage(*[REFUSED] * 100)
    with pytest.raises(FunctionFailed, match="authentication failed"):
        stage.migrated()
    assert 100 < stage.seconds < 130
