"""Tests that a burst of clients' requests to S3 holds up neither the functions nor other clients."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.local.gate.bodies import Message
from infra.local.gate.turns import ROUNDS, Turns
from tests.asgi import HOST, KEYS, GateClient, scope_of_signed

FUNCTION = KEYS.session("arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:iam::000000000000:role/r")
SECONDS = 20


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), SECONDS))


async def rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_in_one_round_at_most_one_request_is_served_and_the_first_comes_first() -> None:
    turns, served = Turns(), list[int]()

    async def request(number: int) -> None:
        async with turns.one():
            served.append(number)

    async def burst() -> None:
        tasks = [asyncio.create_task(request(number)) for number in range(50)]
        before = 0
        while len(served) < len(tasks):
            await asyncio.sleep(0)
            assert len(served) - before <= 1
            before = len(served)
        await asyncio.gather(*tasks)

    run(burst)
    assert served == list(range(50))


def test_a_slow_request_does_not_hold_up_the_next_one() -> None:
    turns, never, passed = Turns(), asyncio.Event(), list[int]()

    async def slow() -> None:
        async with turns.one():
            await never.wait()

    async def count() -> None:
        while True:
            passed.append(await asyncio.sleep(0, 1))

    async def both() -> None:
        first = [asyncio.create_task(slow()) for _ in range(100)]
        await rounds(1)
        counted = asyncio.create_task(count())
        async with turns.one():
            assert len(passed) < 100 * 2 * ROUNDS
            never.set()
        counted.cancel()
        await asyncio.gather(*first)
        async with turns.one():  # each turn has ended once
            pass

    run(both)


@pytest.mark.parametrize("has_turn", [True, False])
def test_a_cancelled_request_gives_its_turn_to_the_next_one(has_turn: bool) -> None:
    turns, never = Turns(rounds=10**9), asyncio.Event()

    async def slow() -> None:
        async with turns.one():
            await never.wait()

    async def cancel() -> None:
        first, second = asyncio.create_task(slow()), asyncio.create_task(slow())
        await rounds(3)
        (first if has_turn else second).cancel()
        never.set()
        await asyncio.gather(first, second, return_exceptions=True)
        async with turns.one():
            pass

    run(cancel)


def signed(credentials: Credentials, key: str) -> dict[str, Any]:
    request = AWSRequest("GET", f"http://{HOST}/bucket/{key}", {"Host": HOST})
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    return scope_of_signed(request)


def test_a_request_of_a_function_is_served_before_the_clients_that_came_first() -> None:
    client = GateClient()
    gate = client.gate()
    of_client = Credentials(KEYS.access_key, KEYS.secret_key)
    of_function = Credentials(FUNCTION.access_key, FUNCTION.secret_key, FUNCTION.token)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    async def burst() -> None:
        scopes = [*(signed(of_client, f"client-{n}") for n in range(20)), signed(of_function, "function")]
        await asyncio.gather(*(gate(scope, receive, send) for scope in scopes))

    run(burst)
    assert [path for _, path, _ in client.behind.done].index("/bucket/function") <= 1
    assert len(client.behind.done) == 21
