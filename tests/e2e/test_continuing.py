"""Tests a load that takes longer than the timeout of the function. Other invocations continue the load, even after a
crash."""

import os
import signal

import pytest

from tests.e2e.cloud import FINAL, Cloud, counts, until

ROWS, IDS = 1_000_000, 1000
TIMEOUT = 8  # timeout of the function in seconds; reading the file takes longer than this
ENOUGH = 600  # seconds; on a busy machine, an invocation reads only a few percent of the file
STATE = "SELECT handovers, status, received FROM loads ORDER BY id DESC LIMIT 1"


def row(number: int) -> str:
    """Return a record for `number`. The quotes in the record slow down the CSV reader. All records together have few
    different ids, so that the merge is quick."""
    return f'"{number % IDS + 1}","The ""{number}"""\n' if number % 20_000 else '"","nobody"\n'


def continued(cloud: Cloud) -> bool:
    """Return whether an invocation continues the load after a handover."""
    [[handovers, status, received]] = cloud.sql(STATE)
    return bool(handovers and status == "running" and received)


def test_a_load_continues_after_a_handover_and_after_a_crash(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not change its functions")
    before = cloud.newest_load()
    with cloud.reconfigured("ingest", timeout=TIMEOUT, CONTINUE_FROM_BYTES="1000000"):
        source = cloud.put("departments_large.csv", "".join(map(row, range(ROWS))))
        until(lambda: cloud.newest_load() > before and continued(cloud), "the invocation after a handover")
        for pid in cloud.workers("ingest"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: cloud.sql(STATE)[0][1] in FINAL, "the end of the load", ENOUGH)
        load = cloud.ended(source, before)
    [[handovers, _, _]] = cloud.sql(STATE)
    assert load["status"] == "succeeded", load["error"]
    assert handovers > 1
    assert counts(load) == (ROWS, IDS, 0, 0, ROWS - IDS - ROWS // 20_000, ROWS // 20_000)
    assert [reject["line"] for reject in cloud.rejects(load)] == list(range(1, ROWS + 1, 20_000))
    last = {number % IDS + 1: number for number in range(ROWS) if number % 20_000}
    assert cloud.table("departments") == [(i, f'The "{last[i]}"') for i in range(1, IDS + 1)]
    assert cloud.sql("SELECT count(*) FROM staged_loads") == [(0,)]
