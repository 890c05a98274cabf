"""Trying again, for as long as it may still work."""

import pytest

from infra.locks import attempts


def test_each_failure_is_waited_after_until_the_patience_is_over() -> None:
    now, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def fail() -> None:
        for tried, again in enumerate(attempts(4, sleep, lambda: now[0]), 1):
            try:
                raise ValueError(tried)
            except ValueError:
                again()

    with pytest.raises(ValueError, match="4"):
        fail()
    assert waits == [0.5, 1, 2]
