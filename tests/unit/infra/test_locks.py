"""Tests that an operation is retried until a time limit."""

import pytest

from infra.locks import attempts


def test_attempts_pause_after_each_failure_until_the_time_limit() -> None:
    now, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def fail() -> None:
        for number, again in enumerate(attempts(4, sleep, lambda: now[0]), 1):
            try:
                raise ValueError(number)
            except ValueError:
                again()

    with pytest.raises(ValueError, match="4"):
        fail()
    assert waits == [0.5, 1, 2]
