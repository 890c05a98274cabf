"""Redrives dead letters: sends S3 events that Lambda gave up on to the `ingest` function again.

A dead letter is a message in a queue. Its redrive has three steps: it reopens the load, invokes the `ingest` function
with the event, and deletes the message. After a crash between two steps the message is still in the queue, and the next
redrive repeats all steps. This is safe: to reopen a load is idempotent, and the `ingest` function ignores an event
whose load has ended.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.cloud.database import Database
from chalicelib.cloud.functions import Functions
from chalicelib.cloud.queues import DeadLetters, Message
from chalicelib.core.errors import LoadBusy, NotFound, Unprocessable
from chalicelib.ingest.events import created_objects
from chalicelib.loads import claims
from chalicelib.loads.object_versions import ObjectCreated

_log = logging.getLogger("hireflow.deadletters")


@dataclass(frozen=True)
class DeadLetter:
    """Has the content of a message: the ARN of the function that failed, the event that the function received, and the
    objects that the event names."""

    function: str
    event: Mapping[str, object]
    objects: tuple[ObjectCreated, ...]

    @classmethod
    def parse(cls, body: str) -> "DeadLetter":
        """Parse the record that Lambda sends to the queue after the last attempt. Raises Unprocessable."""
        try:
            record = json.loads(body)
            function, event = record["requestContext"]["functionArn"], record["requestPayload"]
            objects = tuple(created_objects(event))
            values = [value for created in objects for value in vars(created).values() if value is not None]
            # This line raises an error if a value is not a string, or cannot be encoded.
            text = "".join([function, *values]).encode()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unprocessable("the body is not the record of a failed S3 event") from error
        if not function or not objects or b"\0" in text:  # Postgres cannot store NUL
            raise Unprocessable("the body names no function or no object, or contains a NUL character")
        return cls(function, event, objects)


@dataclass(frozen=True)
class Redriven:
    """`redriven` is the number of messages whose events were offered again. `left` is the number of messages that stay
    in the queue, because they cannot be parsed, a worker has claimed their load, or the time was over."""

    redriven: int
    left: int


Reopen = Callable[[str], None]


def reopen_loads(database: Database, body: str) -> None:
    """Reopen the loads of the dead letter with this body. Raises Unprocessable if the body is not a dead letter,
    LoadBusy if a worker has claimed a load, and Unavailable."""
    letter = DeadLetter.parse(body)
    with database.session() as session:
        for created in letter.objects:
            claims.reopen(session, created)


def refusal(database: Database, body: str) -> str | None:
    """Reopen the loads like `reopen_loads`. Return why they cannot be reopened now, or None if they were reopened."""
    try:
        reopen_loads(database, body)
    except (Unprocessable, LoadBusy) as error:
        return error.detail
    return None


def reopening_by(ask: Callable[[Mapping[str, str]], Mapping[str, str | None]]) -> Reopen:
    """Return a function that lets the function `outbox` reopen the loads. Some stages need this, because `redrive`
    cannot reach their database. `ask` sends an order to the function `outbox`, and returns the response."""

    def reopen(body: str) -> None:
        refused = ask({"reopen": body})["refused"]
        if refused is not None:
            raise LoadBusy(refused)

    return reopen


def redrive(reopen: Reopen, letters: DeadLetters, functions: Functions, *, seconds: float) -> Redriven:
    """Offer every dead letter again. Stop after about `seconds`. `reopen` reopens the loads of a dead letter, like
    `reopen_loads`.

    Raises Unavailable if the database, the queue or Lambda is unavailable. Messages that were not redriven are then
    still in the queue.
    """
    deadline = time.monotonic() + seconds
    redriven = 0
    held: list[Message] = []  # messages that were received, but not redriven; they stay in the queue
    try:
        while time.monotonic() < deadline:
            messages = letters.receive()
            if not messages:
                return Redriven(redriven, left=len(held))
            held += messages
            for message in messages:
                if _redrive(reopen, letters, functions, message):
                    held.remove(message)
                    redriven += 1
        return Redriven(redriven, left=len(held) + letters.depth())
    finally:
        # The messages are given back only at the end. Otherwise the loop would receive these messages again and again.
        for message in held:
            letters.give_back(message)


def _redrive(reopen: Reopen, letters: DeadLetters, functions: Functions, message: Message) -> bool:
    try:
        letter = DeadLetter.parse(message.body)
        reopen(message.body)
        functions.invoke_later(letter.function, letter.event)
    except (Unprocessable, NotFound, LoadBusy) as error:
        _log.warning("message %s stays in the queue: %s", message.id, error.detail)
        return False
    letters.delete(message)
    return True
