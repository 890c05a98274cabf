"""Writes the log lines of workers to ministack's CloudWatch Logs. As on AWS, each worker has a stream of its own."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any


def stream_name() -> str:
    """Return a name for a new stream, in the form of Lambda."""
    return f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"


def append(group: str, stream: str, lines: str) -> None:
    """Append lines to a stream. Create the group and the stream if they are missing.

    Call this in the scope of the function's account and region.
    """
    from ministack.services import cloudwatch_logs as logs

    now = int(time.time() * 1000)
    groups: Any = logs._log_groups
    if group not in groups:
        groups[group] = {
            "arn": logs._make_group_arn(group),
            "creationTime": now,
            "retentionInDays": None,
            "tags": {},
            "subscriptionFilters": {},
            "streams": {},
        }
    streams = groups[group]["streams"]
    if stream not in streams:
        streams[stream] = {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        }
    events = [{"timestamp": now, "message": line, "ingestionTime": now} for line in lines.splitlines()]
    logs._append_log_events(streams[stream], events)
    logs._fanout_to_subscription_filters(group, stream, events)
