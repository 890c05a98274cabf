"""Tests a burst of files beside callers of the API: every file is loaded at its first attempt, and a few workers do all
of the work."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from infra.deploy import concurrency
from tests.e2e.cloud import FINAL, Cloud, until

FILES, ROWS, CALLERS = 60, 20, 16
LOADS = "SELECT status, attempts FROM loads WHERE id > {before} AND source LIKE '%/departments-burst-%'"


def test_no_file_of_a_burst_is_lost_or_tried_twice(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage has other functions and other limits than an embedded cloud")
    before, letters, over = cloud.newest_load(), cloud.dead_letters(), Event()
    most = dict.fromkeys(limits := reserved(cloud), 0)

    def call(caller: int) -> set[int]:
        """Upload rows until the end of the burst. Return the statuses of the responses."""
        seen, number = set(), 0
        while not over.is_set():
            number += 1
            response = cloud.post("/job/upload", {"id": caller * 10_000 + number, "job": f"Job {caller} {number}"})
            assert response.status < 400 or response.headers["Retry-After"], response
            seen.add(response.status)
        return seen

    def ended() -> bool:
        for function, number in most.items():
            most[function] = max(number, len(cloud.workers(function)))
        loads = cloud.sql(LOADS.format(before=before))
        return len([status for status, _ in loads if status in FINAL]) == FILES

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call, caller) for caller in range(CALLERS)]
        try:
            for number in range(FILES):
                rows = (f"{number * ROWS + row + 1},Burst {number} {row}\n" for row in range(ROWS))
                cloud.put(f"departments-burst-{number}.csv", "".join(rows))
            until(ended, "the end of all loads")
        finally:
            over.set()
        statuses = set[int]().union(*(each.result() for each in calls))
    assert set(cloud.sql(LOADS.format(before=before))) == {("succeeded", 1)}
    assert cloud.sql("SELECT count(*) FROM departments") == [(FILES * ROWS,)]
    assert cloud.dead_letters() == letters
    assert 201 in statuses
    assert statuses <= {201, 429, 503}
    for function, number in most.items():
        assert 0 < number <= limits[function], function


def reserved(cloud: Cloud) -> dict[str, int]:
    """Return how many workers `ingest` and the API may have, as the deployment has reserved them."""
    config = json.loads(cloud.commands.configuration.read_text())
    functions = config["stages"][cloud.commands.stage]["lambda_functions"]
    return {name: functions[name]["reserved_concurrency"] for name in (concurrency.INGEST, concurrency.API)}
