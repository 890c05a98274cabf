"""Tests the workers of a function with real processes: with forks, and as on a system where processes must not fork."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.local.runtime.pool import Pool
from infra.local.runtime.slots import acquire
from infra.local.runtime.template import Release

CODE = """
import os, random
def handler(event, context):
    print("line", event)
    return [event, os.getpid(), random.random(), os.environ.get("WORD")]
"""
Log = list[tuple[str, str]]


@pytest.fixture
def starts() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def release(tmp_path: Path) -> Callable[[str], Release]:
    """Return a function that makes a release of the code. The environment of the release contains the given word."""
    (tmp_path / "code.py").write_text(CODE)
    about = {"name": "pooled", "arn": "arn", "version": "$LATEST", "memory": 128, "timeout": 20}
    return lambda word: Release(word, "code.handler", about, {**os.environ, "WORD": word}, lambda: tmp_path)


@pytest.fixture(params=[True, False], ids=["forks", "without forks"])
def run(
    request: pytest.FixtureRequest, starts: ThreadPoolExecutor
) -> Callable[[Callable[[Pool], Awaitable[Any]]], Any]:
    """Return a function that calls its argument with a pool of two slots, and stops the pool."""

    async def with_pool(work: Callable[[Pool], Awaitable[Any]]) -> Any:
        streams = iter(range(100))
        pool = Pool(starts, 2, lambda: f"stream {next(streams)}", forks=request.param)
        try:
            return await work(pool)
        finally:
            await pool.stop()

    return lambda work: asyncio.run(with_pool(work))


async def invoke(pool: Pool, release: Release, event: int, log: Log) -> Any:
    assert await acquire(pool.slots, 20)
    try:
        outcome = await pool.invoke(release, "request", str(event).encode(), lambda *lines: log.append(lines))
    finally:
        pool.slots.free()
    assert not outcome.failed, outcome
    return json.loads(outcome.content)


def test_each_event_has_a_result_and_each_worker_a_log_stream(
    run: Callable[[Callable[[Pool], Awaitable[Any]]], Any], release: Callable[[str], Release]
) -> None:
    log: Log = []

    async def work(pool: Pool) -> list[Any]:
        return list(await asyncio.gather(*(invoke(pool, release("a"), number, log) for number in range(6))))

    results = run(work)
    assert [event for event, *_ in results] == list(range(6))
    assert len({pid for _, pid, *_ in results}) <= 2
    assert len({number for _, _, number, _ in results}) == 6  # workers share no random numbers
    assert {lines for _, lines in log} == {f"line {number}" for number in range(6)}
    assert len({stream for stream, _ in log}) == len({pid for _, pid, *_ in results})


def test_a_new_release_has_new_workers(
    run: Callable[[Callable[[Pool], Awaitable[Any]]], Any], release: Callable[[str], Release]
) -> None:
    async def work(pool: Pool) -> list[Any]:
        return [await invoke(pool, release(word), 1, []) for word in ("old", "old", "new")]

    (_, first, _, old), (_, second, _, _), (_, third, _, new) = run(work)
    assert (old, new) == ("old", "new")
    assert first == second != third


def test_starting_ahead_ends_when_another_release_is_invoked(
    run: Callable[[Callable[[Pool], Awaitable[Any]]], Any], release: Callable[[str], Release]
) -> None:
    async def work(pool: Pool) -> list[Any]:
        async with asyncio.timeout(60):
            return list(await asyncio.gather(pool.start_ahead(release("old"), 2), invoke(pool, release("new"), 1, [])))

    _, (_, _, _, word) = run(work)
    assert word == "new"


def test_workers_that_start_ahead_replace_those_of_the_release_before(
    run: Callable[[Callable[[Pool], Awaitable[Any]]], Any], release: Callable[[str], Release]
) -> None:
    async def work(pool: Pool) -> list[Any]:
        await invoke(pool, release("old"), 1, [])
        async with asyncio.timeout(60):
            await pool.start_ahead(release("new"), 2)
        return [await invoke(pool, release("new"), 1, [])]

    [(_, _, _, word)] = run(work)
    assert word == "new"


def test_no_process_is_left_after_a_stop(
    run: Callable[[Callable[[Pool], Awaitable[Any]]], Any], release: Callable[[str], Release]
) -> None:
    async def work(pool: Pool) -> Any:
        return await invoke(pool, release("a"), 1, [])

    _, pid, *_ = run(work)
    assert ended(pid)


def ended(pid: int) -> bool:
    """Return whether a process ends within 20 seconds. The system may still list it until its parent collects it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            pass
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


UNAVAILABLE = """
import os
def handler(event, context):
    return {"statusCode": 503 if event == 503 else 200, "body": str(os.getpid())}
"""


def test_after_a_503_another_worker_handles_the_next_request(
    run: Callable[[Callable[[Pool], Awaitable[Any]]], Any], release: Callable[[str], Release], tmp_path: Path
) -> None:
    """The other worker may have the connection that the first one lacks."""
    made = release("a")
    (tmp_path / "code.py").write_text(UNAVAILABLE)

    async def work(pool: Pool) -> list[str]:
        await pool.start_ahead(made, 2)
        return [(await invoke(pool, made, status, []))["body"] for status in (200, 200, 503, 200, 200)]

    first, again, refused, *later = run(work)
    assert first == again == refused
    assert later == [later[0], later[0]]
    assert later[0] != first
