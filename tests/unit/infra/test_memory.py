"""Tests when the embedded AWS saves the state of a service."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from infra.local.memory import POLL, Memory, services

REGISTRY: dict[str, dict[str, Any]] = {
    "sqs": {"module": "sqs"},
    "lambda": {"module": "lambda_svc", "state_key": "lambda", "sub_modules": ("lambda_durable",)},
    "iam": {"module": "iam"},
}


class Queues:
    """A container like the one in which ministack keeps its queues."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def to_dict(self) -> dict[str, list[str]]:
        return {"dead": list(self.messages)}


class Aws:
    """Takes the place of a few services of ministack. `written` has the names of the files that were saved."""

    def __init__(self) -> None:
        self.queues = Queues()
        self.written: list[str] = []
        self.unsettled = 0
        self.looks = 0
        self.slowness = 0.0  # seconds that each save takes

    def state_of(self, module: str) -> Any:
        self.looks += 1
        if module == "lambda_durable":
            return None  # this module is not in use, so it has no state
        if self.unsettled:
            self.unsettled -= 1
            raise RuntimeError("dictionary changed size during iteration")
        return {"queues": self.queues} if module == "sqs" else {"module": module}

    def save(self, file: str, _: Any) -> None:
        time.sleep(self.slowness)
        self.written.append(file)


def files_saved_by(work: Callable[[Aws, Memory], Awaitable[None]]) -> list[str]:
    """Run `work`, and then stop the `Memory`, which saves all unsaved states. Return the names of the saved files, in
    order."""
    aws = Aws()

    async def run() -> None:
        memory = Memory(services(REGISTRY), aws.save, aws.state_of)
        await work(aws, memory)
        await memory.stop()

    asyncio.run(run())
    return aws.written


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20 * POLL):
        while not check():
            await asyncio.sleep(0.01)


def test_files_have_the_names_that_ministack_reads() -> None:
    assert services(REGISTRY)["lambda"] == {"lambda": "lambda_svc", "lambda_durable": "lambda_durable"}


def test_a_change_is_on_disk_before_its_response() -> None:
    async def work(aws: Aws, memory: Memory) -> None:
        await memory.written("iam")
        assert aws.written == ["iam"]

    assert files_saved_by(work) == ["iam"]


def test_simultaneous_changes_are_saved_together() -> None:
    async def work(_: Aws, memory: Memory) -> None:
        await asyncio.gather(*(memory.written("iam") for _ in range(50)))

    assert len(files_saved_by(work)) < 50


def test_a_change_of_a_function_is_on_disk_a_moment_later() -> None:
    async def work(aws: Aws, memory: Memory) -> None:
        memory.start()
        await memory.written("lambda")
        assert aws.written == []
        await until(lambda: "lambda" in aws.written)

    assert "lambda" in files_saved_by(work)


def test_a_slow_save_does_not_delay_the_next_one() -> None:
    async def work(aws: Aws, memory: Memory) -> None:
        aws.slowness = 0.4
        memory.start()
        for saves in (1, 2):
            await memory.written("lambda")
            await until(lambda: aws.written.count("lambda") == saves)  # noqa: B023

    files_saved_by(work)


def test_a_change_elsewhere_does_not_save_the_code_of_all_functions() -> None:
    async def work(aws: Aws, memory: Memory) -> None:
        await memory.written("lambda")
        await memory.written("iam")
        assert aws.written == ["iam"]

    assert files_saved_by(work) == ["iam", "lambda"]


def test_a_message_that_ministack_itself_sends_is_on_disk_a_moment_later() -> None:
    async def work(aws: Aws, memory: Memory) -> None:
        memory.start()
        await until(lambda: aws.written == ["sqs"])  # the state at the start is saved once
        aws.queues.messages.append("a dead letter")
        await until(lambda: aws.written == ["sqs", "sqs"])
        looks = aws.looks
        await until(lambda: aws.looks > looks + 3)

    assert files_saved_by(work) == ["sqs", "sqs"], "an unchanged state is not saved again"


def test_a_call_of_cloudformation_saves_every_service() -> None:
    async def work(_: Aws, memory: Memory) -> None:
        await memory.written("cloudformation")

    assert set(files_saved_by(work)) == {"sqs", "lambda", "iam"}


def test_a_state_that_keeps_changing_is_saved_later() -> None:
    async def work(aws: Aws, memory: Memory) -> None:
        aws.unsettled = 3
        await memory.written("iam")
        assert aws.written == ["iam"], "the first save makes a few attempts"
        aws.unsettled = 10
        await memory.written("iam")
        assert aws.written == ["iam"]
        memory.start()
        await until(lambda: aws.written.count("iam") == 2)

    files_saved_by(work)


def test_a_stop_saves_pending_changes() -> None:
    async def work(_: Aws, memory: Memory) -> None:
        await memory.written("lambda")

    assert files_saved_by(work) == ["lambda"]


def test_an_unknown_service_is_not_saved() -> None:
    async def work(_: Aws, memory: Memory) -> None:
        await memory.written("unknown")

    assert files_saved_by(work) == []
