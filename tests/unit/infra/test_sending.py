"""Tests how the bodies of objects are sent from their files."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from infra.local.gate.bodies import Message
from infra.local.objects.sending import streaming
from infra.local.objects.stored import PIECE, Stored

BODY = bytes(range(256)) * (5 * PIECE // 256) + b"end"


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    (tmp_path / "object").write_bytes(BODY)
    return Stored.of_object(str(tmp_path / "object"))


def sent(stored: Stored, *, pieces_until_disconnect: int = 1000) -> list[Message]:
    """Return the messages that are sent for a body. The client disconnects after this many pieces."""
    messages: list[Message] = []

    async def respond() -> None:
        disconnected = asyncio.Event()
        before: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if not before:
                await disconnected.wait()
            return before.pop() if before else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            messages.append(message)
            if len(messages) > pieces_until_disconnect:
                disconnected.set()

        stream = streaming(receive, send)
        await stream({"type": "http.response.start", "status": 200, "headers": []})
        await stream({"type": "http.response.body", "body": stored})

    asyncio.run(respond())
    return messages


def test_a_body_is_sent_in_pieces(stored: Stored) -> None:
    start, *pieces = sent(stored)
    assert start["type"] == "http.response.start"
    assert b"".join(piece["body"] for piece in pieces) == BODY
    assert max(len(piece["body"]) for piece in pieces) <= PIECE
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_an_empty_part_of_a_body_is_sent(stored: Stored) -> None:
    assert [message.get("body") for message in sent(stored[5:5])] == [None, b""]


def test_bytes_pass_unchanged() -> None:
    seen: list[Message] = []

    async def send(message: Message) -> None:
        seen.append(message)

    async def receive() -> Any:
        raise AssertionError

    async def respond() -> None:
        await streaming(receive, send)(message)

    message = {"type": "http.response.body", "body": b"abc", "more_body": False}
    asyncio.run(respond())
    assert seen == [message]


def test_no_more_is_read_when_the_client_has_disconnected(stored: Stored) -> None:
    messages = sent(stored, pieces_until_disconnect=1)
    assert 1 <= sum(1 for message in messages if message.get("body")) <= 2
