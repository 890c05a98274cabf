"""Deletes old log events from the memory of the embedded AWS.

ministack keeps every event of every function, and never applies the retention of a log group. So a million requests
would take some gigabytes.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

MOST = 50_000  # events of one log group; an invocation writes about five
EVERY = 30.0  # seconds
_DAY = 24 * 3600 * 1000  # milliseconds, the unit of the times in CloudWatch Logs
Json = dict[str, Any]
Groups = Callable[[], Iterator[Json]]


def trim(group: Json, now: int, most: int = MOST) -> None:
    """Delete the events of a log group that are older than the retention of the group. If more than `most` events are
    left, delete the oldest ones. Events of the same millisecond as the oldest kept event stay, too. Delete the streams
    that have no event left. `now` is in milliseconds since 1970."""
    before = now - _DAY * group["retentionInDays"] if group.get("retentionInDays") else 0
    streams = group["streams"]
    times = sorted(event["timestamp"] for stream in streams.values() for event in stream["events"])
    since = max(before, times[-most]) if len(times) > most else before
    for name, stream in list(streams.items()):
        events = stream["events"]
        if not events and stream["creationTime"] >= before:
            continue  # the stream is new, and nothing was written to it yet
        kept = [event for event in events if event["timestamp"] >= since]
        if not kept:
            del streams[name]
        elif len(kept) < len(events):
            stream["events"] = kept


async def trimming(
    groups: Groups, lock: AbstractContextManager[Any], now: Callable[[], int], every: float = EVERY
) -> None:
    """Trim all log groups every `every` seconds, until the task is cancelled. `lock` protects the lists of events."""
    while True:
        await asyncio.sleep(every)
        with lock, suppress(RuntimeError):  # raised if a function creates its group meanwhile
            for group in groups():
                trim(group, now())
