"""Dead letters: S3 events that Lambda gave up on, offered to the ingest function once more.

Nothing is remembered between the steps for one message. First its load is opened, then its event is handed over, then
the message is deleted. After a crash between two steps the message is still there, and all of it can be done again: an
open load is opened again, and the ingest function decides, as for every event, whether anything is left to do.
"""

import json
import logging
import time
from dataclasses import dataclass
from typing import Any

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
    """What a message says: the function that failed, the event it failed on, and the objects of that event."""

    function: str
    event: dict[str, Any]
    objects: tuple[ObjectCreated, ...]

    @classmethod
    def parse(cls, body: str) -> "DeadLetter":
        """Read the record that Lambda sends to a failure destination. Raises Unprocessable."""
        try:
            record = json.loads(body)
            function, event = record["requestContext"]["functionArn"], record["requestPayload"]
            objects = tuple(created_objects(event))
            texts = [function, *(value for created in objects for value in vars(created).values() if value is not None)]
            joined = "".join(texts).encode()  # raises if one is not a string, or cannot be sent to Postgres
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unprocessable("it is no record of a failed S3 event") from error
        if not function or not objects or b"\0" in joined:
            raise Unprocessable("it tells of no function, of no object, or of an impossible one")
        return cls(function, event, objects)


def redrive(database: Database, letters: DeadLetters, functions: Functions, *, seconds: float) -> dict[str, int]:
    """Offer every dead letter again, for at most about `seconds`.

    Returns {"redriven": messages whose events were handed over, "left": messages that stay, because they cannot be
    understood, because a worker is on the load, or for want of time}. Raises Unavailable if the database, the queue or
    Lambda is away. What was not redriven is still in the queue then.
    """
    deadline = time.monotonic() + seconds
    redriven = 0
    kept: list[Message] = []  # received and not deleted
    try:
        while time.monotonic() < deadline:
            messages = letters.receive()
            if not messages:
                return {"redriven": redriven, "left": len(kept)}
            kept += messages
            for message in messages:
                if _redrive(database, letters, functions, message):
                    kept.remove(message)
                    redriven += 1
        return {"redriven": redriven, "left": len(kept) + letters.depth()}
    finally:  # not earlier: we would receive them again and again
        for message in kept:
            letters.give_back(message)


def _redrive(database: Database, letters: DeadLetters, functions: Functions, message: Message) -> bool:
    try:
        letter = DeadLetter.parse(message.body)
        with database.session() as session:
            for created in letter.objects:
                claims.reopen(session, created)
        functions.invoke_later(letter.function, letter.event)
    except (Unprocessable, NotFound, LoadBusy) as error:
        _log.warning("message %s stays: %s", message.id, error.detail)
        return False
    letters.delete(message)
    return True
