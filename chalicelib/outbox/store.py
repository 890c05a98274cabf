"""Reads and writes the table `outbox`.

Only one invocation of the relay may send messages at a time, because two could change the order of the messages. So an
invocation takes a lease with its first order, and renews the lease with every further order. The lease lasts longer
than an invocation can run, so it never ends while its holder is still sending.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from chalicelib.cloud.database import Session
from chalicelib.outbox.messages import INVOKE, LINES, NOTICE, Message, Order, Taken

LEASE = timedelta(seconds=90)  # longer than the timeout of the function `relay`
MOST = 50  # messages of each line that the relay takes at once; their JSON form must fit into 6 MB
KEPT = timedelta(days=7)  # a message that could not be sent is discarded after this time
INVOCATIONS_KEPT = timedelta(hours=6)  # Lambda, too, discards an event after this time


def write(session: Session, kind: str, body: Mapping[str, Any]) -> None:
    """Write a message to the outbox. If the session is in a transaction, the message belongs to it."""
    session.run(
        "INSERT INTO outbox (kind, body) VALUES (:kind, CAST(:body AS jsonb))", kind=kind, body=json.dumps(body)
    )


def take(session: Session, order: Order) -> Taken:
    """Delete the messages that were sent, and return the next ones. The caller runs this in a transaction.

    The returned messages stay in the table until an order says that they were sent. If the relay crashes before that,
    its next invocation gets them again.
    """
    session.run("DELETE FROM outbox WHERE id = ANY(CAST(:sent AS bigint[]))", sent=order.sent)
    if order.noteworthy:
        session.run(
            "UPDATE outbox SET kind = :notice WHERE id = ANY(CAST(:ids AS bigint[]))",
            notice=NOTICE,
            ids=order.noteworthy,
        )
    if order.dead_letters is not None:
        session.run("UPDATE relay_state SET dead_letters = :depth, measured_at = now()", depth=order.dead_letters)
    if not order.lines:
        _release(session, order.relay)
        return Taken()
    if not _leased(session, order.relay):
        return Taken(busy=True)
    messages = tuple(message for line in order.lines for message in _next(session, LINES[line]))
    if not messages:
        _release(session, order.relay)
        return Taken()
    return Taken(messages, str(session.scalar("SELECT api_url FROM deployment")))


def discard_old(session: Session) -> int:
    """Discard the messages that could not be sent for too long, so that the outbox does not grow without end. Return
    their number."""
    return session.affected(
        "DELETE FROM outbox WHERE created_at < now() - CASE WHEN kind = :kind"
        " THEN CAST(:invocations AS interval) ELSE CAST(:others AS interval) END",
        kind=INVOKE,
        invocations=f"{INVOCATIONS_KEPT.total_seconds()} seconds",
        others=f"{KEPT.total_seconds()} seconds",
    )


def _next(session: Session, kinds: Sequence[str]) -> list[Message]:
    """Return the next messages of a line. The kinds are part of the text of the statement, so that Postgres can use the
    partial index."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    rows = session.run(f"SELECT id, kind, body FROM outbox WHERE kind IN ({listed}) ORDER BY id LIMIT :most", most=MOST)
    return [Message(*row) for row in rows]


def _leased(session: Session, relay: str) -> bool:
    renewed = session.affected(
        "UPDATE relay_state SET holder = :relay, leased_until = clock_timestamp() + CAST(:lease AS interval)"
        " WHERE holder = :relay OR leased_until < clock_timestamp()",
        relay=relay,
        lease=f"{LEASE.total_seconds()} seconds",
    )
    return renewed == 1


def _release(session: Session, relay: str) -> None:
    session.run("UPDATE relay_state SET holder = '', leased_until = '-infinity' WHERE holder = :relay", relay=relay)
