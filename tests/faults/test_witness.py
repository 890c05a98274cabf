"""Runs the short form of the fault test. `make faults` runs the long form."""

import pytest

from tests.faults.stage import deployed
from tests.faults.witness import SHORT, run, seed


def test_nothing_is_lost_doubled_or_half_applied(capsys: pytest.CaptureFixture[str]) -> None:
    with deployed(seed(), SHORT.timeout) as stage:
        outcome = run(stage, seed(), SHORT, lambda _: None)
    with capsys.disabled():
        print("", *outcome.lines(), sep="\n")
    assert outcome.violations == []
