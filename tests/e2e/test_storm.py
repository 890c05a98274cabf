"""Tests a stage with more clients than database connections. In the end every row is stored, and the functions never
open more connections than the limit."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from infra.local import provision
from infra.local.postgres import Postgres, home_of
from infra.local.provision import Role, connect
from tests.e2e.cloud import Cloud

CALLERS = 50
LIMIT = 12
PATIENCE = 120  # seconds that a client retries at most


def test_fifty_clients_share_a_few_connections(cloud: Cloud, stage: str | None) -> None:
    if stage is not None:
        pytest.skip("this stage was not started by the tests, so they do not change its limits")
    owner = Role("", "")
    admin = Postgres(home_of(cloud.commands.state.folder), owner).superuser_url
    functions = Role(f"{cloud.sql('SELECT current_user')[0][0]}_app", "")
    most, over = 0, threading.Event()

    def count() -> None:
        nonlocal most
        with closing(connect(admin)) as server:
            while not over.is_set():
                [[now]] = server.run("SELECT count(*) FROM pg_stat_activity WHERE usename = :u", u=functions.user)
                most = max(most, now)

    def call(number: int) -> set[int]:
        """Upload a row, and retry as long as the response is 503 or 429. Return the statuses of all responses."""
        seen, deadline = set(), time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            response = cloud.post("/job/upload", {"id": number, "job": f"Job {number}"})
            seen.add(response.status)
            if response.status not in (503, 429):
                return seen
            assert response.headers["Retry-After"]
            over.wait(0.2)  # a pause of 0.2 s, which ends at once if another client has failed
        raise AssertionError(f"client {number} got no response but 503 and 429 within {PATIENCE} seconds")

    provision.limit_connections(admin, functions, LIMIT)
    try:
        with closing(connect(admin)) as server:
            server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :u", u=functions.user)
        with ThreadPoolExecutor(CALLERS + 1) as pool:
            counted = pool.submit(count)
            try:
                statuses = set().union(*pool.map(call, range(1, CALLERS + 1)))
            finally:
                over.set()
            counted.result()
    finally:
        provision.limit_connections(admin, functions, cloud.commands.settings().read("DATABASE_CONNECTIONS"))
    assert statuses <= {201, 200, 503, 429}
    assert len(cloud.table("jobs")) == CALLERS
    assert 0 < most <= LIMIT
