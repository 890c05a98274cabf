"""Tests that a block of code can delay Ctrl-C until its end."""

import signal
from collections.abc import Callable

import pytest

from cli.interrupts import put_off

done: list[str] = []


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def finish() -> None:
    done.append("the rest")


def fail() -> None:
    raise ValueError


def block(*steps: Callable[[], None]) -> None:
    done.clear()
    with put_off():
        for step in steps:
            step()


def test_ctrl_c_waits_until_the_end_of_the_block() -> None:
    with pytest.raises(KeyboardInterrupt):
        block(interrupt, finish)
    assert done == ["the rest"]


def test_a_second_ctrl_c_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt):
        block(interrupt, interrupt, finish)
    assert done == []


def test_a_delayed_ctrl_c_wins_over_a_failure_of_the_block() -> None:
    with pytest.raises(KeyboardInterrupt):
        block(interrupt, fail)


def test_without_ctrl_c_the_signal_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    block(finish)
    assert signal.getsignal(signal.SIGINT) is before
