"""Tests which log events the embedded AWS deletes from its memory."""

import asyncio
import threading
from typing import Any

from infra.local.logtrim import trim, trimming

DAY = 24 * 3600 * 1000
NOW = 100 * DAY
Json = dict[str, Any]


def stream(*times: int, created: int = NOW) -> Json:
    events = [{"timestamp": at, "message": str(at)} for at in times]
    return {"events": events, "creationTime": created, "lastEventTimestamp": times[-1] if times else None}


def group(days: int | None = None, **streams: Json) -> Json:
    return {"retentionInDays": days, "streams": streams}


def times(of: Json) -> dict[str, list[int]]:
    return {name: [event["timestamp"] for event in each["events"]] for name, each in of["streams"].items()}


def test_events_older_than_the_retention_are_deleted_with_their_streams() -> None:
    logs = group(14, old=stream(NOW - 15 * DAY), both=stream(NOW - 15 * DAY, NOW - DAY), new=stream(NOW))
    trim(logs, NOW)
    assert times(logs) == {"both": [NOW - DAY], "new": [NOW]}


def test_without_a_retention_the_age_does_not_matter() -> None:
    logs = group(None, old=stream(1))
    trim(logs, NOW)
    assert times(logs) == {"old": [1]}


def test_only_the_newest_events_of_a_group_are_kept() -> None:
    logs = group(None, b=stream(4, 5), a=stream(1, 2), c=stream(6, 7, 8))
    trim(logs, NOW, most=4)
    assert times(logs) == {"b": [5], "c": [6, 7, 8]}
    trim(logs, NOW, most=3)
    assert times(logs) == {"c": [6, 7, 8]}


def test_a_long_stream_does_not_push_out_newer_events_of_another() -> None:
    logs = group(None, long=stream(1, 2, 3, 9), short=stream(8))
    trim(logs, NOW, most=2)
    assert times(logs) == {"long": [9], "short": [8]}


def test_a_stream_to_which_nothing_was_written_yet_stays_until_it_is_old() -> None:
    logs = group(14, full=stream(NOW), new=stream(), old=stream(created=NOW - 15 * DAY))
    trim(logs, NOW, most=1)
    assert times(logs) == {"full": [NOW], "new": []}


def test_the_task_goes_on_if_a_group_is_created_meanwhile() -> None:
    logs = {"first": group(14, old=stream(NOW - 15 * DAY))}
    turns = 0

    def groups() -> Any:
        nonlocal turns
        turns += 1
        for each in logs.values():
            if turns == 1:
                logs["second"] = group(14, old=stream(NOW - 15 * DAY))
            yield each

    async def run() -> None:
        task = asyncio.create_task(trimming(groups, threading.Lock(), lambda: NOW, every=0.0))
        while turns < 3:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    assert [times(each) for each in logs.values()] == [{}, {}]
