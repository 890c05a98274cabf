"""Tests that metrics are log lines in a format that CloudWatch accepts, with few dimensions and without data of
rows."""

import io
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.backups.manifest import StoredFile
from chalicelib.backups.run import BackupRun
from chalicelib.core import logs
from chalicelib.core.datasets import DATASETS
from chalicelib.loads.outcomes import Counts, Ended
from chalicelib.monitoring.gauges import Gauges
from chalicelib.monitoring.metrics import UNITS, Metrics
from tests import emf

METRICS = Metrics("test")
STAGE = (("service", "hireflow"), ("stage", "test"))


class Written:
    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines that were written since the last call."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        assert text.isascii()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    recorded, logger = Written(), logging.getLogger(logs.LOGGER)
    handler = logging.StreamHandler(recorded.stream)
    handler.setFormatter(logs.Formatter())
    before = logger.level
    logger.addHandler(handler)
    yield recorded
    logger.removeHandler(handler)
    logger.setLevel(before)


COUNTS = st.builds(Counts, **{name: st.integers(0, 2**40) for name in vars(Counts())})
LOADS = st.builds(
    Ended,
    dataset=st.none() | st.sampled_from(list(DATASETS)),
    status=st.sampled_from(["succeeded", "failed", "skipped"]),
    seconds=st.none() | st.floats(0, 900),
    counts=COUNTS,
)
CORRELATION_IDS = st.text(max_size=64)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LOADS, CORRELATION_IDS)
def test_cloudwatch_accepts_the_line_of_any_load(written: Written, load: Ended, correlation_id: str) -> None:
    with logs.about(load_id=7, correlation_id=correlation_id, request_id="r"):
        METRICS.of_load(load)
    lines = written.lines()
    if load.status == "skipped":
        assert lines == []
        return
    [line] = lines
    points = emf.points(line)
    assert all(math.isfinite(value) for value in points.values())
    assert {name for name, _ in points} <= set(UNITS)
    assert {dimensions for _, dimensions in points} <= {STAGE, (*STAGE, ("dataset", load.dataset))}
    assert (line["load_id"], line["correlation_id"], line["request_id"]) == (7, correlation_id, "r")
    assert emf.of_stage(line)["LoadsFailed"] == (load.status == "failed")


def test_a_load_that_succeeded_has_counts_a_duration_and_a_speed(written: Written) -> None:
    METRICS.of_load(Ended("jobs", "succeeded", 2.0, Counts(received=10, inserted=7, rejected=3)))
    [line] = written.lines()
    expected = {"RowsReceived": 10, "RowsRejected": 3, "RowsPerSecond": 5.0, "LoadSeconds": 2.0, "LoadsFailed": 0}
    assert emf.of_stage(line) == expected
    assert emf.points(line)["RowsReceived", (*STAGE, ("dataset", "jobs"))] == 10
    assert "load_id" not in line


def test_a_load_that_took_zero_seconds_has_a_finite_speed(written: Written) -> None:
    METRICS.of_load(Ended("jobs", "succeeded", 0.0, Counts(received=2, inserted=2)))
    [line] = written.lines()
    assert emf.of_stage(line)["RowsPerSecond"] == 2000


def test_a_failed_load_has_a_duration_only_if_a_worker_claimed_it(written: Written) -> None:
    METRICS.of_load(Ended("jobs", "failed", 2.0))
    METRICS.of_load(Ended(None, "failed"))
    worked, swept = written.lines()
    assert emf.of_stage(worked) == {"LoadSeconds": 2.0, "LoadsFailed": 1}
    assert emf.points(swept) == {("LoadsFailed", STAGE): 1}


def test_only_a_backup_that_made_a_restore_point_is_measured(written: Written) -> None:
    tables = {name: StoredFile(rows=3, bytes=100, sha256="0" * 64) for name in DATASETS}
    created = BackupRun("created", restore_point="20210727T160208.123456Z", tables=tables, seconds=1.5)
    METRICS.of_backup(created)
    METRICS.of_backup(replace(created, outcome="unchanged"))
    METRICS.of_backup(BackupRun("busy"))
    [line] = written.lines()
    sums = {("BackupRows", STAGE): 3 * len(DATASETS), ("BackupBytes", STAGE): 100 * len(DATASETS)}
    assert emf.points(line) == {("BackupSeconds", STAGE): 1.5, **sums}
    assert line["restore_point"] == "20210727T160208.123456Z"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(Gauges, *[st.none() | st.integers(0, 2**40)] * 6))
def test_a_gauge_that_could_not_be_read_is_left_out(written: Written, gauges: Gauges) -> None:
    METRICS.of_gauges(gauges)
    [line] = written.lines()
    names = ["BackupAge", "BackupLag", "DeadLetters", "OrphansWaiting", "OutboxMessages", "OutboxAge"]
    values = dict(zip(names, vars(gauges).values(), strict=True))
    assert emf.of_stage(line) == {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR", "CRITICAL"])
def test_metrics_are_written_at_every_level(written: Written, level: str) -> None:
    logging.getLogger(logs.LOGGER).setLevel(level)
    METRICS.of_gauges(Gauges(dead_letters=1))
    assert [emf.of_stage(line) for line in written.lines()] == [{"DeadLetters": 1}]


def test_the_helper_of_these_tests_refuses_lines_that_cloudwatch_refuses() -> None:
    described = {"Namespace": "N", "Dimensions": [["stage"]], "Metrics": [{"Name": "A", "Unit": "Count"}]}
    good = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [described]}, "stage": "test", "A": 1}
    assert emf.points(good) == {("A", (("stage", "test"),)): 1}
    wrong: list[dict[str, Any]] = [
        good | {"A": "1"},
        good | {"stage": 7},
        good | {"_aws": {"Timestamp": "1", "CloudWatchMetrics": [described]}},
        good | {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [described | {"Metrics": [{"Name": "A", "Unit": "s"}]}]}},
        good | {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [described | {"More": 1}]}},
    ]
    for line in wrong:
        with pytest.raises(AssertionError):
            emf.points(line)
