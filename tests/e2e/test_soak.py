"""Tests that every kind of work of a soak succeeds on a deployed stage, and that the stage can be measured."""

from random import Random

import pytest

from tests.e2e.cloud import Cloud
from tests.soak.samples import Sampler
from tests.soak.work import Work


@pytest.fixture
def work(cloud: Cloud, stage: str | None) -> Work:
    if stage is not None:
        pytest.skip("a soak measures the processes and the folders of an embedded cloud")
    return Work(cloud, seed=1, calling=1.0)


def test_every_kind_of_work_succeeds(work: Work) -> None:
    work.fill()
    for step in work.steps:
        for turn in (0, 10, 2):  # only some turns have a restore or a workbook
            step(Random(turn), turn)
    assert not work.wrong
    assert {"files, XLSX", "requests", "restores, succeeded", "pages", "verifications"} <= work.done.keys()
    assert work.done["requests"] > work.done["requests, 429 or 503"]


def test_a_sample_measures_processes_tables_and_folders(work: Work) -> None:
    work.cloud.upload("departments.csv", "1,Sales\n,x\n")
    sampler = Sampler(work.cloud.commands.state)
    try:
        sample = sampler.sample()
    finally:
        sampler.close()
    measured = {name for name, value in sample.items() if value > 0}
    assert {"memory of the embedded AWS", "workers", "memory of the largest worker"} <= measured
    assert {"descriptors of the embedded AWS", "file aws.log"} <= measured
    assert sample["connections to Postgres"] > 1  # the sampler has one, and functions have others
    assert {
        "table loads",
        "system catalogs",
        "bucket landing",
        "objects in bucket errored",
        "folder pg_wal",
    } <= measured
