"""Dead letters: S3 events that Lambda gave up on, offered to the ingest function once more.

Nothing is remembered between the steps for one message. First its load is opened, then its event is handed over, then
the message is deleted. After a crash between two steps the message is still there, and all of it can be done again: an
open load is opened again, and the ingest function decides, as for every event, whether anything is left to do.
"""

import json
import logging
import time
from collections.abc import Mapping
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
    """What a message says: the function that failed, the event it failed on, and what that tells of."""

    function: str
    event: Mapping[str, object]
    objects: tuple[ObjectCreated, ...]

    @classmethod
    def parse(cls, body: str) -> "DeadLetter":
        """Read the record that Lambda sends to a failure destination. Raises Unprocessable."""
        try:
            record = json.loads(body)
            function, event = record["requestContext"]["functionArn"], record["requestPayload"]
            objects = tuple(created_objects(event))
            told = [function, *(value for found in objects for value in vars(found).values() if value is not None)]
            text = "".join(told).encode()  # all of it strings, and none that Postgres could not take
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unprocessable("it is no record of a failed S3 event") from error
        if not function or not objects or b"\0" in text:
            raise Unprocessable("it tells of no function, of no object, or of an impossible one")
        return cls(function, event, objects)


@dataclass(frozen=True)
class Redriven:
    """`redriven` messages' events were handed over. `left` messages stay, because they cannot be understood, because
    a worker is on the load, or for want of time."""

    redriven: int
    left: int


def redrive(database: Database, letters: DeadLetters, functions: Functions, *, seconds: float) -> Redriven:
    """Offer every dead letter again, for at most about `seconds`.

    Raises Unavailable when the database, the queue or Lambda is away; what was not redriven is still in the queue
    then.
    """
    deadline = time.monotonic() + seconds
    redriven = 0
    held: list[Message] = []  # not deleted: they stay
    try:
        while time.monotonic() < deadline:
            messages = letters.receive()
            if not messages:
                return Redriven(redriven, left=len(held))
            held += messages
            for message in messages:
                if _redrive(database, letters, functions, message):
                    held.remove(message)
                    redriven += 1
        return Redriven(redriven, left=len(held) + letters.depth())
    finally:  # not earlier: we would receive them again and again
        for message in held:
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
