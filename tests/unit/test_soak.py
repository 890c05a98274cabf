"""Tests how a soak is judged, and that its files are in dialects that Hireflow understands."""

import os
from collections.abc import Sequence
from mmap import mmap
from random import Random

import pytest

from chalicelib.core.datasets import DATASETS
from tests.dialects import DECLARED, FOUND, written
from tests.soak.judge import Bound, conclusion, verdicts
from tests.soak.samples import own_memory
from tests.soak.work import a_dialect

USUAL = Bound(1.1, 1.0)


def flatness(values: Sequence[float], bounds: dict[str, Bound] | None = None) -> bool | None:
    [verdict] = verdicts([{"memory of a worker": value} for value in values], bounds or {}, USUAL)
    return verdict.flat


def test_a_measure_is_flat_if_its_last_third_is_no_larger_than_its_first_third_allows() -> None:
    assert flatness([100] * 9)
    assert flatness([100, 100, 100, 500, 500, 500, 111, 111, 111])  # 10 % more, and the allowance
    assert not flatness([100, 100, 100, 100, 100, 100, 112, 112, 112])
    assert flatness([100, 100, 900, 100, 100, 100, 100, 900, 100])  # single peaks do not count


def test_the_bound_of_the_longest_prefix_counts_and_growth_that_has_a_reason_is_not_judged() -> None:
    rising = [float(value) for value in range(100, 190, 10)]
    assert flatness(rising) is False
    assert flatness(rising, {"memory": Bound(2.0), "memory of": Bound(1.0)}) is False
    assert flatness(rising, {"memory": Bound(1.0), "memory of": Bound(2.0)}) is True
    assert flatness(rising, {"memory": Bound(grows="the rows that were sent")}) is None


def test_a_measure_that_appears_late_grows_from_nothing() -> None:
    samples = [{"a": 1.0}] * 6 + [{"a": 1.0, "b": 50.0}] * 3
    assert [(verdict.measure, verdict.flat) for verdict in verdicts(samples, {}, USUAL)] == [("a", True), ("b", False)]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="5 samples are too few"):
        verdicts([{"a": 1.0}] * 5, {}, USUAL)


def test_the_conclusion_of_a_short_run_says_that_growth_may_be_the_start_of_the_stage() -> None:
    assert conclusion([], 60) == "everything that must stay flat is flat"
    assert conclusion(["workers"], 1800) == "not flat: workers"
    assert conclusion(["workers"], 60).endswith("in this short run: run it again without SECONDS")


def test_memory_that_processes_share_does_not_count() -> None:
    with mmap(-1, 50_000_000) as shared:  # memory for several processes, as the buffers of Postgres
        before = own_memory(os.getpid(), 0.0)
        shared.write(b"x" * 1_000_000)
        for at in range(0, 50_000_000, 4096):
            shared[at] = 1
        assert own_memory(os.getpid(), 0.0) - before < 10
    assert own_memory(-1, 12.5) == 12.5


def test_the_dialects_of_a_soak_use_every_encoding_and_can_be_written() -> None:
    random = Random(1)
    drawn = [(dataset, a_dialect(random, dataset)) for dataset in DATASETS.values() for _ in range(200)]
    assert {dialect.encoding for _, dialect in drawn} == {*FOUND, *DECLARED}
    for dataset, dialect in drawn:
        assert written(dataset, [["1"] * len(dataset.columns)], dialect)


def test_a_measure_may_grow_with_others_and_no_more() -> None:
    bounds = {"memory": Bound(1.0, 1.0, each=0.5, of="objects")}

    def verdict(memory: float, objects: float) -> bool | None:
        samples = [{"memory": 10.0, "objects": 5.0}] * 3 + [{"memory": memory, "objects": objects}] * 3
        return next(each.flat for each in verdicts(samples, bounds, Bound()) if each.measure == "memory")

    assert [verdict(11.0, 5.0), verdict(16.0, 15.0), verdict(16.1, 15.0), verdict(11.1, 4.0)] == [
        True,
        True,
        False,
        False,
    ]
